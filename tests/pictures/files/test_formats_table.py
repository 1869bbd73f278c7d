"""Every cell of docs/formats.md: files of other programs read by us, and ours read by other programs."""

import re
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import OpenEXR
import pytest
import tifffile
from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import Resource
from small_exr import windows
from small_files import HEIGHT, SAMPLES, WIDTH, Sample
from small_metadata import camera_exif, save_described
from small_pictures import info, photo, whole
from small_profiles import ADOBE, SRGB_CURVE, gamma, make_profile

from docs import formats_table
from docs.formats_table import READ, WRITE, Kind, Written
from hdmatt.errors import InputError, OutputError
from hdmatt.pictures.colours.encoding import LINEAR, SRGB, check_usable
from hdmatt.pictures.colours.icc import encoding_of_profile
from hdmatt.pictures.files.formats import FORMATS, Extras
from hdmatt.pictures.files.labels import written_as
from hdmatt.pictures.files.psd import PsdWriter
from hdmatt.pictures.info import NO_DESCRIPTION, Description, ExrWindows, InputOptions, PictureInfo
from hdmatt.pictures.reader import as_float, open_picture
from hdmatt.pictures.trimap import open_trimap
from hdmatt.pictures.writer import PictureWriter

DEPTHS = {"8": np.uint8, "16": np.uint16, "half": np.float16, "float": np.float32}
RESOLUTION = (300, 150)
PLAIN = Extras()
DESCRIBING = ("Exif", "XMP")  # read in the same way whatever the pixels are: tested once a format
SUFFIXES = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif", "WebP": "webp", "AVIF": "avif", "HEIC": "heic"}


def name(row: Kind | Written | str) -> str:
    if isinstance(row, str):
        return row
    return f"{row.format}: {row.kind if isinstance(row, Kind) else row.depth}"


def samples(kind: Kind) -> list[Sample]:
    return SAMPLES[kind.format, kind.kind]


def kinds(*, that: str = "") -> pytest.MarkDecorator:
    """Parametrised by the rows with a column that says something."""
    return pytest.mark.parametrize("kind", [kind for kind in READ if getattr(kind, that) not in ("-", ())], ids=name)


def test_the_page_is_what_the_table_says():
    assert formats_table.main(["--check"]) == 0, "python docs/formats_table.py"


def test_every_row_has_samples():
    assert [(kind.format, kind.kind) for kind in READ] == list(SAMPLES)


@kinds(that="picture")
def test_a_picture(tmp_path, kind):
    for number, sample in enumerate(samples(kind)):
        path = tmp_path / f"{number}.{sample.suffix}"
        numbers = sample.pixels()
        sample.make(path, numbers)
        if kind.picture.startswith("refused: "):
            with pytest.raises(InputError, match=_literally(kind.picture)), open_picture(path) as picture:
                check_usable(picture.info.encoding, str(path))
            continue
        shares = numbers[..., : sample.channels - sample.alpha] / sample.white
        expected = np.broadcast_to(shares, (HEIGHT, WIDTH, 3))
        np.testing.assert_allclose(as_float(whole(path)), expected, rtol=0, atol=sample.step, err_msg=str(number))
        with open_picture(path) as picture:
            assert picture.info.dtype == DEPTHS[kind.depth], number
            check_usable(picture.info.encoding, str(path))
        assert kind.picture != "exact" or sample.step < 1 / 2**14


@kinds(that="trimap")
def test_a_trimap(tmp_path, kind):
    for number, sample in enumerate(samples(kind)):
        path = tmp_path / f"{number}.{sample.suffix}"
        numbers, marks = sample.trimap()
        sample.make(path, numbers)
        if kind.trimap.startswith("refused: "):
            with pytest.raises(InputError, match=_literally(kind.trimap)):
                open_trimap(path)
            continue
        with open_trimap(path) as trimap:
            np.testing.assert_array_equal(trimap.rows(0, HEIGHT), marks, err_msg=str(number))


