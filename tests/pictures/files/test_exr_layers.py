import re
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
from small_exr import HEIGHT, WIDTH, flat, layer, save_by_hand, save_exr, save_parts
from small_pictures import noise, save

from hdmatt.errors import InputError
from hdmatt.pictures.info import InputOptions, PictureInfo
from hdmatt.pictures.reader import open_picture, read_grey
from hdmatt.pictures.trimap import open_trimap

DEPTH, AO = {"Z": flat(5)}, layer("AO.", 1, 1, 1, 1)
NUKE = ["red", "green", "blue"]


def colour_of(path: Path, wanted: str | None = None) -> tuple[list[float], PictureInfo]:
    """The one colour of a picture, and its metadata."""
    with open_picture(path, InputOptions(layer=wanted)) as picture:
        rows = picture.rows(0, picture.info.height)
        assert (rows == rows[0, 0]).all()
        return [round(float(value), 3) for value in rows[0, 0]], picture.info


@pytest.mark.parametrize(
    ("channels", "name"),
    [
        (layer("rgba.", 0.1, 0.2, 0.3), "rgba"),
        (DEPTH | layer("rgba.", 0.1, 0.2, 0.3), "rgba"),
        (AO | layer("RGBA.", 0.1, 0.2, 0.3), "RGBA"),
        (layer("albedo.", 1, 1, 1) | layer("beauty.", 0.1, 0.2, 0.3), "beauty"),
        (layer("A.", 1, 1, 1) | layer("C.", 0.1, 0.2, 0.3), "C"),
        (layer("beauty.", 1, 1, 1) | layer("rgba.", 0.1, 0.2, 0.3), "rgba"),
        (layer("rgba.", 1, 1, 1) | layer("", 0.1, 0.2, 0.3), ""),
        (layer("fill.", 0.1, 0.2, 0.3) | {"depth.Z": flat(5), "id": flat(7), "N.X": flat(0), "N.Y": flat(0)}, "fill"),
        (layer("View.Combined.", 0.1, 0.2, 0.3) | layer("View.DiffCol.", 1, 1, 1), "View.Combined"),
        (layer("fill.", 1, 1, 1, names=NUKE) | layer("", 0.1, 0.2, 0.3, names=NUKE), ""),
        (layer("fill.", 0.1, 0.2, 0.3) | layer("N.", 1, 1, 1) | layer("CryptoAsset00.", 1, 1, 1, 1), "fill"),
        (layer("fill.", 0.1, 0.2, 0.3) | {"mask.Y": flat(1)}, "fill"),
        ({"P.X": flat(1), "P.Y": flat(2), "P.Z": flat(3)} | layer("fill.", 0.1, 0.2, 0.3), "fill"),
    ],
)  # fmt: skip
def test_the_layer_that_is_the_picture_is_found_by_its_name(tmp_path, channels, name):
    colour, info = colour_of(save_exr(tmp_path / "a.exr", channels))
    assert colour == [0.1, 0.2, 0.3]
    assert (info.layer, info.channels, info.has_alpha) == (name, 3, False)


def test_alpha_belongs_to_the_layer_that_is_read(tmp_path):
    channels = layer("rgba.", 0.1, 0.2, 0.3, 0.5) | layer("", 0.9, names="A") | layer("fg.", 0.4, 0.5, 0.6)
    path = save_exr(tmp_path / "a.exr", channels)
    with open_picture(path) as picture:
        np.testing.assert_allclose(picture.rows(0, 1)[0, 0], [0.2, 0.4, 0.6], rtol=1e-6)  # one division in float32
        assert (picture.alpha() == 0.5).all()
    assert colour_of(path, "FG")[0] == [0.4, 0.5, 0.6]


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({"depth": DEPTH, "beauty": layer("", 0.1, 0.2, 0.3)}, "beauty"),
        ({"AO": layer("", 1, 1, 1), "rgba": layer("", 0.1, 0.2, 0.3)}, "rgba"),
        ({"AO": AO, "main": layer("", 0.1, 0.2, 0.3)}, "main"),
        ({"AO": layer("", 1, 1, 1), "beauty": layer("beauty.", 0.1, 0.2, 0.3)}, "beauty"),
        ({"View": layer("Depth.", 5, names="Z"), "View2": layer("Combined.", 0.1, 0.2, 0.3)}, "View2.Combined"),
    ],
)
def test_of_several_parts_the_right_one_is_read(tmp_path, parts, name):
    path = save_parts(tmp_path / "a.exr", parts)
    colour, info = colour_of(path)
    assert colour == [0.1, 0.2, 0.3] and info.layer == name


