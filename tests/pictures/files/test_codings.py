"""Files in codings that we cannot read are called what they are; AVIF and HEIC are read."""

import struct
import sys

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image
from small_files import psd
from small_pictures import HEIGHT, noise, photo, whole

from hdmatt.errors import InputError
from hdmatt.pictures.reader import open_picture

TURNED = {1: 0, 3: 2, 6: 3, 8: 1}  # an EXIF orientation as quarter turns of numpy.rot90


@pytest.mark.parametrize(
    ("compression", "name"), [("zstd", "Zstandard"), ("lzma", "LZMA"), ("lerc", "LERC"), ("jpegxl", "JPEG XL")]
)
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_a_tiff_in_a_coding_that_libtiff_lacks_is_named_before_any_work(tmp_path, compression, name, tile):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(3), photometric="rgb", compression=compression, tile=tile)
    with pytest.raises(InputError) as error:
        open_picture(path)
    assert error.value.message == f"{path} is a TIFF with {name} compression, which we cannot read"
    assert "LZW or zip" in error.value.hint


@pytest.mark.parametrize(("bits", "name"), [(12, "a JPEG of 12 bit"), (16, "a lossless JPEG of 16 bit")])
def test_a_jpeg_of_more_than_8_bit_is_named(tmp_path, bits, name):
    path = tmp_path / "a.jpg"
    if bits == 12:
        path.write_bytes(imagecodecs.jpeg8_encode(noise(3, np.uint16) >> 4, level=95, bitspersample=12))
    else:
        path.write_bytes(imagecodecs.ljpeg_encode(noise(1, np.uint16)[..., 0], bitspersample=16))
    with pytest.raises(InputError) as error:
        open_picture(path)
    assert error.value.message == f"{path} is {name}, which we cannot read"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"II*\0\x10\0\0\0CR\x02\0", "a Canon camera raw file (CR2)"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01", "a Canon camera raw file (CR3)"),
        (b"FUJIFILMCCD-RAW 0201", "a Fujifilm camera raw file (RAF)"),
        (b"IIRO\x08\0\0\0", "an Olympus camera raw file (ORF)"),
        (b"IIU\0\x18\0\0\0", "a Panasonic camera raw file (RW2)"),
        (b"\0\0\0\x18ftypisom\0\0\x02\0", "a film"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04\x14\0", "an archive or a project (zip, Krita, OpenRaster)"),
        (b"<!doctype html>", "a web page"),
        (b"\xff\xd8\xff\xf7\0\x0b\x08\0\x10", "a JPEG-LS file"),
    ],
)
def test_what_is_no_picture_of_ours_is_named_by_its_first_bytes(tmp_path, head, name):
    path = tmp_path / "a.bin"
    path.write_bytes(head.ljust(200, b"\0"))
    with pytest.raises(InputError) as error:
        open_picture(path)
    assert error.value.message == f"{path} is {name}, which we cannot read" and error.value.hint


@pytest.mark.parametrize(("mode", "name"), [(7, "multichannel"), (8, "duotone"), (9, "Lab")])
def test_a_psd_of_other_colours_is_named(tmp_path, mode, name):
    path = tmp_path / "a.psd"
    psd(8, mode)(path, noise(3))
    with pytest.raises(InputError) as error:
        open_picture(path)
    assert error.value.message == f"{path} is a PSD of {name} colours, which we cannot read"
    assert "Image > Mode" in error.value.hint


@pytest.mark.parametrize("codec", ["jp2", "j2k"])
def test_jpeg_2000_of_signed_numbers_is_refused(tmp_path, codec):
    path, options = tmp_path / "a.jp2", {"reversible": True, "level": 0, "codecformat": codec}
    path.write_bytes(imagecodecs.jpeg2k_encode(noise(3), **options))
    np.testing.assert_array_equal(whole(path), noise(3))
    path.write_bytes(imagecodecs.jpeg2k_encode(noise(3).view(np.int8), **options))
    with pytest.raises(InputError, match="is a JPEG 2000 file of signed numbers, which we cannot read"):
        open_picture(path)


@pytest.mark.parametrize("name", [b"\0\0", b"\x04name\0"])
def test_a_psd_that_says_that_it_has_no_merged_picture_is_refused(tmp_path, name):
    path = tmp_path / "a.psd"
    psd(8, 3)(path, noise(3))
    content = path.read_bytes()
    for real in (1, 0):
        other = b"8BIM" + struct.pack(">H", 1061) + name + struct.pack(">I", 3) + b"abc\0"
        version = b"8BIM" + struct.pack(">H2xIIB", 1057, 13, 1, real) + bytes(8)
        blocks = other + version + b"\0"
        path.write_bytes(content[:30] + struct.pack(">I", len(blocks)) + blocks + content[34:])
        if real:
            np.testing.assert_array_equal(whole(path), noise(3))
            continue
        with pytest.raises(InputError, match="is a PSD without a merged picture") as error:
            open_picture(path)
        assert "Maximize Compatibility" in error.value.hint


