"""The visible part of a PSD's layer, as a mask. Knows nothing of trimaps; needs psd-tools.

layer_coverage    the layer's transparency times its mask, at the size of the document
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import InputError, plural
from hdmatt.pictures.info import DEFAULT_MAX_PIXELS


def layer_coverage(path: Path, name: str, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Float32[np.ndarray, "h w"]:
    """A layer's transparency times its mask, in [0, 1]; 0 beyond the layer. The file is read whole.

    Args:
        name: Of one layer, in any group, as Photoshop shows it.

    Raises:
        InputError: psd-tools is missing, no PSD, no such layer or several, a group, or nothing but opaque pixels.
    """
    try:
        from psd_tools import PSDImage
    except ImportError as error:
        raise InputError(
            "layers of a PSD need the package psd-tools", hint="Install it: pip install 'hdmatt[psd]'"
        ) from error
    try:
        document: Any = PSDImage.open(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist", hint="Check the spelling and the folder.") from error
    except Exception as error:  # its parser raises whatever a damaged file makes it do
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        raise InputError(
            f"{path} cannot be read as a PSD ({reason})", hint="Check its name, or save it again as PSD or PSB."
        ) from error
    if document.width * document.height > max_pixels:
        raise InputError(
            f"{path} is {document.width}x{document.height}, the limit is {max_pixels} pixels",
            hint=f"If that is no mistake, allow it: --max-pixels {document.width * document.height}",
        )
    layer = _find(path, document, name)
    size = (document.height, document.width)
    try:
        shape = layer.numpy("shape")
        coverage = _placed(np.ones((*layer.size[::-1], 1)) if shape is None else shape, layer.bbox, size, 0.0)
        if layer.has_mask() and not layer.mask.disabled:
            mask = layer.numpy("mask")
            behind = layer.mask.background_color / 255
            coverage *= _placed(np.empty((0, 0, 1)) if mask is None else mask, layer.mask.bbox, size, behind)
    except Exception as error:
        raise InputError(
            f"the layer {name!r} of {path} cannot be decoded ({error})", hint="Save the mask as a grey picture."
        ) from error
    return coverage


def _find(path: Path, document: Any, name: str) -> Any:
    layers = list(_all(document))
    found = [layer for layer in layers if layer.name == name]
    if len(found) != 1:
        names = ", ".join(repr(layer.name) for layer in layers[:20]) or "none"
        raise InputError(
            f"{path} has {plural(len(found), 'layer')} named {name!r}; its layers: {names}",
            hint="Give the name of one layer: --layer NAME.",
        )
    if found[0].is_group():
        inside = ", ".join(repr(layer.name) for layer in list(found[0])[:20]) or "none"
        raise InputError(f"{name!r} is a group of layers", hint=f"Name a layer in it: {inside}.")
    return found[0]


def _all(group: Any) -> Iterator[Any]:
    for layer in group:
        yield layer
        if layer.is_group():
            yield from _all(layer)


def _placed(
    values: np.ndarray, box: tuple[int, int, int, int], size: tuple[int, int], behind: float
) -> Float32[np.ndarray, "h w"]:
    """Values at their place in the document; what lies beyond the document is cut off."""
    whole = np.full(size, behind, np.float32)
    left, top, _, _ = box
    height, width = values.shape[:2]
    y0, y1, x0, x1 = max(0, top), min(size[0], top + height), max(0, left), min(size[1], left + width)
    if y0 < y1 and x0 < x1:
        whole[y0:y1, x0:x1] = values[y0 - top : y1 - top, x0 - left : x1 - left, 0]
    return whole
