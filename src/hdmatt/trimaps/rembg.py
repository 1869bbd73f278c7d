"""Masks by rembg, a package that runs segmentation networks of others. Knows nothing of trimaps.

rembg downloads a network on its first use, and several of them must not be used in a business. So none is taken unless
it is named, and what is known of its licence is printed.

    LICENCES         what we know of the networks' licences
    SERVICES         what is no network, and is refused
    licence_note     a line about one of them
    mask_by_rembg    the mask of a picture
"""

from importlib import import_module

import cv2
import numpy as np

from hdmatt.errors import InputError
from hdmatt.pictures.reader import BandReader
from hdmatt.trimaps.masks import EnlargedMask
from hdmatt.trimaps.smaller import eight_bits, smaller_picture, step_for

_SIDE = 1600  # of the picture that the network gets; it shrinks it to 320 to 1024 pixels itself
LICENCES = {  # read on their pages in 2026; the weights' licence where it is another than the code's
    "u2net": "Apache-2.0; the licence of the pictures it was trained on is unclear",
    "u2netp": "Apache-2.0; the licence of the pictures it was trained on is unclear",
    "u2net_human_seg": "Apache-2.0; the licence of the pictures it was trained on is unclear",
    "isnet-general-use": "Apache-2.0, trained on DIS5K, whose terms exclude commercial use",
    "birefnet-general": "MIT, trained on DIS5K, whose terms exclude commercial use",
    "bria-rmbg": "BRIA RMBG: not for commercial use without a contract",
}

SERVICES = ("atlascloud", "withoutbg")  # "models" of rembg that send the picture to somebody's servers


def licence_note(model: str) -> str:
    """What is known of a model's licence, as a line to print."""
    known = LICENCES.get(model, "its licence is unknown to us")
    return f"the mask is made by rembg's model {model}: {known}. Read its terms before you use it."


def mask_by_rembg(picture: BandReader, model: str) -> EnlargedMask:
    """The mask that a model of rembg makes of a picture.

    Raises:
        InputError: rembg is not installed, knows no such model, or fails; or the model is a service on the internet.
    """
    if model in SERVICES:
        raise InputError(
            f"rembg's {model} is no model but a service that the picture would be sent to",
            hint="Name a model that runs here, such as u2net.",
        )
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
        values = cv2.resize(values, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_LINEAR)
    return EnlargedMask(values, height=info.height, width=info.width, step=(step, step))
