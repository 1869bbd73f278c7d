"""Trimaps made from the truth: exact discs around its soft part, the same every time, and never mistaken for others."""

import json
import shutil

import cv2
import numpy as np
import pytest

from hdmatt.cli.main import main
from hdmatt.errors import InputError
from hdmatt.evaluation.ledger import ScoreRow
from hdmatt.pictures.trimap import from_alpha

HEIGHT, WIDTH = 40, 50


def truth():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.rint(255 * np.clip((16 - np.hypot(y - 20, x - 25)) / 4, 0, 1)).astype(np.uint8)


@pytest.fixture
def data(tmp_path):
    """Pictures and mattes; finished mattes beside them; no trimaps."""
    folder = tmp_path / "toys"
    for kind in ("image", "alpha", "mattes"):
        (folder / kind).mkdir(parents=True)
        for name in ("a", "b"):
            cv2.imwrite(str(folder / kind / f"{name}.png"), np.maximum(truth(), 10) if kind == "mattes" else truth())
    return folder


def call(data, out, *more):
    words = ["--data", data, "--out", out, "--method", f"folder:{data / 'mattes'}", *more]
    return main(["eval", *map(str, words)])


def rows_of(out):
    return [ScoreRow(**json.loads(line)) for line in (out / "scores.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("radius", [0, 1, 3, 7])
def test_a_pixel_is_known_when_all_within_the_radius_agree(radius):
    alpha = truth()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    wanted = np.full(alpha.shape, 128, np.uint8)
    for i in range(HEIGHT):
        for j in range(WIDTH):
            near = alpha[(y - i) ** 2 + (x - j) ** 2 <= radius**2]
            if (near == near[0]).all() and near[0] in (0, 255):
                wanted[i, j] = near[0]
    np.testing.assert_array_equal(from_alpha(alpha, radius=radius), wanted)


def test_a_negative_radius_is_refused():
    with pytest.raises(InputError, match="-1"):
        from_alpha(truth(), radius=-1)


def test_sets_without_trimaps_are_scored_on_made_ones_each_radius_by_itself(data, tmp_path):
    out = tmp_path / "report"
    assert call(data, out, "--make-trimap", 2, "--make-trimap", 5) == 0
    rows = rows_of(out)
    assert [(row.variant, row.name) for row in rows] == [
        ("made-2", "a"),
        ("made-2", "b"),
        ("made-5", "a"),
        ("made-5", "b"),
    ]
    for row in rows:
        path = out / "trimaps" / "toys" / row.variant / f"{row.name}.png"
        trimap = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(trimap, from_alpha(truth(), radius=int(row.variant[5:])))
        # only unknown pixels count: the matte is 10 where the truth is below
        difference = np.maximum(truth(), 10).astype(float) - truth()
        assert row.sad == pytest.approx(difference[trimap == 128].sum() / 255 / 1000)
    before = (out / "scores.jsonl").read_bytes()
    assert call(data, out, "--make-trimap", 2, "--make-trimap", 5) == 0
    assert (out / "scores.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("break_it", "more", "texts"),
    [
        (lambda _: None, [], ["image/a.png", "have no trimap", "--make-trimap 20"]),
        (lambda _: None, ["--make-trimap", -1], ["--make-trimap", "greater than or equal to 0"]),
        (
            lambda data: shutil.copytree(data / "alpha", data / "trimap"),
            ["--make-trimap", 2],
            ["trimap of its own", "Leave --make-trimap out"],
        ),
        (
            lambda data: cv2.imwrite(str(data / "alpha" / "b.png"), truth()[1:]),
            ["--make-trimap", 2],
            ["alpha/b.png is 50x39", "image/b.png is 50x40"],
        ),
        (
            lambda data: cv2.imwrite(str(data / "alpha" / "b.png"), np.zeros_like(truth())),
            ["--make-trimap", 2],
            ["alpha/b.png", "without variation"],
        ),
        (lambda data: (data / "alpha" / "b.png").write_bytes(b"no"), ["--make-trimap", 2], ["alpha/b.png"]),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(data, tmp_path, capsys, break_it, more, texts):
    break_it(data)
    assert call(data, tmp_path / "report", *more) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    for text in texts:
        assert text in err
    assert not (tmp_path / "report").exists()
