"""A test set of two discs and `hdmatt eval` on it: what the tests of the evaluation share."""

import json

import cv2
import numpy as np

from hdmatt.cli.main import main
from hdmatt.evaluation.ledger import ScoreRow

HEIGHT, WIDTH = 90, 120
NAMES = ("b&rd", "hair")


def make_set(folder):
    """Discs with a soft rim on noise, and the same discs a little smaller as finished mattes in mattes/."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for kind in ("image", "trimap", "alpha", "mattes"):
        (folder / kind).mkdir(parents=True)
    for i, name in enumerate(NAMES):
        distance = np.hypot(y - 45, x - 60 + 6 * i)
        alpha, matte = (np.clip((r - distance) / 8, 0, 1) for r in (34, 32))
        trimap = np.select([distance < 22, distance > 38], [255, 0], 128).astype(np.uint8)
        picture = 40 + 160 * alpha[..., None] + rng.integers(0, 20, (HEIGHT, WIDTH, 3))
        for kind, pixels in (("image", picture), ("trimap", trimap), ("alpha", 255 * alpha), ("mattes", 255 * matte)):
            cv2.imwrite(str(folder / kind / f"{name}.png"), np.rint(pixels).astype(np.uint8))
    return folder


def read(path):
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert values is not None and values.dtype == np.uint8 and values.ndim == 2
    return values


def call(data, out, *more):
    """hdmatt eval on a folder, by default with finished mattes only: that needs no process of its own."""
    words = [str(word) for word in more] or ["--method", f"folder:{data / 'mattes'}"]
    return main(["eval", "--data", str(data), "--out", str(out), "--device", "cpu", *words])


def rows_of(out):
    return [ScoreRow(**json.loads(line)) for line in (out / "scores.jsonl").read_text().splitlines()]


def refused(capsys, code, *texts):
    out, err = capsys.readouterr()
    assert code == 2 and out == "", err
    assert "Traceback" not in err
    for text in texts:
        assert str(text) in err
