"""How examples/hair.jpg and hair-trimap.png were made: a rendered head of hair over a CC0 photograph.

    python examples/make_example.py FOREGROUND.png BACKGROUND.jpg OUT_DIR

FOREGROUND is a straight RGBA rendering of 2400 x 2400 pixels, by a Blender renderer (family hair, seed 100015);
BACKGROUND is a CC0 photograph (rolling green hills). Writes hair.jpg, hair-trimap.png and hair-alpha.png (the truth).
"""

import sys
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH, LEFT = 2400, 3000, 300


def main(foreground: Path, background: Path, out: Path) -> None:
    rgba = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    rendered = cv2.imread(str(foreground), cv2.IMREAD_UNCHANGED)
    rgba[:, LEFT : LEFT + rendered.shape[1]] = rendered[:HEIGHT] / np.float32(255)
    photo = cv2.imread(str(background))
    scale = max(HEIGHT / photo.shape[0], WIDTH / photo.shape[1])
    photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)[:HEIGHT, :WIDTH]
    photo = cv2.GaussianBlur(photo, (0, 0), 4) / np.float32(255)  # out of focus, as behind a portrait
    alpha = rgba[..., 3:]
    picture = rgba[..., :3] * alpha + photo * (1 - alpha)
    picture += np.random.default_rng(0).normal(0, 0.008, picture.shape)  # sensor noise
    inside = cv2.distanceTransform((alpha[..., 0] > 0.99).astype(np.uint8), cv2.DIST_L2, 5) > 12
    outside = cv2.distanceTransform((alpha[..., 0] < 0.01).astype(np.uint8), cv2.DIST_L2, 5) > 20
    trimap = np.where(inside, 255, np.where(outside, 0, 128)).astype(np.uint8)
    eight_bit = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    cv2.imwrite(str(out / "hair.jpg"), eight_bit, [cv2.IMWRITE_JPEG_QUALITY, 88])
    cv2.imwrite(str(out / "hair-trimap.png"), trimap, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    cv2.imwrite(str(out / "hair-alpha.png"), (alpha[..., 0] * 255 + 0.5).astype(np.uint8))


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