def test_the_thumbnail_of_a_camera_raw_file_is_not_the_picture(tmp_path):
    path = tmp_path / "a.nef"
    tifffile.imwrite(path, noise(3), photometric="rgb", subfiletype=1)
    with pytest.raises(InputError, match="begins with a smaller copy of its picture, as camera raw files do"):
        open_picture(path)


@pytest.mark.parametrize("suffix", ["jp2", "jxl", "bmp", "sgi", "dds", "tga", "webp"])
def test_straight_alpha_leaves_colours_as_they_are_stored(tmp_path, suffix):
    pixels = noise(4)[:36, :28]
    path = tmp_path / f"a.{suffix}"
    if suffix == "jxl":
        path.write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True))
    else:
        Image.fromarray(pixels).save(path, **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(whole(path), pixels[..., :3])


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.png", "a.webp", "a.avif", "a.mpo"])
def test_of_several_pictures_the_first_is_taken_and_a_note_says_so(tmp_path, name):
    path = tmp_path / name
    pages = [Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (60, 200)]
    for several in (False, True):
        pages[0].save(path, **({"save_all": True, "append_images": pages[1:]} if several else {}))
        with open_picture(path) as picture:
            assert abs(int(picture.rows(0, 1)[0, 0, 0]) - 60) <= 1
            assert bool(picture.info.notes) == several, picture.info.notes


def test_a_gain_map_of_an_hdr_display_is_left_out_and_a_note_says_so(tmp_path):
    path, pages = tmp_path / "a.jpg", [Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (60, 200)]
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" hdrgm:Version="1.0"/>'
    pages[0].save(path, "MPO", save_all=True, append_images=pages[1:], xmp=xmp)
    with open_picture(path) as picture:
        assert picture.info.notes[0] == "holds a gain map for HDR displays, which was left out"
        assert abs(int(picture.rows(0, 1)[0, 0, 0]) - 60) <= 1


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("orientation", TURNED)
def test_avif_is_turned_once_and_its_alpha_is_straight(tmp_path, orientation, channels):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.dstack([photo(36, 28), np.full((36, 28), 100, np.uint8)])[..., :channels]
    path = tmp_path / "a.avif"
    Image.fromarray(pixels).save(path, quality=100, subsampling="4:4:4", exif=exif)
    expected = np.rot90(pixels[..., :3], TURNED[orientation])
    assert np.abs(whole(path).astype(int) - expected).max() <= 3  # lossy at its best
    with open_picture(path) as picture:
        assert picture.info.has_alpha == (channels == 4) and picture.info.dtype == np.uint8 and not picture.info.notes


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif_is_read_with_8_bit_and_a_note(tmp_path, bits):
    path = tmp_path / "a.avif"
    path.write_bytes(imagecodecs.avif_encode(photo().astype(np.uint16) << (bits - 8), level=100, bitspersample=bits))
    with open_picture(path) as picture:
        assert np.abs(picture.rows(0, HEIGHT).astype(int) - photo()).max() <= 3
        assert picture.info.notes == (f"has {bits} bits a channel, of which AVIF files are read with 8",)


@pytest.mark.parametrize("orientation", TURNED)
def test_heic_is_turned_once(tmp_path, orientation):
    path = tmp_path / "a.heic"
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = pillow_heif.from_bytes("RGB", (32, 40), photo(40, 32).tobytes())
    file[0].info["exif"] = exif.tobytes()  # written as irot, too
    file.save(path, quality=100, chroma=444)
    assert (b"irot" in path.read_bytes()) == (orientation > 1)
    expected = np.rot90(photo(40, 32), TURNED[orientation])
    got = whole(path)
    assert got.dtype == np.uint8 and np.abs(got.astype(int) - expected).max() <= 6  # lossy


def test_heic_of_10_bit_comes_as_16_bit_with_its_own_white(tmp_path):
    path = tmp_path / "a.heic"
    pixels = np.full((32, 32, 3), 65535, np.uint16)
    pixels[:16] = 30000
    file = pillow_heif.from_bytes("RGB;16", (32, 32), pixels.tobytes())
    file.save(path, quality=100, chroma=444)
    got = whole(path)
    assert got.dtype == np.uint16
    assert np.abs(got.astype(int) - pixels)[[0, -1]].max() <= 3 * 64  # three steps of 10 bit


def test_heic_without_pillow_heif_is_refused_with_the_command_that_installs_it(tmp_path, monkeypatch):
    path = tmp_path / "a.heic"
    pillow_heif.from_pillow(Image.fromarray(photo())).save(path)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match="is a HEIC file, and the package pillow-heif") as error:
        open_picture(path)
    assert error.value.hint == "Install it: pip install 'hdmatt[heic]'"


@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_avif_and_heic_cut_short_are_refused(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "avif":
        Image.fromarray(noise(3)).save(path)
    else:
        pillow_heif.from_pillow(Image.fromarray(noise(3))).save(path)
    data = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(InputError, match="cannot be decoded"):
            whole(path)