@pytest.mark.parametrize("kind", [kind for kind in READ if kind.picture[:7] != "refused"], ids=name)
def test_an_alpha(tmp_path, kind):
    sample = samples(kind)[0]
    path = tmp_path / f"a.{sample.suffix}"
    numbers = sample.pixels()
    sample.make(path, numbers)
    with open_picture(path) as picture:
        assert picture.info.has_alpha == (kind.alpha != "-")
        if sample.alpha:
            alpha = picture.alpha()
            np.testing.assert_allclose(alpha, numbers[..., -1] / sample.white, rtol=0, atol=max(sample.step, 1e-6))


@pytest.mark.parametrize(("kind", "label"), [(kind, label) for kind in READ for label in kind.colour], ids=name)
def test_what_the_numbers_are(tmp_path, kind, label):
    sample = samples(kind)[0]
    path = tmp_path / f"a.{sample.suffix}"
    profile = make_profile(SRGB_CURVE, grey=sample.channels <= 2)
    given = {
        "ICC": {"icc": profile},
        "gAMA": {"gama": 1.0},
        "cICP": {"cicp": (1, 8)},
        "chromaticities": {"chromaticities": ADOBE},
    }.get(label, {})
    sample.make(path, sample.pixels(), **given)
    with open_picture(path) as picture:
        found = picture.info
    if label == "--transfer":
        with pytest.raises(InputError, match="film scan"):
            check_usable(found.encoding, str(path))
        with open_picture(path, InputOptions(transfer="ARRI LogC4")) as picture:
            check_usable(picture.info.encoding, str(path))
    elif label == "ICC":
        assert found.icc == profile
    elif label == "chromaticities":
        assert found.linear and found.encoding.to_rec709
    else:
        assert found.encoding == (SRGB if label == "sRGB" else LINEAR), found.encoding


@pytest.mark.parametrize(
    ("kind", "label"), [(kind, label) for kind in READ for label in kind.metadata if label not in DESCRIBING], ids=name
)
def test_what_is_read_besides(tmp_path, kind, label):
    sample = samples(kind)[0]
    path = tmp_path / f"a.{sample.suffix}"
    numbers = sample.pixels()
    if label == "orientation":
        sample.make(path, numbers)
        upright = whole(path)
        sample.make(path, numbers, orientation=6)
        np.testing.assert_allclose(whole(path), np.rot90(upright, 3), rtol=0, atol=4 if kind.picture == "lossy" else 0)
        return
    if label == "resolution":
        sample.make(path, numbers, resolution=RESOLUTION)
        with open_picture(path) as picture:
            assert picture.info.resolution is not None
            x, y, unit = picture.info.resolution
        inches = 2.54 if unit == "cm" else 1
        # whole pixels in a metre, as PNG and BMP have it
        np.testing.assert_allclose((x * inches, y * inches), RESOLUTION, rtol=1e-3)
    elif label == "attributes":
        sample.make(path, numbers, comments="a note")
        with open_picture(path) as picture:
            assert ("ImageDescription", "a note") in [(found.name, found.value) for found in picture.info.attributes]
    else:
        assert label == "windows"
        sample.make(path, numbers, **windows((3, -2, WIDTH, HEIGHT), (0, 0, 40, 30)))
        with open_picture(path) as picture:
            assert picture.info.windows == (3, -2, 0, 0, 40, 30)


@pytest.mark.parametrize("file_format", SUFFIXES)
def test_what_describes_the_picture(tmp_path, file_format):
    described = [kind for kind in READ if set(DESCRIBING) <= set(kind.metadata)]
    assert {kind.format for kind in described} == set(SUFFIXES)
    found = description(tmp_path / f"a.{SUFFIXES[file_format]}")
    assert b"Canon" in found.exif and b"Canon" in found.xmp


