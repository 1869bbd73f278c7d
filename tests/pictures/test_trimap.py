import shlex
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import tifffile
from PIL import Image
from small_pictures import HEIGHT, WIDTH, photo, save

from hdmatt.errors import InputError
from hdmatt.pictures.trimap import BACKGROUND, FOREGROUND, UNKNOWN, classify, from_alpha, open_trimap


def some_trimap(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).choice(np.array([BACKGROUND, UNKNOWN, FOREGROUND], np.uint8), (height, width))


def test_every_8_bit_value_falls_into_its_third():
    trimap, snapped = classify(np.arange(256, dtype=np.uint8)[None])
    assert (trimap[0, :85] == BACKGROUND).all()
    assert (trimap[0, 85:170] == UNKNOWN).all()
    assert (trimap[0, 170:] == FOREGROUND).all()
    assert snapped == 256 - 3


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint16, 257), (np.float32, 1 / 255), (np.float64, 1 / 255)])
def test_the_same_picture_at_another_depth_is_the_same_trimap(dtype, scale):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    trimap, snapped = classify((grey * np.float64(scale)).astype(dtype))
    np.testing.assert_array_equal(trimap, classify(grey)[0])
    assert snapped == 256 - 3


def test_half_floats_of_an_exact_trimap_are_exact():
    trimap, snapped = classify(np.array([[0, 0.5, 128 / 255, 1]], np.float16))
    assert trimap.tolist() == [[BACKGROUND, UNKNOWN, UNKNOWN, FOREGROUND]]
    assert snapped == 0


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 128, 255]], np.uint8),
        np.array([[0, 32768, 32896, 65535]], np.uint16),
        np.array([[0, 0.5, 128 / 255, 1]], np.float32),
    ],
)
def test_exact_values_are_not_counted_as_snapped(values):
    assert classify(values)[1] == 0


def test_sixteen_bit_thresholds_sit_at_85_and_170_times_257():
    trimap, _ = classify(np.array([[21844, 21845, 43689, 43690]], np.uint16))
    assert trimap.tolist() == [[BACKGROUND, UNKNOWN, UNKNOWN, FOREGROUND]]


def test_floats_beyond_the_range_are_snapped():
    trimap, snapped = classify(np.array([[-0.5, 1.5]], np.float32))
    assert trimap.tolist() == [[BACKGROUND, FOREGROUND]]
    assert snapped == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_trimap_classified_again_does_not_change(dtype):
    trimap = some_trimap(9, 7)
    values = trimap if dtype == np.uint8 else (trimap / 255).astype(dtype)
    again, snapped = classify(values)
    np.testing.assert_array_equal(again, trimap)
    assert snapped == 0


def test_a_trimap_with_nan_is_refused():
    with pytest.raises(InputError, match="not finite"):
        classify(np.array([[0, np.nan]], np.float32))


def test_a_trimap_of_other_numbers_is_refused():
    with pytest.raises(InputError, match="array of int32, we need uint8") as caught:
        classify(np.zeros((2, 2), np.int32))
    assert "astype" in caught.value.hint


def test_a_large_radius_is_an_exact_disc():
    alpha = np.zeros((401, 401), np.uint8)
    alpha[200, 200] = 255
    y, x = np.mgrid[-200:201, -200:201]
    np.testing.assert_array_equal(from_alpha(alpha, radius=150) != BACKGROUND, y * y + x * x <= 150 * 150)


@pytest.mark.parametrize(("value", "known"), [(0, BACKGROUND), (255, FOREGROUND)])
def test_a_matte_without_a_rim_leaves_nothing_unknown(value, known):
    assert (from_alpha(np.full((5, 6), value, np.uint8), radius=9) == known).all()


def test_the_inverse_matte_gives_the_inverse_trimap():
    alpha = np.random.default_rng(2).choice(np.array([0, 255, 255, 255, 9], np.uint8), (30, 40))
    turned = from_alpha(255 - alpha, radius=2)
    np.testing.assert_array_equal(from_alpha(alpha, radius=2).astype(int), 255 - turned + (turned == UNKNOWN))


