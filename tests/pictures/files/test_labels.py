"""What files say about their numbers, in and out, by Pillow's, tifffile's and OpenEXR's word."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import tifffile
from PIL import Image
from PIL.ExifTags import IFD
from small_pictures import info, write
from small_profiles import ADOBE, SRGB_CURVE, gamma, make_profile

from hdmatt.errors import InputError
from hdmatt.pictures.colours.encoding import LINEAR, SRGB, Encoding, Parametric, Srgb, transfer
from hdmatt.pictures.colours.icc import encoding_of_profile, primaries
from hdmatt.pictures.files.formats import FORMATS
from hdmatt.pictures.files.labels import written_as
from hdmatt.pictures.info import InputOptions, PictureInfo
from hdmatt.pictures.reader import open_picture

REC2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)


def png(path: Path, **chunks: bytes) -> Path:
    """A PNG of Pillow with more chunks after its head."""
    Image.fromarray(PIXELS).save(path)
    content = path.read_bytes()
    more = [
        struct.pack(">I", len(value)) + (body := name.encode() + value) + struct.pack(">I", zlib.crc32(body))
        for name, value in chunks.items()
    ]
    path.write_bytes(content[:33] + b"".join(more) + content[33:])
    return path


def chunks(path: Path) -> dict[bytes, bytes]:
    content, found, at = path.read_bytes(), {}, 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        found[content[at + 4 : at + 8]] = content[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def encoding(path: Path, **options: str) -> Encoding:
    with open_picture(path, InputOptions(**options)) as picture:
        return picture.info.encoding


def gama(value: float) -> bytes:
    return struct.pack(">I", round(value * 100000))


def chrm(red_green_blue_white: tuple[float, ...]) -> bytes:
    *colours, x, y = red_green_blue_white
    return struct.pack(">8I", *(round(value * 100000) for value in (x, y, *colours)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, SRGB),
        ({"gAMA": gama(1.0)}, LINEAR),
        ({"gAMA": gama(1 / 1.8)}, Encoding("", (Parametric(1 / 0.55556),))),
        ({"gAMA": gama(1 / 2.2), "sRGB": b"\0"}, SRGB),
        ({"gAMA": gama(1 / 2.2), "cHRM": chrm(ADOBE)}, Encoding("", (Parametric(1 / 0.45455),), primaries(ADOBE))),
        ({"cHRM": chrm(ADOBE)}, Encoding("", (Srgb(),), primaries(ADOBE))),
        ({"cICP": bytes([1, 13, 0, 1])}, SRGB),
        ({"cICP": bytes([1, 8, 0, 1])}, LINEAR),
        ({"cICP": bytes([1, 1, 0, 1])}, transfer("Rec.709")),
        ({"cICP": bytes([2, 2, 0, 1]), "gAMA": gama(1.0)}, LINEAR),
    ],
)
def test_the_chunks_of_a_png_count(tmp_path, given, expected):
    found = encoding(png(tmp_path / "a.png", **given))
    assert found == replace(expected, light=expected == LINEAR or expected.light)


def test_wide_primaries_of_cicp_are_those_of_display_p3(tmp_path):
    found = encoding(png(tmp_path / "a.png", cICP=bytes([12, 13, 0, 1])))
    profile = encoding_of_profile(make_profile(SRGB_CURVE, "Display P3"))
    assert found.curves == profile.curves
    np.testing.assert_allclose(found.to_rec709, profile.to_rec709, rtol=0, atol=2e-3)


@pytest.mark.parametrize(("code", "name"), [(16, "PQ"), (18, "HLG"), (9, "cICP 9-9")])
def test_numbers_that_we_cannot_use_say_so_once_they_are_used(tmp_path, code, name):
    assert name in encoding(png(tmp_path / "a.png", cICP=bytes([9, code, 0, 1]))).refused


@pytest.mark.parametrize(("ratio", "expected"), [((0, 0), SRGB), ((1, 1), LINEAR), ((18, 10), Parametric(1.8))])
def test_the_gamma_of_a_tga_counts(tmp_path, ratio, expected):
    path = tmp_path / "a.tga"
    Image.fromarray(PIXELS).save(path)
    content = path.read_bytes().partition(b"\0\0\0\0\0\0\0\0TRUEVISION")[0]
    extension = (struct.pack("<H", 495) + bytes(476) + struct.pack("<HH", *ratio)).ljust(495, b"\0")
    path.write_bytes(content + extension + struct.pack("<II", len(content), 0) + b"TRUEVISION-XFILE.\0")
    found = encoding(path)
    assert expected in (found, *found.curves)


def test_numbers_of_narrow_range_are_refused(tmp_path):
    assert "narrow range" in encoding(png(tmp_path / "a.png", cICP=bytes([1, 1, 0, 0]))).refused


def test_floats_without_a_label_are_linear_and_integers_are_srgb(tmp_path):
    for dtype, expected in ((np.uint8, SRGB), (np.uint16, SRGB), (np.float32, LINEAR), (np.float16, LINEAR)):
        tifffile.imwrite(tmp_path / "a.tif", PIXELS.astype(dtype), photometric="rgb")
        assert encoding(tmp_path / "a.tif") == expected


def test_a_profile_says_what_a_float_tiff_holds(tmp_path):
    icc = make_profile(SRGB_CURVE)
    tifffile.imwrite(tmp_path / "a.tif", PIXELS.astype(np.float32) / 255, photometric="rgb", iccprofile=icc)
    assert encoding(tmp_path / "a.tif") == SRGB


def test_a_jpeg_of_a_camera_set_to_adobe_rgb_is_that(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[0xA001] = 65535
    exif.get_ifd(IFD.Exif)[0xA005] = {1: "R03"}
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    found = encoding(tmp_path / "a.jpg")
    assert found.to_rec709 == primaries(ADOBE) and found.curves == (Parametric(563 / 256),)


def test_primaries_of_an_exr_count(tmp_path):
    rgb = {"RGB": PIXELS.astype(np.float32)}
    with OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "chromaticities": ADOBE}, rgb) as file:
        file.write(str(tmp_path / "a.exr"))
    found = encoding(tmp_path / "a.exr")
    assert found.linear and found != LINEAR
    np.testing.assert_allclose(found.to_rec709, primaries(ADOBE), rtol=0, atol=1e-6)


def test_what_the_caller_says_counts_before_what_the_file_says_but_not_before_a_profile(tmp_path):
    path = png(tmp_path / "a.png", gAMA=gama(1.0))
    assert encoding(path, transfer="srgb") == SRGB
    assert encoding(path, transfer="ARRI LogC4") == transfer("ARRI LogC4")
    for chunk in ({"cHRM": chrm(ADOBE)}, {"cICP": bytes([9, 16, 0, 1])}):  # primaries that the file names stay
        own, named = encoding(png(path, **chunk)), encoding(path, transfer="ST-2084 - Curve")
        assert named.to_rec709 == (own.to_rec709 or primaries(REC2020)) and not named.refused
        assert written_as(info(encoding=named), FORMATS[".png"], "8").encoding == named  # its numbers stay, too
    Image.fromarray(PIXELS).save(path, icc_profile=make_profile(gamma(1.0)))
    with pytest.raises(InputError, match="has an ICC profile"):
        encoding(path, transfer="sRGB")


OWN = {
    "none": info(),
    "profile": info(icc=make_profile(gamma(1.8), "ProPhoto RGB")),
    "grey profile": info(icc=make_profile(gamma(1.8), grey=True)),
    "gAMA": info(encoding=Encoding("g", (Parametric(1.8),), label=("gAMA", 1.8))),
    "camera": info(encoding=transfer("ARRI LogC4")),
    "typed linear": info(encoding=transfer("linear")),
    "light": info(encoding=LINEAR),
    "primaries": info(encoding=replace(LINEAR, to_rec709=primaries(ADOBE), label=("chromaticities",))),
}
OWN = {name: replace(own, encoding=encoding_of_profile(own.icc)) if own.icc else own for name, own in OWN.items()}


@pytest.mark.parametrize(
    ("suffix", "depth", "kept"),
    [
        (".exr", "half", ["light", "primaries", "typed linear"]),
        (".tif", "float", ["profile", "light", "typed linear"]),
        (".tif", "16", ["none", "profile", "camera"]),
        (".png", "16", ["none", "profile", "camera", "gAMA"]),
        (".jpg", "8", ["none", "profile", "camera"]),
        (".webp", "8", ["none", "profile", "camera"]),
        (".psd", "16", ["none", "profile", "camera"]),
    ],
)
def test_an_output_holds_the_pictures_own_numbers_where_it_can_say_what_they_mean(suffix, depth, kept):
    for name, own in OWN.items():
        found = written_as(own, FORMATS.get(suffix), depth)
        default = LINEAR if suffix == ".exr" or depth == "float" else SRGB
        assert found.encoding == (own.encoding if name in kept else default), name
        assert found.icc == (own.icc if name == "profile" and suffix != ".exr" else None), name


def written(path: Path, own: PictureInfo) -> Path:
    return write(path, PIXELS[:1].astype(np.float32) / 255, "8", like=replace(own, height=1, width=5))


def test_a_png_says_which_gamma_it_has(tmp_path):
    for value in (1.0, 1.8, 2.2):
        path = written(tmp_path / "a.png", info(encoding=Encoding("", (Parametric(value),), label=("gAMA", value))))
        found = chunks(path)
        assert found[b"gAMA"] == gama(1 / value) and not found.keys() & {b"sRGB", b"iCCP", b"cHRM", b"cICP"}
        with Image.open(path) as picture:
            assert picture.info["gamma"] == pytest.approx(1 / value, abs=1e-5)


def test_a_png_says_its_cicp_and_nothing_of_a_cameras_curve(tmp_path):
    own = encoding(png(tmp_path / "a.png", cICP=bytes([12, 13, 0, 1])))
    assert chunks(written(tmp_path / "b.png", info(encoding=own)))[b"cICP"] == bytes([12, 13, 0, 1])
    found = chunks(written(tmp_path / "c.png", OWN["camera"]))
    assert not found.keys() & {b"gAMA", b"sRGB", b"iCCP", b"cHRM", b"cICP"}
    assert b"sRGB" in chunks(written(tmp_path / "d.png", OWN["none"]))