@pytest.mark.parametrize("row", WRITE, ids=name)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_is_written_is_what_others_read(tmp_path, row, channels):
    white = {"8": 255, "16": 65535}.get(row.depth, 1)
    dtype = np.dtype(DEPTHS[row.depth])
    given = ramp(channels, dtype, white)
    path = tmp_path / f"a.{row.format.lower()}"
    if channels == 4 and row.alpha == "-":
        with pytest.raises(OutputError, match="no alpha channel"):
            written(path, given, row, info())
        return
    written(path, given, row, info())
    numbers = read_by_others(path, channels) * (1 if row.format in ("PSD", "PSB") else 1 / white)
    expected = given.copy()
    if row.alpha == "premultiplied" and channels == 4:
        expected[..., :3] *= expected[..., 3:]
    # the rounding of half floats: 11 bits; lossy: a smooth ramp of at most 4 steps
    lossy = (row.matte if channels == 1 else row.colours) == "lossy"
    within = 4 / 255 if lossy else 2**-11 if row.depth == "half" else 1e-6
    np.testing.assert_allclose(numbers.reshape(expected.shape), expected, rtol=0, atol=within)


@pytest.mark.parametrize("row", WRITE, ids=name)
def test_what_the_written_numbers_are(row):
    file_format = FORMATS.get(f".{row.format.lower()}")
    profile = make_profile(gamma(1.8), "Adobe RGB")
    pictures = {
        "sRGB": info(),
        "linear": info(encoding=LINEAR, dtype=np.dtype(np.float32)),
        "profile": info(icc=profile, encoding=encoding_of_profile(profile)),
    }
    found = {key: written_as(picture, file_format, row.depth).encoding for key, picture in pictures.items()}
    own = pictures["profile"].encoding
    expected = {
        "own or sRGB": {"sRGB": SRGB, "linear": SRGB, "profile": own},
        "profile or linear": {"sRGB": LINEAR, "linear": LINEAR, "profile": own},
        "linear": {"sRGB": LINEAR, "linear": LINEAR, "profile": LINEAR},
    }[row.numbers]
    assert found == expected


@pytest.mark.parametrize(("row", "label"), [(row, label) for row in WRITE for label in row.metadata], ids=name)
def test_what_is_written_besides(tmp_path, row, label):
    path = tmp_path / f"a.{row.format.lower()}"
    profile = make_profile(SRGB_CURVE)
    noted = tmp_path / "noted.exr"
    SAMPLES["EXR", "RGB of floats"][0].make(noted, np.zeros((HEIGHT, WIDTH, 3), np.float32), comments="a note")
    with open_picture(noted) as picture:
        attributes = picture.info.attributes
    like = info(
        icc=profile if label == "ICC" else None,
        resolution=(300.0, 150.0, "in") if label == "resolution" else None,
        windows=ExrWindows(3, -2, 0, 0, 40, 30) if label == "windows" else None,
        attributes=attributes if label == "attributes" else (),
        description=description(tmp_path / "described.jpg") if label in DESCRIBING else NO_DESCRIPTION,
    )
    extras = Extras(windows=ExrWindows(7, 5, 0, 0, 90, 80)) if label == "offset" else PLAIN
    written(path, ramp(3, np.dtype(DEPTHS[row.depth]), {"8": 255, "16": 65535}.get(row.depth, 1)), row, like, extras)
    if label in DESCRIBING:
        assert b"Canon" in block_by_others(path, label)
        return
    assert (
        label_by_others(path, label)
        == {
            "ICC": profile,
            "resolution": RESOLUTION,
            "windows": ((3, -2), (39, 29)),
            "offset": (7, 5),
            "attributes": "a note",
        }[label]
    )


def description(path: Path) -> Description:
    """That of a camera's picture, as we read it."""
    with open_picture(save_described(path, photo(), camera_exif())) as picture:
        return picture.info.description