def test_a_trimap_file_has_three_values_and_counts_every_other_once(tmp_path):
    grey = np.array([[0, 84, 85], [128, 169, 170], [255, 1, 254]], np.uint8)
    with open_trimap(save(tmp_path / "a.png", grey[..., None])) as trimap:
        assert trimap.snapped == 0
        assert trimap.rows(0, 2).tolist() == [[0, 0, 128], [128, 128, 255]]
        assert trimap.snapped == 4
        assert trimap.rows(1, 3).tolist() == [[128, 128, 255], [255, 0, 255]]
        assert trimap.rows(0, 3).dtype == np.uint8
        assert trimap.snapped == 6
        assert (trimap.info.height, trimap.info.width) == (3, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_trimap_of_any_depth_and_channels_is_the_same_trimap(tmp_path, dtype, channels):
    values = np.random.default_rng(0).choice(np.array([0, 128, 255]), (HEIGHT, WIDTH))
    scaled = {np.uint8: values, np.uint16: values * 257}.get(dtype, values / 255)
    array = np.repeat(scaled[..., None], channels, axis=2).astype(dtype)
    if channels == 4:
        array[..., 3] = np.iinfo(dtype).max if array.dtype.kind == "u" else 1
    path = save(tmp_path / ("a.exr" if array.dtype.kind == "f" else "a.png"), array)
    for source in (array, path):
        with open_trimap(source) as trimap:
            np.testing.assert_array_equal(trimap.rows(0, HEIGHT), values)
            assert trimap.snapped == 0


def test_a_grey_jpeg_with_colour_channels_is_a_trimap(tmp_path):
    values = np.zeros((32, 32, 3), np.uint8)
    values[8:16], values[16:] = 128, 255
    with open_trimap(save(tmp_path / "a.jpg", values)) as trimap:
        np.testing.assert_array_equal(trimap.rows(0, 32), values[..., 0])


def test_a_colour_picture_is_no_trimap(tmp_path):
    path = save(tmp_path / "a.png", photo())
    with open_trimap(path) as trimap, pytest.raises(InputError) as error:
        trimap.rows(3, 9)
    assert error.value.message == (
        f"{path} looks like a colour picture, we need a trimap: row 3, column 0 is red 49, green 60, blue 103"
    )
    assert "Were two files swapped?" in error.value.hint
    with pytest.raises(InputError, match="the trimap array looks like a colour picture"):
        open_trimap(photo()).rows(0, 1)


def test_a_float_trimap_beyond_one_is_refused():
    with open_trimap(np.full((2, 2), 3.0)) as trimap, pytest.raises(InputError, match="values from 3 to 3"):
        trimap.rows(0, 2)


def test_a_float_trimap_of_labels_beyond_one_is_mended_by_the_command_it_is_told(tmp_path):
    values = some_trimap(8, 8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values.astype(np.float32))
    with open_trimap(path) as trimap, pytest.raises(InputError, match="values from 0 to 255") as error:
        trimap.rows(0, 8)
    assert_mended(error.value, path.with_suffix(".white.png"), values)


@pytest.mark.parametrize("levels", [(0, 128, 255), (0, 1, 2), (0, 500, 1000), (0, 16384, 32768), (0, 2048, 4095)])
@pytest.mark.parametrize(("name", "dtype"), [("a.png", np.uint16), ("a.tif", np.uint16), ("a.tif", np.uint32)])
def test_a_trimap_that_does_not_reach_white_is_refused_and_mended_by_the_command(tmp_path, name, dtype, levels):
    marks = some_trimap(8, 8)
    values = np.asarray(levels, dtype)[np.searchsorted([0, 128, 255], marks)]
    path = tmp_path / name
    if name.endswith("png"):
        Image.fromarray(values).save(path)
    else:
        tifffile.imwrite(path, values)
    with open_trimap(path) as trimap, pytest.raises(InputError) as error:
        trimap.rows(0, 3)
        trimap.rows(3, 8)
    shown = f"values up to {levels[2]:g}" if dtype == np.uint32 else f"only the values {', '.join(map(str, levels))}"
    assert error.value.message.startswith(f"{path} holds {shown}, we need 0 (background), ")
    assert f" in {8 * np.dtype(dtype).itemsize} bit: everything would be background" in error.value.message
    assert_mended(error.value, path.with_suffix(".white.png"), marks)


@pytest.mark.parametrize("levels", [(0, 1, 2), (0, 1), (1, 2, 3), (0, 50, 100)])
def test_labels_of_8_bit_are_refused_in_files_and_arrays(tmp_path, levels):
    values = np.random.default_rng(0).choice(np.array(levels, np.uint8), (8, 8))
    path = tmp_path / "a.png"
    Image.fromarray(values).save(path)
    for source in (path, values):
        with open_trimap(source) as trimap, pytest.raises(InputError, match="holds only the values") as error:
            trimap.rows(0, 8)
    assert error.value.hint.endswith('(trimap / trimap.max() * 255).round().astype("uint8")')


def test_floats_of_three_values_of_which_none_is_foreground_are_refused(tmp_path):
    values = np.random.default_rng(0).choice(np.array([0, 0.25, 0.5], np.float32), (8, 8))
    for source in (save_trimap_of(tmp_path, values), values):
        with open_trimap(source) as trimap, pytest.raises(InputError, match=r"only the values 0, 0\.25, 0\.5, we"):
            trimap.rows(0, 8)


def save_trimap_of(folder: Path, values: np.ndarray) -> Path:
    path = folder / ("a.tif" if values.dtype.kind == "f" else "a.png")
    if values.dtype.kind == "f":
        tifffile.imwrite(path, values)
    else:
        Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32])
