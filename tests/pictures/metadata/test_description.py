"""What describes a picture, read from outputs by Pillow, tifffile and psd-tools."""

import struct
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from psd_tools import PSDImage
from small_files import psd
from small_metadata import CAMERA, EXIF, GPS, LEFT_OUT, PICTURE, PLACE, RDF, XMP, camera_exif, save_described
from small_pictures import HEIGHT, WIDTH, info, noise, photo, profile, save, write

from hdmatt.pictures.files.psd import PsdWriter
from hdmatt.pictures.info import Description, PictureInfo
from hdmatt.pictures.reader import open_picture
from hdmatt.system import staged

INPUTS = (".png", ".jpg", ".tif", ".webp", ".avif", ".heic")
OUTPUTS = ((".png", "8"), (".png", "16"), (".jpg", "8"), (".tif", "8"), (".tif", "float"), (".webp", "8"))
DC = "{http://purl.org/dc/elements/1.1/}"


def opened(path: Path) -> PictureInfo:
    with open_picture(path) as picture:
        return picture.info


@pytest.fixture(scope="module")
def photographed(tmp_path_factory) -> PictureInfo:
    return opened(save_described(tmp_path_factory.mktemp("a") / "a.jpg", photo(), camera_exif()))


def check_exif(exif: Image.Exif) -> None:
    own = {tag: value for tag, value in exif.items() if tag > 0x011F or tag in PICTURE}  # others are of the file
    for tag in (EXIF, GPS, 0x0128, 0x013D, 0x0152, 0x0153, 0x02BC, 0x8773):  # pointers, unit, predictor, alpha, ...
        own.pop(tag, None)
    assert own == PICTURE
    assert dict(exif.get_ifd(EXIF)) == CAMERA and dict(exif.get_ifd(GPS)) == PLACE
    assert exif.get(0x0112, 1) == 1 and not exif.get_ifd(0x014A)


def check_xmp(packet: bytes) -> None:
    root = ElementTree.fromstring(packet)
    assert [word.text for word in root.iter(f"{{{RDF}}}li")] == ["hair", "Gräser"]
    assert root.find(f".//{DC}subject") is not None
    assert b'Rating="4"' in packet and b'Make="Canon"' in packet and not [name for name in LEFT_OUT if name in packet]


def xmp_of(file: Any) -> bytes:
    found = file.info.get("xmp") or file.info.get("XML:com.adobe.xmp") or b""
    return found.encode() if isinstance(found, str) else found


@pytest.mark.parametrize("suffix", INPUTS)
def test_what_describes_a_picture_is_found_in_every_format(tmp_path, suffix):
    found = opened(save_described(tmp_path / f"a{suffix}", photo(), camera_exif()))
    assert found.notes == ()
    exif = Image.Exif()
    exif.load(found.description.exif)
    check_exif(exif)
    check_xmp(found.description.xmp)


@pytest.mark.parametrize(
    ("suffix", "depth", "channels"),
    [(suffix, depth, n) for suffix, depth in OUTPUTS for n in (1, 3, 4) if (suffix, n) != (".jpg", 4)],  # no alpha
)
def test_it_travels_to_every_format_that_can_hold_it(tmp_path, photographed, suffix, depth, channels):
    path = write(tmp_path / f"b{suffix}", noise(channels, np.float32), depth, like=photographed)
    if suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            tags: Any = file.pages.first.tags
            assert tags[0x010F].value == "Canon" and tags[0x8298].value == "no rights"
            exif = tags["ExifTag"].value
            assert (exif["LensModel"], exif["ISOSpeedRatings"], exif["FNumber"]) == ("RF 85", 400, (14, 5))
            assert exif["LensSpecification"] == (24, 1, 105, 1, 14, 5, 4, 1) and exif["UserComment"] == "a comment"
            assert tags["GPSTag"].value["GPSLatitude"] == (48, 1, 12, 1, 753, 25) and tags["Orientation"].value == 1
            check_xmp(tags[700].value)
            assert np.asarray(file.asarray()).shape[:2] == (HEIGHT, WIDTH)
        if depth == "float":
            return  # Pillow opens none of three channels
    with Image.open(path) as file:
        check_exif(file.getexif())
        check_xmp(xmp_of(file))
        file.load()
    without = write(tmp_path / f"c{suffix}", noise(channels, np.float32), depth, like=info())
    np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(without)))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_a_turned_picture_becomes_upright_and_says_so(tmp_path, suffix):
    source = save_described(tmp_path / "a.jpg", photo(), camera_exif())  # orientation 6
    with open_picture(source) as picture:
        rows = picture.rows(0, picture.info.height).astype(np.float32) / 255
        path = write(tmp_path / f"b{suffix}", rows, "8", like=picture.info)
    with Image.open(path) as file, Image.open(source) as before:
        assert file.size == (HEIGHT, WIDTH) and file.getexif().get(0x0112, 1) == 1
        upright = np.asarray(before.transpose(Image.Transpose.ROTATE_270)).astype(int)
        # 12: two JPEGs, one of them 4:2:0
        assert np.abs(np.asarray(file.convert("RGB")).astype(int) - upright).max() <= 12