def ramp(channels: int, dtype: np.dtype[Any], white: float) -> np.ndarray:
    """Shares of white that the depth holds exactly."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    shares = np.stack([60 + 5 * y, 200 - 3 * x, 90 + 2 * x + y, 10 * x], -1)[..., :channels] / 255
    numbers = np.rint(shares * white) / white if dtype.kind == "u" else shares.astype(dtype)
    return numbers.astype(np.float32)


def written(path: Path, shares: np.ndarray, row: Written, like: PictureInfo, extras: Extras = PLAIN) -> None:
    """By us; in layers of Photoshop one channel is the mask of a black layer."""
    size = shares.shape[:2]
    if row.format in ("PSD", "PSB"):
        colours = shares[..., :3] if shares.shape[2] > 1 else np.zeros((*size, 3), np.float32)
        mask = shares[..., -1] if shares.shape[2] in (1, 4) else np.ones(size, np.float32)
        with PsdWriter(path, *size, bit_depth=row.depth, like=like) as psd:
            psd.write(colours, colours, mask)
    else:
        some = {"channels": shares.shape[2], "bit_depth": row.depth, "like": like, "extras": extras}
        with PictureWriter(path, *size, **some) as writer:
            writer.write(shares)


def read_by_others(path: Path, channels: int) -> np.ndarray:
    """The numbers of a file by a program that is not ours, alpha last; of Photoshop's as shares."""
    if path.suffix == ".png":
        return np.asarray(imagecodecs.png_decode(path.read_bytes()), np.float64)
    if path.suffix == ".tiff":
        return np.asarray(tifffile.imread(path), np.float64)
    if path.suffix == ".exr":
        with OpenEXR.File(str(path), separate_channels=True) as file:
            found = file.channels()
            return np.stack([found[key].pixels for key in ("Y" if channels == 1 else "RGBA"[:channels])], -1)
    if path.suffix in (".psd", ".psb"):
        layer = list(PSDImage.open(path))[-1]
        mask, colours = layer.numpy("mask"), layer.numpy("color")
        return {1: mask, 3: colours, 4: np.concatenate([colours, mask], -1)}[channels]
    with Image.open(path) as image:
        # WebP has no grey: it comes as three equal channels
        return np.asarray(image.convert("L") if channels == 1 else image, np.float64)


def label_by_others(path: Path, label: str) -> Any:
    if path.suffix == ".exr":
        with OpenEXR.File(str(path)) as file:
            header = dict(file.header())
        if label == "windows":
            return tuple(header["dataWindow"][0]), tuple(header["displayWindow"][1])
        x = header.get("xDensity")
        return header["comments"] if label == "attributes" else (round(x), round(x * header["pixelAspectRatio"]))
    if path.suffix in (".psd", ".psb"):
        resources = PSDImage.open(path).image_resources
        if label == "ICC":
            return resources.get_data(Resource.ICC_PROFILE)
        shown = resources.get_data(Resource.RESOLUTION_INFO)
        return shown.horizontal // 65536, shown.vertical // 65536
    if path.suffix == ".tiff":
        with tifffile.TiffFile(path) as file:
            tags = file.pages[0].tags
            found = {"ICC": ("InterColorProfile",), "offset": ("XPosition", "YPosition")}
            values = [tags[name].value for name in found.get(label, ("XResolution", "YResolution"))]
        return values[0] if label == "ICC" else tuple(number / of for number, of in values[:2])
    if label == "offset":
        at = (data := path.read_bytes()).index(b"oFFs") + 4
        return struct.unpack(">ii", data[at : at + 8])
    with Image.open(path) as image:
        return image.info["icc_profile"] if label == "ICC" else tuple(round(value) for value in image.info["dpi"])


def block_by_others(path: Path, label: str) -> bytes:
    """Exif with its maker as text, or the XMP packet."""
    if path.suffix in (".psd", ".psb"):
        kind = Resource.EXIF_DATA_1 if label == "Exif" else Resource.XMP_METADATA
        return bytes(PSDImage.open(path).image_resources[kind].data)
    if path.suffix == ".tiff":
        with tifffile.TiffFile(path) as file:
            value = file.pages[0].tags["Make" if label == "Exif" else "XMP"].value
        return value.encode() if isinstance(value, str) else value
    with Image.open(path) as image:
        if label == "Exif":
            return str(image.getexif()[0x010F]).encode()
        found = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]
    return found.encode() if isinstance(found, str) else found


def _literally(refusal: str) -> str:
    return re.escape(refusal.removeprefix("refused: "))
