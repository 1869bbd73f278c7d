"""ICC profiles, made tag by tag, and pictures of inks with one, for the tests."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

D65 = (0.3127, 0.3290)
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65)
ADOBE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *D65)
# red, green and blue in XYZ, adapted to D50: the profiles of Adobe and Kodak, of Apple, and of the ICC
COLORANTS = {
    "sRGB": ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)),
    "Adobe RGB": ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
    "ProPhoto RGB": ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)),
    "Display P3": ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
}


def gamma(value: float) -> bytes:
    """A curve of one number."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def table(values: list[float]) -> bytes:
    """A curve of samples in [0, 1]."""
    return b"curv" + bytes(4) + struct.pack(f">I{len(values)}H", len(values), *(round(v * 65535) for v in values))


def parametric(kind: int, *numbers: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(f">HH{len(numbers)}i", kind, 0, *(round(n * 65536) for n in numbers))


SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def make_profile(curve: bytes, space: str = "sRGB", *, grey: bool = False, **more: bytes) -> bytes:
    """A display profile, version 4; `more` are further tags."""
    tags = {b"desc": _text(space), b"cprt": _text("none"), b"wtpt": _xyz(0.9642, 1.0, 0.8249)}
    if grey:
        tags[b"kTRC"] = curve
    else:
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
        tags |= {name: _xyz(*xyz) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), COLORANTS[space], strict=True)}
    tags |= {name.encode(): value for name, value in more.items()}
    return _file(tags, struct.pack(">4s4s4s", b"mntr", b"GRAY" if grey else b"RGB ", b"XYZ "), version=0x04300000)


def _file(tags: dict[bytes, bytes], kind: bytes, *, version: int) -> bytes:
    """`kind`: the device's class, its colours, and those that it is connected by."""
    body, entries, start = b"", b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        entries += struct.pack(">4sII", name, start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI", start + len(body), bytes(4), version) + kind
    head += struct.pack(">6H4s28x3i", 2026, 1, 1, 0, 0, 0, b"acsp", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + body


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(encoded), 28) + encoded


def ink_profile(colour_of: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """A printer's profile, version 2: a table of the 16 mixtures of no ink and all of it.

    Args:
        colour_of: Inks [n, 4] in [0, 1] -> linear light of Rec. 709 [n, 3].
    """
    corners = np.array([[n >> 3 & 1, n >> 2 & 1, n >> 1 & 1, n & 1] for n in range(16)], np.float64)
    xyz = colour_of(corners) @ np.array(COLORANTS["sRGB"]) / (0.9642, 1.0, 0.8249)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)
    numbers = np.rint(lab * (2.55, 1, 1) + (0, 128, 128)).clip(0, 255).astype(np.uint8)
    ramp = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    lut += ramp * 4 + numbers.tobytes() + ramp * 3
    text = b"text" + bytes(4) + b"none\0"
    description = b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    tags = {b"desc": description, b"cprt": text, b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"A2B0": lut}
    return _file(tags, struct.pack(">4s4s4s", b"prtr", b"CMYK", b"Lab "), version=0x02400000)


def save_inks(path: Path, inks: np.ndarray, profile: bytes) -> Path:
    """A JPEG, TIFF (in tiles if it is called tiled) or PSD of inks [h, w, 4]; all of an ink is white of the type."""
    if path.suffix == ".jpg":
        Image.fromarray(inks, mode="CMYK").save(path, quality=100, icc_profile=profile)
    elif path.suffix == ".psd":
        save_psd(path, inks, profile)
    else:
        layout = {"tile": (16, 16)} if path.stem == "tiled" else {}
        tifffile.imwrite(path, inks, photometric="separated", iccprofile=profile, **layout)
    return path


def save_psd(
    path: Path,
    inks: np.ndarray,
    profile: bytes,
    *,
    bits: int = 8,
    big: bool = False,
    packed: bool = False,
    alpha: bool = False,
) -> Path:
    """A PSD or PSB without layers, of inks [h, w, 4] of 8 bit."""
    planes = 255 - np.moveaxis(inks, 2, 0)  # white minus the ink
    planes = np.concatenate([planes, planes[:alpha]]).astype(">u2" if bits == 16 else ">u1") * (
        257 if bits == 16 else 1
    )
    rows = [row.astype(planes.dtype).tobytes() for plane in planes for row in plane]
    if packed:
        rows = [_packed(row) for row in rows]
        rows = [struct.pack(">I" if big else ">H", len(row)) for row in rows] + rows
    block = b"8BIM" + struct.pack(">HHI", 1039, 0, len(profile)) + profile + bytes(len(profile) % 2)
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1 + big, len(planes), *inks.shape[:2], bits, 4) + bytes(4)
    layers = bytes(8 if big else 4)
    path.write_bytes(head + struct.pack(">I", len(block)) + block + layers + struct.pack(">H", packed) + b"".join(rows))
    return path


def _packed(row: bytes) -> bytes:
    """PackBits: runs of equal bytes, each byte apart otherwise."""
    found = b""
    for run in re.finditer(rb"(.)\1{0,127}", row, re.DOTALL):
        found += bytes([(257 - len(run[0])) % 256, run[1][0]])
    return found
