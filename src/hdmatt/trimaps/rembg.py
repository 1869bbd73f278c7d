"""Masks by rembg, a package that runs segmentation networks of others. Knows nothing of trimaps.

rembg downloads a network on its first use, and several of them must not be used in a business. So none is taken unless
it is named, its licence is printed, and one whose licence could not be found is refused.

    LICENCES         the networks that are taken, with their licences
    REFUSED          others, and why
    licence_note     a line about one of them
    mask_by_rembg    the mask of a picture
"""

from importlib import import_module

import numpy as np

from hdmatt.errors import InputError
from hdmatt.pictures.reader import BandReader
from hdmatt.trimaps.mask_rows import EnlargedMask
from hdmatt.trimaps.smaller import eight_bits, smaller_picture, step_for

_SIDE = 1600  # of the picture that the network gets; it shrinks it to 320 to 1024 pixels itself
# What the authors of the weights say, read in 2026: U-2-Net's issue 208; BiRefNet's issues 306 and 316; rembg's readme.
_U2NET = "Apache-2.0 by its author, who leaves the terms of the pictures that it was trained on to you"
_BIREFNET = "MIT by its author, but the terms of pictures that it was trained on (DIS5K) exclude commercial use"
_SHAPES = "general general-fp16 general-lite portrait dis hrsod cod massive"
LICENCES = {
    **dict.fromkeys(("u2net", "u2netp", "u2net_human_seg"), _U2NET),
    **{f"birefnet-{shape}": _BIREFNET for shape in _SHAPES.split()},
    "bria-rmbg": "BRIA's own, commercial use needs a paid agreement with BRIA",
}
_SERVICE = "it is a service that the picture would be sent to"
REFUSED = {
    "isnet-general-use": "its authors give a licence to their code and none to the weights",  # readme of DIS
    "u2net_cloth_seg": "it gives three masks, and what licence its weights have is not known to us",
    "sam": "it needs points or boxes",
    "atlascloud": _SERVICE,
    "withoutbg": _SERVICE,
}
_UNKNOWN = "what licence its weights have is not known to us"


def licence_note(model: str) -> str:
    """The licence of a model, as a line to print.

    Raises:
        InputError: The model is not taken: its licence is not known, or it makes no mask of a whole picture.
    """
    if model not in LICENCES:
        raise InputError(
            f"rembg's {model} is not taken: {REFUSED.get(model, _UNKNOWN)}",
            hint=f"Take one of {', '.join(LICENCES)}; or make a mask by other means and give its file.",
        )
    return f"the mask is made by rembg's model {model}: {LICENCES[model]}. Read its terms before you use it."


def mask_by_rembg(picture: BandReader, model: str) -> EnlargedMask:
    """The mask that a model of rembg makes of a picture.

    Raises:
        InputError: The model is not taken (see `licence_note`), or rembg is not installed or fails.
    """
    licence_note(model)
    try:
        rembg = import_module("rembg")
    except (ImportError, SystemExit) as error:  # it ends the process where its runtime is missing
        raise InputError("rembg is not installed", hint="Install it: pip install 'hdmatt[rembg]'") from error
    info = picture.info
    step = step_for(info.height, info.width, side=_SIDE)
    small, _ = smaller_picture(picture, step)
    try:
        mask = rembg.remove(eight_bits(small), session=rembg.new_session(model), only_mask=True)
    except Exception as error:
        raise InputError(
            f"rembg's model {model} made no mask ({type(error).__name__}: {error})",
            hint="Check the model's name; the first use downloads it.",
        ) from error
    values = np.asarray(mask, np.float32) / 255
    if values.shape != small.shape[:2]:
        raise InputError(
            f"rembg's model {model} made a mask of {values.shape}, the picture has {small.shape[:2]}",
            hint="Take another model.",
        )
    return EnlargedMask(values, height=info.height, width=info.width, step=(step, step))
