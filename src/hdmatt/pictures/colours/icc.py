"""ICC profiles: the curves and primaries of those that have them.

Knows no files and no pixels.

    encoding_of_profile    a profile's encoding
    primaries              what leads from linear light in given primaries to Rec. 709's

LittleCMS (by Pillow) reads the profile and its primaries. The curves we read: Pillow hands out none, and converts no
more than 8 bits a colour; OpenColorIO reads profiles from files only, and clips.
"""

import struct
from io import BytesIO
from typing import Any

import numpy as np

from hdmatt.pictures.colours.encoding import LIGHT, Curve, Encoding, Matrix, Parametric, Sampled, Srgb

_TABLES = (b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2")  # tags that programs prefer to the curves
_HDR = {16: "PQ", 18: "HLG"}  # ITU-T H.273, transfer characteristics
# the primaries of Rec. 709 in the profile connection space, D50: columns of sRGB's profile (Lindbloom, Bradford)
_REC709_D50 = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])
_SAME = 0.003  # profiles of one space differ by this much in a matrix


def encoding_of_profile(icc: bytes) -> Encoding:
    """The encoding that a profile describes; without curves where it has none, or cannot be read."""
    from PIL import ImageCms  # here, because few pictures need it

    try:
        facts: Any = ImageCms.ImageCmsProfile(BytesIO(icc)).profile
        name = f"the ICC profile {str(facts.profile_description or '').strip() or 'without a name'}"
        tags = _tags(icc)
        code = tags[b"cicp"][9] if len(tags.get(b"cicp", b"")) >= 12 else 0
    except (OSError, ValueError, struct.error, IndexError, ImageCms.PyCMSError):
        return Encoding("an ICC profile that is damaged", (), label=("ICC",))
    unknown = Encoding(name, (), label=("ICC",), refused=f"a picture in {_HDR[code]} ({name})" if code in _HDR else "")
    if unknown.refused or any(tag in tags for tag in _TABLES):
        return unknown
    grey = str(facts.xcolor_space).strip() == "GRAY"
    curves = [_curve(tags.get(tag, b"")) for tag in ((b"kTRC",) if grey else (b"rTRC", b"gTRC", b"bTRC"))]
    if None in curves:
        return unknown
    matrix = None
    if not grey:
        columns = [facts.red_colorant, facts.green_colorant, facts.blue_colorant]
        if None in columns:
            return unknown
        matrix = _to_rec709(np.array([column[0] for column in columns]).T)
    same = tuple(curve for curve in curves if curve is not None)
    same = same[:1] if len(set(same)) == 1 else same
    return Encoding(name, same, matrix, light=all(curve == LIGHT for curve in same), label=("ICC",))


def primaries(chromaticities: tuple[float, ...]) -> Matrix | None:
    """What leads from linear light in these primaries to Rec. 709's; None if they are the same.

    Args:
        chromaticities: x and y of red, green, blue and white.

    Source:
        Matrix of primaries: SMPTE RP 177. Other whites: linear Bradford (ICC.1:2022, annex E).
    """
    xy = np.array(chromaticities, np.float64).reshape(4, 2)
    xyz = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(axis=1)) / xy[:, 1]])
    columns, white = xyz[:, :3], xyz[:, 3]
    columns = columns * np.linalg.solve(columns, white)
    scale = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    return _to_rec709(np.linalg.solve(_BRADFORD, scale @ _BRADFORD) @ columns)


def _to_rec709(d50: np.ndarray) -> Matrix | None:
    matrix = np.linalg.solve(_REC709_D50, d50)
    if np.abs(matrix - np.eye(3)).max() < _SAME:
        return None
    first, second, third = ((float(row[0]), float(row[1]), float(row[2])) for row in matrix)
    return first, second, third


def _tags(icc: bytes) -> dict[bytes, bytes]:
    """The profile's tags. ICC.1:2022, 7.3: a count, then signature, offset and size of each."""
    (count,) = struct.unpack_from(">I", icc, 128)
    entries = [struct.unpack_from(">4sII", icc, 132 + 12 * i) for i in range(min(count, 200))]
    return {signature: icc[offset : offset + size] for signature, offset, size in entries}


def _curve(tag: bytes) -> Curve | None:
    """A curve of the types "curv" and "para" (ICC.1:2022, 10.6 and 10.18); None for another, or a falling one."""
    try:
        if tag[:4] == b"para":
            (kind,) = struct.unpack_from(">H", tag, 8)
            return _parametric([v / 65536 for v in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)])
        (count,) = struct.unpack_from(">I", tag, 8)
        if tag[:4] != b"curv" or len(tag) < 12 + 2 * count:
            return None
        values = struct.unpack_from(f">{count}H", tag, 12)
    except (struct.error, IndexError):
        return None
    if count < 2:
        return _power(values[0] / 256 if count else 1.0)
    samples = np.array(values) / 65535
    if np.abs(samples - np.linspace(0, 1, count)).max() < 1e-3:
        return LIGHT
    return Sampled(tuple(samples.tolist())) if (np.diff(samples) >= 0).all() and samples[-1] > samples[0] else None


def _parametric(p: list[float]) -> Curve | None:
    gamma, a, b, c, d, e, f = [*p, *[0.0] * (7 - len(p))] if len(p) != 1 else [p[0], 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    if gamma <= 0 or a <= 0:
        return None
    if len(p) == 1:
        return _power(gamma)
    if len(p) in (3, 4):  # y = (a x + b)^gamma + c from -b/a on, c below
        return Parametric(gamma, a, b, d=max(0.0, -b / a), e=c, f=c)
    if len(p) == 5 and np.allclose([gamma, a, b, c, d], [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045], atol=1e-3):
        return Srgb()
    return Parametric(gamma, a, b, c, d, e, f)


def _power(gamma: float) -> Curve | None:
    return None if gamma <= 0 else LIGHT if abs(gamma - 1) < 1e-3 else Parametric(gamma)
