"""The weights in the package are real: they matte a part of the shipped example far better than a guess."""

from pathlib import Path

import cv2
import numpy as np

import hdmatt

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_shipped_weights_matte_the_shipped_example():
    part = np.s_[250:650, 1900:2300]  # hair against the sky and the hill
    picture = cv2.imread(str(EXAMPLES / "hair.jpg"))[..., ::-1][part]
    trimap, truth = (cv2.imread(str(EXAMPLES / n), 0)[part] for n in ("hair-trimap.png", "hair-alpha.png"))
    alpha = hdmatt.matte(picture, trimap, network=hdmatt.NetworkChoice(device="cpu")).alpha
    unknown = trimap == 128
    error = np.abs(alpha - truth / 255)[unknown].mean()
    guess = np.abs(0.5 - truth / 255)[unknown].mean()
    assert error < 0.4 * guess