def test_of_a_stereo_picture_the_main_view_is_read_and_the_other_on_request(tmp_path):
    left, right = layer("", 0.1, 0.2, 0.3), layer("", 0.4, 0.5, 0.6)
    views = {"rgba_right": "right", "rgba_left": "left"}
    parts = save_parts(tmp_path / "parts.exr", {"rgba.right": right, "rgba.left": left}, **views)
    channels = left | layer("right.", 0.4, 0.5, 0.6)
    one = save_exr(tmp_path / "one.exr", channels, multiView=["left", "right"])
    for path in (parts, one):
        assert colour_of(path)[0] == [0.1, 0.2, 0.3]
        assert colour_of(path, "right")[0] == [0.4, 0.5, 0.6]
    assert colour_of(parts, "rgba")[1].layer == "rgba.left"


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (layer("fill.", 1, 1, 1) | layer("key.", 1, 1, 1), "several layers that may be the picture: 'fill', 'key'"),
        (layer("a.Combined.", 1, 1, 1) | layer("b.Combined.", 1, 1, 1), "'a.Combined', 'b.Combined'"),
        ({"Z": flat(5)}, "has no layer with colours, its channels are Z"),
        ({"motion.X": flat(0), "motion.Y": flat(0)}, "its channels are motion.X, motion.Y"),
        ({"Y": flat(0), "RY": flat(0), "BY": flat(0)}, "holds luminance and chroma (Y, RY, BY)"),
        (layer("", 1, 1, 1) | {"AR": flat(1), "AG": flat(1), "AB": flat(1)}, "an alpha for each colour (AR, AG, AB)"),
        ({"Y": flat(0, np.uint32)}, "its channel Y holds whole numbers"),
    ],
)  # fmt: skip
def test_what_has_no_clear_picture_is_refused_by_name(tmp_path, channels, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        open_picture(save_exr(tmp_path / "a.exr", channels))
    assert error.value.hint


@pytest.mark.parametrize(
    ("names", "message"),
    [(("Y", "RY", "BY"), "luminance and chroma"), (("R", "G", "B"), "channel [BG] has fewer pixels than the others")],
)
def test_channels_of_half_the_resolution_are_refused_by_name(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        open_picture(save_by_hand(tmp_path / "a.exr", *names, half=names[1:]))


def test_a_deep_picture_is_refused_by_name(tmp_path):
    spec = oiio.ImageSpec(4, 3, 4, "float")
    spec.deep = True
    samples = oiio.DeepData()
    samples.init(spec)
    output = oiio.ImageOutput.create("a.exr")
    path = tmp_path / "a.exr"
    assert output.open(str(path), spec) and output.write_deep_image(samples) and output.close()
    with pytest.raises(InputError, match="is a deep picture, we need flat pixels"):
        open_picture(path)


def test_layers_are_asked_for_by_layer_part_or_channel_in_any_case(tmp_path):
    channels = layer("", 1, 1, 1) | layer("fill.", 0.1, 0.2, 0.3) | {"depth.Z": flat(5)} | layer("v.", 1, 2, names="XY")
    path = save_exr(tmp_path / "a.exr", channels)
    assert colour_of(path, "FILL")[0] == [0.1, 0.2, 0.3]
    assert colour_of(path, "depth")[0] == colour_of(path, "depth.z")[0] == [5, 5, 5]
    assert colour_of(path, "")[0] == [1, 1, 1]
    with pytest.raises(InputError, match=r"has no layer 'fil', its layers are the channels without a layer, 'depth'"):
        colour_of(path, "fil")
    with pytest.raises(InputError, match="'v' has the channels X, Y, we need R, G and B, or one"):
        colour_of(path, "v")
    with pytest.raises(InputError, match="is no EXR, we know no layers of it"):
        colour_of(save(tmp_path / "a.png", noise()), "fill")


@pytest.mark.parametrize("name", ["Y", "A", "Z", "R", "mask.A", "depth.Z", "trimap"])
def test_a_trimap_or_matte_may_be_any_single_channel(tmp_path, name):
    path = save_exr(tmp_path / "a.exr", {name: flat(1, np.float16)})
    with open_trimap(path) as trimap:
        assert (trimap.rows(0, HEIGHT) == 255).all()
    np.testing.assert_array_equal(read_grey(path), flat(1))


def test_luminance_alone_is_a_grey_picture_and_depth_beside_a_matte_is_none(tmp_path):
    colour, info = colour_of(save_exr(tmp_path / "a.exr", {"Y": flat(0.25), "A": flat(1), "Z": flat(3)}))
    assert (colour, info.channels, info.has_alpha) == ([0.25] * 3, 1, True)
    with open_trimap(save_exr(tmp_path / "t.exr", {"A": flat(1), "Z": flat(3)})) as trimap:
        assert (trimap.rows(0, HEIGHT) == 255).all() and trimap.info.width == WIDTH
