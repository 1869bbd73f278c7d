"""`--palette`: which cut-outs get one, what is said of it, and where it is refused."""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hdmatt.errors import InputError
from hdmatt.inference.outputs import OutputFiles, Outputs, check_options
from hdmatt.pictures.reader import as_float, open_picture


def written(path, pixels, outputs, alpha):
    """The notes of files whose foreground is the picture."""
    Image.fromarray(pixels).save(path)
    with ExitStack() as stack:
        picture = stack.enter_context(open_picture(path))
        files = stack.enter_context(OutputFiles(outputs, picture.info))
        files.write_colours(as_float(picture.rows(0, len(alpha))), alpha)
    return files.notes()


def test_a_cut_out_of_few_colours_gets_a_palette_and_a_note_says_so(tmp_path):
    pixels = np.where(np.arange(12)[:, None, None] < 6, (200, 30, 40), (20, 90, 250)).repeat(9, 1).astype(np.uint8)
    alpha = np.tile(np.float32([0, 0, 0.2, 0.6, 1, 1, 1, 1, 1]), (12, 1))
    cutout = tmp_path / "cut.png"
    outputs = Outputs(cutout=cutout, palette=True, clean=True)
    assert written(tmp_path / "a.png", pixels.astype(np.uint8), outputs, alpha) == [
        f"{cutout} has a palette of 7 colours"
    ]
    with Image.open(cutout) as image:
        assert image.mode == "P"
        few = np.asarray(image.convert("RGBA"))
    written(tmp_path / "a.png", pixels, replace(outputs, palette=False), alpha)
    np.testing.assert_array_equal(np.asarray(Image.open(cutout)), few)


def test_one_of_many_colours_and_one_of_16_bit_are_as_usual_and_a_note_says_so(tmp_path):
    pixels, cutout = np.arange(20 * 17 * 3, dtype=np.uint16).reshape(20, 17, 3), tmp_path / "cut.png"
    alpha, outputs = np.ones((20, 17), np.float32), Outputs(cutout=cutout, palette=True)
    many = np.dstack([pixels[..., 0] % 256, pixels[..., 0] // 4, pixels[..., 0] // 5]).astype(np.uint8)
    notes = written(tmp_path / "a.png", many, outputs, alpha)
    assert notes == [f"{cutout} has more than 256 colours, so no palette"]
    notes = written(tmp_path / "a.png", pixels[..., 0], outputs, alpha)
    assert notes == [f"{cutout} has 16 bit, so no palette"]
    with Image.open(cutout) as image:
        assert image.mode == "RGBA"


@pytest.mark.parametrize(
    "outputs",
    [
        Outputs(alpha="a.png"),
        Outputs(cutout="a.webp"),
        Outputs(cutout="a.tif"),
        Outputs(cutout="a.png", bit_depth="16"),
    ],
)
def test_a_palette_is_of_a_png_cut_out_of_8_bit(outputs):
    with pytest.raises(InputError, match="--palette is of a cut-out as PNG of 8 bit") as error:
        check_options(replace(outputs, palette=True))
    assert "--bit-depth 8" in error.value.hint
    check_options(replace(outputs, cutout="b.PNG", bit_depth="8", palette=True))