@pytest.mark.parametrize(
    ("grey", "taken_for"), [(55, "background"), (64, "background"), (20, "background"), (188, "foreground")]
)
def test_a_single_grey_that_would_be_black_or_white_is_refused_and_mended(tmp_path, dtype, grey, taken_for):
    marks = some_trimap(24, 24)
    values = np.where(marks == 128, grey, marks.astype(int))
    scaled = values / 255 if dtype in (np.float16, np.float32) else values * (257 if dtype == np.uint16 else 1)
    path = save_trimap_of(tmp_path, scaled.astype(dtype))
    with open_trimap(path) as trimap, pytest.raises(InputError, match=f"would be {taken_for}") as error:
        trimap.rows(0, 24)
    assert ("but is sRGB's 128 in linear light" in error.value.message) == (grey == 55)
    assert_mended(error.value, path.with_suffix(".middle.png"), marks)
    with open_trimap(scaled.astype(dtype)) as trimap, pytest.raises(InputError, match="holds black, white and"):
        trimap.rows(0, 24)


def test_softened_edges_of_a_trimap_are_no_grey_of_their_own():
    y, x = np.mgrid[:120, :120]
    distance = np.hypot(y - 60, x - 60)
    soft = np.clip((50 - distance) / 8 + 0.5, 0, 1) * 255  # no pixel is marked unknown, and none has to be
    for values in (soft.astype(np.uint8), soft.astype(np.float32) / 255):
        with open_trimap(values) as trimap:
            np.testing.assert_array_equal(trimap.rows(0, 120), classify(values)[0])


@pytest.mark.parametrize("levels", [(0, 1, 255), (0, 254, 255), (0, 100, 200), (30, 128, 220), (0, 86, 255)])
def test_greys_near_black_white_and_the_middle_are_what_they_look_like(levels):
    values = np.random.default_rng(0).choice(np.array(levels, np.uint8), (24, 24))
    with open_trimap(values) as trimap:
        np.testing.assert_array_equal(trimap.rows(0, 24), classify(values)[0])


@pytest.mark.parametrize("levels", [(0,), (128,), (0, 128), (0, 255), (128, 255), (0, 127, 254), (255,)])
def test_a_trimap_without_one_of_its_values_is_a_trimap(levels):
    values = np.random.default_rng(0).choice(np.array(levels, np.uint8), (8, 8))
    for array in (values, values.astype(np.uint16) * 257, values.astype(np.float32) / 255):
        with open_trimap(array) as trimap:
            np.testing.assert_array_equal(trimap.rows(0, 8), classify(values)[0])