def test_layers_of_photoshop_have_it(tmp_path, photographed):
    path = tmp_path / "a.psd"
    colours = noise(3, np.float32)
    with PsdWriter(path, HEIGHT, WIDTH, bit_depth="8", like=photographed) as writer:
        writer.write(colours, colours, colours[..., 0])
    blocks = PSDImage.open(path).image_resources
    exif = Image.Exif()
    exif.load(bytes(blocks[1058].data))
    check_exif(exif)
    check_xmp(bytes(blocks[1060].data))


@pytest.mark.parametrize(("suffix", "depth"), OUTPUTS)
def test_profile_and_resolution_are_there_as_well(tmp_path, photographed, suffix, depth):
    like = info(icc=profile(), resolution=(300.0, 200.0, "in"), description=photographed.description)
    path = write(tmp_path / f"a{suffix}", noise(3, np.float32), depth, like=like)
    found = opened(path)
    assert found.icc == profile() and found.description == photographed.description
    assert found.resolution is None if suffix == ".webp" else found.resolution == pytest.approx((300, 200, "in"))
    if suffix == ".png":
        data = path.read_bytes()
        assert data.count(b"eXIf") == 1 and zlib.crc32(data[12:29]) == int.from_bytes(data[29:33], "big")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_without_files_in_memory_the_bytes_are_the_same(tmp_path, photographed, monkeypatch, suffix):
    pixels = noise(3, np.float32, 300, 200)
    through_memory = write(tmp_path / f"a{suffix}", pixels, "8", like=photographed)
    monkeypatch.setattr(staged, "_can_stage", lambda: False)
    by_itself = write(tmp_path / f"b{suffix}", pixels, "8", like=photographed)
    assert through_memory.read_bytes() == by_itself.read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_xmp_alone_travels(tmp_path, photographed, suffix):
    like = info(description=Description(xmp=photographed.description.xmp))
    with Image.open(write(tmp_path / f"a{suffix}", noise(3, np.float32), "8", like=like)) as file:
        check_xmp(xmp_of(file))


def test_both_byte_orders_say_the_same(tmp_path, photographed):
    exif = camera_exif()
    exif.endian = "<" if b"Exif\0\0MM" in exif.tobytes() else ">"
    found = opened(save_described(tmp_path / "a.jpg", photo(), exif))
    assert found.description == photographed.description


def test_text_that_is_not_ascii_travels_as_it_is(tmp_path):
    artist = "Jörg Müller, 写真".encode()
    block = b"MM\0*\0\0\0\x08" + struct.pack(">HHHLLL", 1, 0x013B, 2, len(artist) + 1, 26, 0) + artist + b"\0"
    source = tmp_path / "a.jpg"
    Image.fromarray(photo()).save(source, exif=b"Exif\0\0" + block)
    for suffix in (".png", ".jpg", ".tif", ".webp"):
        path = write(tmp_path / f"b{suffix}", noise(3, np.float32), "8", like=opened(source))
        assert artist + b"\0" in path.read_bytes()


