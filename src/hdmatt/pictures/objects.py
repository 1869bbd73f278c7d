"""Pictures and trimaps as programs hold them: paths, arrays, PIL pictures, tensors and lists.

    path_or_array    any of them -> a path, or an array that ArrayReader takes
    array_of         the same without paths

What is no picture for sure is refused; nothing is guessed. Neither Pillow nor torch is loaded for it. An array is not
copied when it need not be; what is read of it is.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from hdmatt.errors import InputError
from hdmatt.pictures.files.openimageio import first_line
from hdmatt.system.values import checked_path, kind_of

_KINDS = "a path, a NumPy array, a PIL picture, a tensor or a list of rows"
_WORDS = {"I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I;16N": "=u2"}
_AS_THEY_ARE = ("uint8", "uint16", "float16", "float32", "float64")


def path_or_array(value: Any, what: str) -> Path | Shaped[np.ndarray, "..."]:
    """A path, or an array of uint8, uint16 or float; its shape is ArrayReader's to check.

    | given | taken as |
    | -- | -- |
    | text, os.PathLike | a file |
    | array of uint8, uint16, float16, float32, float64 | itself; any byte order, strides, read-only or not |
    | bool | 0 and 255 |
    | other integers | uint8, if all are from 0 to 255 |
    | masked array | its values, if none is masked |
    | PIL picture | its pixels; palettes, CMYK, YCbCr, HSV and LAB as RGB, by Pillow; 16 bit stays |
    | tensor of torch | its values, on whichever device; bfloat16 as float32 |
    | list, tuple | rows of numbers: integers as above, floats from 0 to 1 |
    | what has `__array__` | that array |

    Args:
        what: What it is, for messages: "the picture".

    Raises:
        InputError: None of these, or numbers whose white is unknown.
    """
    return (
        checked_path(what, value) if isinstance(value, str) or hasattr(value, "__fspath__") else array_of(value, what)
    )


def array_of(value: Any, what: str) -> Shaped[np.ndarray, "..."]:
    """`path_or_array` of what is no path."""
    image, torch = sys.modules.get("PIL.Image"), sys.modules.get("torch")
    if image and isinstance(value, image.Image):
        return _of_pil(value, what)
    if torch and isinstance(value, torch.Tensor):
        if value.is_complex():
            raise _refused(value, what, f" of {value.dtype}")
        return _numbers(_of_torch(value, torch, what), what)
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise InputError(
                f"{what} is an array with {int(np.ma.count_masked(value))} masked values, we need all of them",
                hint="Fill them first: array.filled(0).",
            )
        value = value.data
    if value is None or isinstance(value, str | bytes | bytearray | memoryview | dict | set | int | float | complex):
        raise _refused(value, what)
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever an object's own __array__ raises, and lists that are no rows
        raise _refused(value, what, f" that is no array ({first_line(str(error))})") from None
    if array.dtype.kind not in "biuf":
        raise _refused(value, what, f" of {array.dtype}" if array.dtype != object else "")
    return _numbers(array, what)


def _numbers(array: np.ndarray, what: str) -> np.ndarray:
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f" or array.dtype.name in _AS_THEY_ARE or array.size == 0:
        return array
    low, high = int(array.min()), int(array.max())
    if low >= 0 and high <= 255:
        return array.astype(np.uint8)
    raise InputError(
        f"{what} is an array of {array.dtype} with values from {low} to {high}, we need to know which number is white",
        hint="Convert it: array.astype(numpy.uint8) if 255 is white, numpy.uint16 if 65535 is.",
    )


def _of_torch(tensor: Any, torch: Any, what: str) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    try:
        return tensor.detach().cpu().resolve_neg().numpy()
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"{what} is a tensor of {tensor.dtype}, {tensor.layout}, that NumPy cannot hold "
            f"({str(error).splitlines()[0]})",
            hint="Give a dense tensor of uint8, or of floats from 0 to 1.",
        ) from None


def _of_pil(image: Any, what: str) -> np.ndarray:
    try:
        image.load()
        return _colours(image, what)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"{what} is a PIL picture that cannot be read ({error})", hint="Give its path, or open it again."
        ) from None


def _colours(image: Any, what: str) -> np.ndarray:
    mode = image.mode
    if mode in _WORDS:
        return np.asarray(image).astype(np.uint16)
    if mode == "I":
        return _of_int32(np.asarray(image), what)
    if mode in ("1", "L", "F", "RGB"):
        return np.asarray(image.convert("L") if mode == "1" else image)
    if mode == "La":
        image = image.convert("LA")
    if mode in ("LA", "La", "RGBA", "RGBa", "PA") or (mode == "P" and image.has_transparency_data):
        return np.asarray(image.convert("RGBA"))
    if mode == "LAB":
        return np.asarray(_from_lab(image))
    if mode in ("P", "RGBX", "CMYK", "YCbCr", "HSV"):
        return np.asarray(image.convert("RGB"))
    raise InputError(
        f"{what} is a PIL picture of mode {mode}, whose colours we do not know",
        hint='Convert it: image.convert("RGB").',
    )


def _of_int32(values: np.ndarray, what: str) -> np.ndarray:
    """Pillow opens some files of 16 bit in mode I, and makes it of pictures of 8 bit."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or high > 65535 or high <= 255:
        raise InputError(
            f"{what} is a PIL picture of mode I with values from {low} to {high}, which may mean 8 or 16 bit",
            hint='Convert it: image.convert("L") if 255 is white; numpy.uint16(image) if 65535 is.',
        )
    return values.astype(np.uint16)


def _from_lab(image: Any) -> Any:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")


def _refused(value: Any, what: str, more: str = "") -> InputError:
    hint = f"Give {_KINDS}."
    if isinstance(value, bytes | bytearray | memoryview):
        hint = "Give a path, or decode them: PIL.Image.open(io.BytesIO(data))."
    elif hasattr(value, "read"):
        hint = "Give a path, or open it: PIL.Image.open(file)."
    return InputError(f"{what} is {kind_of(value)}{more}, we need {_KINDS}", hint=hint)