def save_with_alpha(path: Path, greys: np.ndarray, alpha: np.ndarray) -> Path:
    """Stored as they are: PNG and TIFF of straight alpha, EXR and TIFF of associated alpha."""
    stored = np.dstack([greys] * 3 + [alpha])
    if path.suffix == ".exr":
        planes = dict(zip("RGBA", np.moveaxis(stored.astype(np.float32) / 255, 2, 0).copy(), strict=True))
        with OpenEXR.File({"type": OpenEXR.scanlineimage}, planes) as file:
            file.write(str(path))
    elif path.suffix == ".tif":
        kind = "assocalpha" if "assoc" in path.stem else "unassalpha"
        tifffile.imwrite(path, stored, photometric="rgb", extrasamples=[kind])
    else:
        Image.fromarray(stored).save(path)
    return path


@pytest.mark.parametrize("name", ["a.png", "straight.tif", "assoc.tif", "a.exr"])
@pytest.mark.parametrize("kind", ["opaque", "constant", "the greys again", "0 in background"])
def test_stored_greys_count_and_never_greys_divided_by_alpha(tmp_path, name, kind):
    greys = some_trimap(9, 7)
    alphas = {"opaque": 255, "constant": 100, "the greys again": greys, "0 in background": 255 * (greys > 0)}
    alpha = np.broadcast_to(alphas[kind], greys.shape).astype(np.uint8)
    path = save_with_alpha(tmp_path / name, greys, alpha)
    for source in (path, np.dstack([greys] * 3 + [alpha])):
        with open_trimap(source) as trimap:
            np.testing.assert_array_equal(trimap.rows(0, 9), greys)


@pytest.mark.parametrize("name", ["a.png", "straight.tif", "assoc.tif", "a.exr"])
@pytest.mark.parametrize("kind", ["black", "white", "erased in white", "a mask over black"])
def test_an_alpha_that_is_another_trimap_is_refused_with_both_readings(tmp_path, name, kind):
    marks = some_trimap(9, 7)
    greys = {"white": 255, "erased in white": np.where(marks == 0, 255, marks)}.get(kind, 0)
    greys = np.broadcast_to(greys, marks.shape).astype(np.uint8)
    alpha = 255 * (marks > 0).astype(np.uint8) if kind in ("erased in white", "a mask over black") else marks
    path = save_with_alpha(tmp_path / name, greys, alpha)
    with pytest.raises(InputError) as error:
        open_trimap(path)
    y, x = np.argwhere(classify(greys)[0] != classify(alpha)[0])[0]
    names = {0: "background", 128: "unknown", 255: "foreground"}
    assert error.value.message.startswith(
        f"{path} has an alpha channel that says something else than its greys: row {y}, column {x} is "
        f"{names[int(greys[y, x])]} by its grey and {names[int(alpha[y, x])]} by its alpha. By the greys "
    )
    shares = [f"{100 * np.mean(alpha == v):.1f} %" for v in (255, 128, 0)]
    assert f"by the alpha {shares[0]} are foreground, {shares[1]} unknown and {shares[2]} bac" in error.value.message
    assert_mended(error.value, path.with_suffix(".grey.png"), alpha, CHANNEL="-1")
    with pytest.raises(InputError, match="the trimap array has an alpha channel") as error:
        open_trimap(np.dstack([greys] * 3 + [alpha]))
    assert "array[..., 3] for the alpha" in error.value.hint


def test_the_alpha_of_a_turned_trimap_is_turned_with_it(tmp_path):
    greys = some_trimap(9, 7)
    path = tmp_path / "a.tif"
    stored = np.dstack([greys] * 4)
    tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["unassalpha"], extratags=[(274, 3, 1, 6, True)])
    with open_trimap(path) as trimap:
        np.testing.assert_array_equal(trimap.rows(0, 7), np.rot90(greys, -1))


def assert_mended(error: InputError, written: Path, trimap: np.ndarray, **names: str) -> None:
    """The Python command in the hint writes a trimap that is read."""
    command = error.hint[error.hint.index("python -c ") :]
    for name, value in names.items():
        command = command.replace(name, value)
    exec(shlex.split(command)[2], {})
    np.testing.assert_array_equal(np.array(Image.open(written)), trimap)
    with open_trimap(written) as mended:
        np.testing.assert_array_equal(mended.rows(0, len(trimap)), trimap)
