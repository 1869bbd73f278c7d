"""Three nodes: a trimap from a mask, a matte from a trimap, foreground colours from a matte.

ComfyUI's tensors in and out: IMAGE is B x H x W x 3 (or 4) and MASK is B x H x W, float32 from 0 to 1, white is inside.
Every frame is computed at its own size; nothing is resized. Only hdmatt's public functions are called. ComfyUI itself
is needed for nothing but its progress bar. Read top to bottom:

    TrimapFromMask   MASK (and IMAGE) -> trimap as MASK
    MatteOfImage     IMAGE and trimap -> matte as MASK
    Foreground       IMAGE and matte -> foreground colours, and the cut-out, as IMAGE
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

try:
    import hdmatt
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"hdmatt is not installed in ComfyUI's Python. Run: {sys.executable} -m pip install hdmatt"
    ) from error

_CATEGORY = "mask/hdmatt"
_NO_ALPHA = (64, 64)  # of the black mask that LoadImage gives for a picture without alpha
_WIDTH = "Pixels (20) or percent of the diagonal (2%)"
_NETWORK = {
    "model": ("STRING", {"default": "hdmatt-s", "tooltip": "Name of the weights, or a safetensors file"}),
    "device": ("STRING", {"default": "auto", "tooltip": "auto, cpu, cuda, cuda:1, mps"}),
}


class TrimapFromMask:
    """Trimap from a mask: 0 background, 128/255 unknown, 1 foreground."""

    DESCRIPTION = "Makes a trimap from a mask: a band around the mask's edge becomes unknown."
    CATEGORY, FUNCTION = _CATEGORY, "make"
    RETURN_TYPES, RETURN_NAMES = ("MASK",), ("trimap",)
    OUTPUT_TOOLTIPS = ("0 background, 0.5 unknown, 1 foreground",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        return {
            "required": {
                "mask": ("MASK", {"tooltip": "White is the subject. For LoadImage's mask: InvertMask first"}),
                "band": ("STRING", {"default": "auto", "tooltip": f"auto needs the image. Else: {_WIDTH}"}),
            },
            "optional": {
                "image": ("IMAGE", {"tooltip": "For the band auto, which follows what is soft in the picture"}),
                "inside": ("STRING", {"default": "", "tooltip": f"Band inside the mask, or its limit. {_WIDTH}"}),
                "outside": ("STRING", {"default": "", "tooltip": f"Band outside of it, or its limit. {_WIDTH}"}),
                **_NETWORK,
            },
        }

    def make(
        self,
        mask: torch.Tensor,
        band: str,
        image: torch.Tensor | None = None,
        inside: str = "",
        outside: str = "",
        model: str = "hdmatt-s",
        device: str = "auto",
    ) -> tuple[torch.Tensor]:
        frames = [(one, None) for one in _masks(mask, "mask")] if image is None else _pairs(image, mask, "mask")
        trimaps = []
        with _errors_with_hints():
            network = hdmatt.NetworkChoice(model=model, device=device)
            show = _progress(len(frames))
            for i, (white, picture) in enumerate(frames):
                made = hdmatt.make_trimap(
                    white.numpy(),
                    None if picture is None else picture.numpy(),
                    band=band.strip(),
                    inside=inside.strip() or None,
                    outside=outside.strip() or None,
                    network=network,
                )
                trimaps.append(torch.from_numpy(made).float() / 255)
                show(i + 1)
        return (torch.stack(trimaps),)


class MatteOfImage:
    """Matte of a picture, given a trimap: alpha from 0 to 1, exact where the trimap is sure."""

    DESCRIPTION = "Computes the matte of an image where the trimap is unknown, at the image's own size."
    CATEGORY, FUNCTION = _CATEGORY, "matte"
    RETURN_TYPES, RETURN_NAMES = ("MASK",), ("matte",)
    OUTPUT_TOOLTIPS = ("Alpha: 1 is the subject",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "Any size; one matte for each of its frames"}),
                "trimap": ("MASK", {"tooltip": "Below 1/3 background, from 2/3 on foreground, between unknown"}),
            },
            "optional": {
                **_NETWORK,
                "memory": ("STRING", {"default": "", "tooltip": "Limit, as 4GiB. Empty: half of what is free"}),
            },
        }

    def matte(
        self,
        image: torch.Tensor,
        trimap: torch.Tensor,
        model: str = "hdmatt-s",
        device: str = "auto",
        memory: str = "",
    ) -> tuple[torch.Tensor]:
        frames = _pairs(image, trimap, "trimap")
        mattes = []
        with _errors_with_hints():
            network = hdmatt.NetworkChoice(model=model, device=device)
            options = hdmatt.Options(memory=memory.strip() or None)
            show = _progress(len(frames))
            for i, (marks, picture) in enumerate(frames):
                done = hdmatt.matte(
                    picture,
                    marks,
                    options=options,
                    network=network,
                    progress=lambda patches, total, i=i: show(i + patches / max(total, 1)),
                )
                mattes.append(torch.from_numpy(done.alpha.copy()))
                show(i + 1)
        return (torch.stack(mattes),)


class Foreground:
    """Foreground colours without the background's spill, and the cut-out, of a picture and its matte."""

    DESCRIPTION = "Estimates the subject's own colours, without the old background in soft pixels."
    CATEGORY, FUNCTION = _CATEGORY, "estimate"
    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "IMAGE"), ("foreground", "cutout")
    OUTPUT_TOOLTIPS = ("Colours, not multiplied by alpha", "The same with alpha as fourth channel, for SaveImage")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        return {
            "required": {
                "image": ("IMAGE",),
                "matte": ("MASK", {"tooltip": "Alpha: 1 is the subject"}),
            },
            "optional": {
                "clean": ("BOOLEAN", {"default": False, "tooltip": "Cut-out's colours are 0 where alpha is 0"}),
            },
        }

    def estimate(
        self, image: torch.Tensor, matte: torch.Tensor, clean: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        frames = _pairs(image, matte, "matte")
        colours, cutouts = [], []
        with _errors_with_hints():
            show = _progress(len(frames))
            for i, (alpha, picture) in enumerate(frames):
                whole = hdmatt.Matte(alpha.numpy(), picture.numpy())
                colours.append(torch.from_numpy(whole.foreground()))
                cutouts.append(torch.from_numpy(whole.cutout(clean=clean)))
                show(i + 1)
        return torch.stack(colours), torch.stack(cutouts)


NODE_CLASS_MAPPINGS = {"HDMattTrimap": TrimapFromMask, "HDMattMatte": MatteOfImage, "HDMattForeground": Foreground}
NODE_DISPLAY_NAME_MAPPINGS = {
    "HDMattTrimap": "Trimap from Mask (hdmatt)",
    "HDMattMatte": "Matte (hdmatt)",
    "HDMattForeground": "Foreground Colours (hdmatt)",
}


def _pairs(image: torch.Tensor, mask: torch.Tensor, name: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(mask, H x W x 3 picture) of every frame, on the CPU. One mask serves all frames; else there is one for each.

    Raises:
        ValueError: Another shape, another size, or another number of frames.
    """
    if image.ndim != 4 or image.shape[3] not in (3, 4):
        raise ValueError(f"hdmatt: the image has shape {tuple(image.shape)}, we need frames x height x width x 3")
    masks, (height, width) = _masks(mask, name), image.shape[1:3]
    if masks.shape[1:] != (height, width):
        why = "A mask is never resized: give one of the image's size."
        if tuple(masks.shape[1:]) == _NO_ALPHA and not masks.any():
            why = "LoadImage gives this empty mask for a picture without alpha: load the mask by LoadImageMask."
        raise ValueError(
            f"hdmatt: the {name} is {masks.shape[2]}x{masks.shape[1]} but the image is {width}x{height}. {why}"
        )
    if len(masks) not in (1, len(image)):
        raise ValueError(
            f"hdmatt: {len(masks)} frames of the {name} but {len(image)} of the image. "
            "Give one for all, or one for each."
        )
    pictures = image[..., :3].detach().cpu().float()
    return list(zip(masks.expand(len(image), -1, -1), pictures, strict=True))


def _masks(mask: torch.Tensor, name: str) -> torch.Tensor:
    """All frames of a MASK, on the CPU; a single one may lack the first axis."""
    if mask.ndim not in (2, 3):
        raise ValueError(f"hdmatt: the {name} has shape {tuple(mask.shape)}, we need frames x height x width")
    return mask.reshape(-1, *mask.shape[-2:]).detach().cpu().float()


@contextmanager
def _errors_with_hints() -> Iterator[None]:
    """ComfyUI shows the text of an error: hdmatt's hint becomes part of it."""
    try:
        yield
    except hdmatt.HDMattError as error:
        raise ValueError(f"hdmatt: {error.message}. {error.hint}".rstrip()) from error


def _progress(frames: int) -> Callable[[float], None]:
    """A function that is told how many frames are done. In ComfyUI it moves the node's bar, and raises on Cancel."""
    try:
        from comfy.utils import ProgressBar
    except ImportError:  # tests, and programs that use the nodes as functions
        return lambda done: None
    bar = ProgressBar(frames * 100)
    return lambda done: bar.update_absolute(round(done * 100))
