"""A layer of a PSD as a mask: its transparency times its mask, at its place."""

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage

import hdmatt
from hdmatt.errors import InputError
from hdmatt.trimaps.masks import MaskSource
from hdmatt.trimaps.psd import layer_coverage


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """40 x 30: an opaque layer, a cut-out that leaves the document, and one with a mask in a group."""
    path = tmp_path_factory.mktemp("psd") / "layers.psd"
    psd = PSDImage.new("RGB", (40, 30))
    psd.create_pixel_layer(Image.new("RGB", (40, 30), "green"), name="ground")
    psd.create_pixel_layer(Image.new("RGBA", (20, 20), (255, 0, 0, 255)), name="cut-out", top=15, left=-5)
    masked = psd.create_pixel_layer(Image.new("RGB", (20, 10), "blue"), name="masked", top=5, left=10)
    masked.create_mask(Image.new("L", (10, 10), 255))
    group = psd.create_group(name="things")
    group.append(masked)
    psd.save(path)
    return path


def test_the_transparency_lies_where_the_layer_lies(document):
    wanted = np.zeros((30, 40), np.float32)
    wanted[15:, :15] = 1
    np.testing.assert_array_equal(layer_coverage(document, "cut-out"), wanted)
    trimap = hdmatt.make_trimap(MaskSource(document, layer="cut-out"), band=2)
    np.testing.assert_array_equal(trimap, hdmatt.make_trimap(wanted, band=2))


def test_an_opaque_layer_is_no_mask(document):
    with pytest.raises(InputError, match="white everywhere"):
        hdmatt.make_trimap(MaskSource(document, layer="ground"), band=2)


@pytest.mark.parametrize(
    ("name", "text"),
    [("nothing", "0 layers named 'nothing'; its layers: 'ground', 'cut-out'"), ("things", "is a group of layers")],
)
def test_names_of_no_layer_are_refused(document, name, text):
    with pytest.raises(InputError, match=text):
        layer_coverage(document, name)


def test_what_is_no_psd_is_refused(tmp_path):
    (tmp_path / "no.psd").write_bytes(b"8BPS but no more")
    with pytest.raises(InputError, match="cannot be read as a PSD"):
        layer_coverage(tmp_path / "no.psd", "a")
    with pytest.raises(InputError, match="does not exist"):
        layer_coverage(tmp_path / "missing.psd", "a")
    with pytest.raises(InputError, match="the limit is 1000 pixels"):
        path = tmp_path / "large.psd"
        PSDImage.new("RGB", (40, 30)).save(path)
        layer_coverage(path, "a", max_pixels=1000)


def test_a_mask_hides_a_part_of_its_layer(document):
    wanted = np.zeros((30, 40), np.float32)
    wanted[5:15, 10:20] = 1  # the layer is 20 pixels wide
    np.testing.assert_array_equal(layer_coverage(document, "masked"), wanted)