def test_a_bigtiff_says_it_too_and_gets_it(tmp_path, photographed, monkeypatch):
    monkeypatch.setattr("hdmatt.pictures.writer._CLASSIC_TIFF_BYTES", 0)
    path = write(tmp_path / "a.tif", noise(3, np.float32), "8", like=photographed)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff and file.pages.first.tags["ExifTag"].value["LensModel"] == "RF 85"
    assert opened(path).description == photographed.description


@pytest.mark.parametrize(
    ("exif", "xmp"),
    [
        (b"Exif\0\0II*\0\x08\0\0\0\xff\0", XMP),  # ends within its directory
        (b"Exif\0\0XX*\0\x08\0\0\0\0\0", XMP),
        (b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHLLL", 1, 0x010F, 2, 2**31, 8, 0), XMP),  # a value of 2 GiB
        (camera_exif().tobytes(), b"<x:xmpmeta"),
        (camera_exif().tobytes(), b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'),
        (camera_exif().tobytes(), b"<a>" * 16_000 + b"</a>" * 0),
    ],
)
def test_what_is_damaged_is_left_out_with_a_note_and_the_rest_travels(tmp_path, exif, xmp):
    found = opened(save_described(tmp_path / "a.jpg", photo(), exif, xmp))
    assert len(found.notes) == 1 and "which was left out" in found.notes[0]
    assert bool(found.description.exif) == (xmp is not XMP) and bool(found.description.xmp) == (xmp is XMP)


def test_more_than_outputs_can_hold_is_left_out_with_a_note(tmp_path):
    words = "".join(f"<rdf:li>word {number}</rdf:li>" for number in range(4000))
    xmp = XMP.replace(b"<rdf:li>hair</rdf:li>", words.encode())
    found = opened(save_described(tmp_path / "a.png", photo(), camera_exif(), xmp))
    assert "XMP, which was left out" in found.notes[0] and found.description.exif and not found.description.xmp


def test_compressed_xmp_is_read_and_a_bomb_is_not(tmp_path):
    for text, fine in ((XMP, True), (bytes(2**27), False)):
        chunk = b"iTXtXML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text)
        data = save(tmp_path / "a.png", noise()).read_bytes()
        chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        (tmp_path / "b.png").write_bytes(data[:33] + chunk + data[33:])
        found = opened(tmp_path / "b.png")
        assert bool(found.description.xmp) == fine and bool(found.notes) != fine


@pytest.mark.parametrize("how", [{"metadata": {"axes": "YXS"}}, {"imagej": True}, {"ome": True}])
def test_a_caption_that_says_how_pixels_are_stored_stays_behind(tmp_path, caplog, how):
    tifffile.imwrite(tmp_path / "a.tif", noise(3), photometric="rgb", **how)
    path = write(tmp_path / "b.tif", noise(1, np.float32)[:5, :4], "8", like=opened(tmp_path / "a.tif"))
    with tifffile.TiffFile(path) as file:
        assert np.asarray(file.asarray()).shape == (5, 4)
    assert not caplog.records  # tifffile's complaints of another shape


def test_pictures_without_any_have_no_note(tmp_path):
    for suffix in (".png", ".jpg", ".tif", ".webp"):
        Image.fromarray(noise()).save(tmp_path / f"a{suffix}")
        found = opened(tmp_path / f"a{suffix}")
        assert found.description == Description() and found.notes == ()


def test_cmyk_of_photoshop_has_a_note(tmp_path):
    psd(8, 4)(tmp_path / "a.psd", noise())
    assert opened(tmp_path / "a.psd").notes == ("holds CMYK colours, which became RGB by the plain formula",)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_has_a_note(tmp_path, suffix):
    Image.new("CMYK", (8, 6), (10, 200, 30, 40)).save(tmp_path / f"a{suffix}")
    assert opened(tmp_path / f"a{suffix}").notes == ("holds CMYK colours, which became RGB by the plain formula",)
    Image.new("CMYK", (8, 6)).save(tmp_path / f"b{suffix}", icc_profile=profile(b"CMYK"))
    assert opened(tmp_path / f"b{suffix}").notes[0].endswith("not by its ICC profile")
