"""Exif and XMP as cameras and programs write them, made by Pillow."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

EXIF, GPS = 0x8769, 0x8825
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
PICTURE = {0x010E: "a caption", 0x010F: "Canon", 0x0110: "EOS R5", 0x0132: "2024:05:06 07:08:09", 0x013B: "an artist"}
PICTURE |= {0x8298: "no rights", 0x9C9E: "hair; grass\0".encode("utf-16-le")}
CAMERA = {
    0x829A: IFDRational(1, 250),
    0x829D: IFDRational(28, 10),
    0x8827: 400,
    0x9003: "2024:05:06 07:08:09",
    0x9204: IFDRational(-1, 3),
    0x9286: b"ASCII\0\0\0a comment",
    0x9209: 0,  # no flash
    0x920A: IFDRational(85, 1),
    0xA432: (IFDRational(24), IFDRational(105), IFDRational(28, 10), IFDRational(4)),
    0xA434: "RF 85",
}
PLACE = {1: "N", 2: (IFDRational(48), IFDRational(12), IFDRational(3012, 100)), 3: "E", 6: IFDRational(500)}
PLACE |= {4: (IFDRational(11), IFDRational(30), IFDRational(0)), 29: "2024:05:06"}
WRONG = {0x0112: 6, 0x0128: 2, 0x0100: 9, 0x0101: 9}  # of the first directory
WRONG_CAMERA = {0x927C: b"maker", 0xA001: 1, 0xA002: 9, 0xA003: 9, 0xA500: IFDRational(22, 10), 0x9214: (1, 2, 3)}
XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 tiff:Orientation="6" tiff:Make="Canon"
 exif:PixelXDimension="9" exif:ColorSpace="1" crs:Exposure2012="+1" xmp:Rating="4"
 dc:format="image/jpeg"><dc:subject><rdf:Bag><rdf:li>hair</rdf:li><rdf:li>Gräser</rdf:li></rdf:Bag></dc:subject>
<xmp:Thumbnails>a thumbnail</xmp:Thumbnails></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()
LEFT_OUT = (b"Orientation", b"PixelXDimension", b"ColorSpace", b"Exposure2012", b"format", b"thumbnail")


def camera_exif() -> Image.Exif:
    """All of the above."""
    exif = Image.Exif()
    exif.update(PICTURE | WRONG)
    exif.get_ifd(EXIF).update(CAMERA | WRONG_CAMERA)
    exif.get_ifd(GPS).update(PLACE)
    return exif


def save_described(path: Path, pixels: np.ndarray, exif: Any, xmp: bytes = XMP) -> Path:
    """A picture with them, by Pillow; AVIF and HEIC nearly lossless."""
    picture = Image.fromarray(pixels)
    if path.suffix == ".png":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        picture.save(path, exif=exif, pnginfo=text)
    elif path.suffix == ".tif":
        tags = camera_exif()
        tags.update({EXIF: 0, GPS: 0, 700: xmp})  # places that Pillow fills in
        for tag in (0x0100, 0x0101):
            del tags[tag]
        picture.save(path, exif=tags)
    elif path.suffix == ".heic":
        from pillow_heif import from_pillow

        from_pillow(picture).save(path, exif=exif.tobytes(), xmp=xmp, quality=100)
    else:
        picture.save(path, exif=exif, xmp=xmp, quality=100)
    return path
