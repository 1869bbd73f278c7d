"""A picture on disk and a studio around it: what the tests of the server share."""

from collections.abc import Generator
from contextlib import contextmanager

import cv2
import numpy as np
from starlette.testclient import TestClient

import hdmatt
from hdmatt.studio.opened import Choice
from hdmatt.studio.security import Access
from hdmatt.studio.server import app
from hdmatt.studio.studio import Studio

OPTIONS = hdmatt.Options(patch=64, overlap=16, candidates=6, memory="4GiB")
ACCESS = Access(port=8123, token="a-token-of-the-tests")
ADDRESS = "http://127.0.0.1:8123"
BLOB = {"kind": "brush", "label": 128, "points": [[100, 100, 18], [120, 70, 12]]}


def files(folder, height=150, width=130):
    """A picture and a trimap: a disc with a soft rim on a ground of another colour."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - height / 2, x - width / 2) / min(height, width)
    inner, outer = (0.2, 0.3) if min(height, width) < 512 else (0.38, 0.4)  # few patches also of several tiles
    rim = (inner + outer) / 2
    squares = rng.integers(0, 60, (height // 8 + 1, width // 8 + 1, 3), np.uint8)  # that JPEG keeps well
    picture = squares.repeat(8, 0).repeat(8, 1)[:height, :width]
    picture[radius < rim, 0] += 150
    picture[radius >= rim, 2] += 150
    trimap = np.where(radius < inner, 255, np.where(radius < outer, 128, 0)).astype(np.uint8)
    cv2.imwrite(str(folder / "picture.png"), picture[..., ::-1])
    cv2.imwrite(str(folder / "trimap.png"), trimap)
    return folder / "picture.png", folder / "trimap.png"


@contextmanager
def running(pictures, model, *, automatic=False, **given) -> Generator[tuple[TestClient, Studio]]:
    """A client that has the cookie, and the studio that it talks to, which computes by itself only if told so."""
    studio = Studio(pictures, choice=Choice(OPTIONS, model, automatic=automatic), pause=0, rest=0, **given)
    with TestClient(app(studio, ACCESS), base_url=ADDRESS, follow_redirects=False) as client:
        client.cookies.set(ACCESS.cookie, ACCESS.token)
        yield client, studio


def events(studio, number="1"):
    """All that listeners were told, without the numbers."""
    return [values for _, values in studio.find(number).events.after(0)]
