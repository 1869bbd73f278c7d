"""Encodings: how the numbers of a picture stand for light, and numbers of one encoding as those of another.

Arrays only; what a file says about its encoding is read in pictures/files/labels.py, what an ICC profile says in
pictures/colours/icc.py. Colours are float32, [..., 3]. Read top to bottom:

    Srgb, Parametric, Sampled, Named    transfer functions of one channel: `decode` makes light, `encode` its inverse
    Encoding                   curves and primaries
    SRGB, LINEAR               numbers for displays; scene-linear light with the primaries of Rec. 709
    convert                    colours of one encoding as colours of another
    as_displayed               colours as a display and the network need them
    transfer_names, transfer   the encodings that people name

Alpha never passes here: a share of coverage has no encoding.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from jaxtyping import Float32

from hdmatt.errors import InputError
from hdmatt.pictures.colours.colour import linear_to_srgb, srgb_to_linear
from hdmatt.pictures.files.openimageio import openimageio

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
_CONFIG = "ocio://studio-config-latest"  # of OpenColorIO, which OpenImageIO has inside


@dataclass(frozen=True)
class Srgb:
    """The curve of sRGB."""

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        return srgb_to_linear(numbers)

    def encode(self, light: np.ndarray) -> np.ndarray:
        return linear_to_srgb(light)


@dataclass(frozen=True)
class Parametric:
    """(a x + b)^gamma + e from x = d on, c x + f below; negative numbers mirror positive ones.

    Source:
        ICC.1:2022, parametricCurveType; its letters. (a, gamma) = (1, 1) is linear light.
    """

    gamma: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        if self == LIGHT:
            return numbers
        size = np.abs(numbers)
        power = np.maximum(self.a * size + self.b, 0) ** self.gamma + self.e
        return np.copysign(np.where(size >= self.d, power, self.c * size + self.f), numbers).astype(np.float32)

    def encode(self, light: np.ndarray) -> np.ndarray:
        if self == LIGHT:
            return light
        size = np.abs(light)
        root = (np.maximum(size - self.e, 0) ** (1 / self.gamma) - self.b) / self.a
        below = (size - self.f) / self.c if self.c else np.zeros_like(size)
        least = (self.a * self.d + self.b) ** self.gamma + self.e
        return np.copysign(np.maximum(np.where(size >= least, root, below), 0), light).astype(np.float32)


LIGHT = Parametric(1.0)


@dataclass(frozen=True)
class Sampled:
    """A curve through equally spaced samples, straight between them; clipped to [0, 1].

    Attributes:
        samples: Light, rising; the first is of the number 0 and the last of 1.
    """

    samples: tuple[float, ...]

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        return np.interp(numbers, np.linspace(0, 1, len(self.samples)), self.samples).astype(np.float32)

    def encode(self, light: np.ndarray) -> np.ndarray:
        return np.interp(light, self.samples, np.linspace(0, 1, len(self.samples))).astype(np.float32)


@dataclass(frozen=True)
class Named:
    """A curve of OpenColorIO's configuration, such as those of cameras; exact to 3e-5."""

    name: str

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        return self._through(numbers, inverse=False)

    def encode(self, light: np.ndarray) -> np.ndarray:
        return self._through(light, inverse=True)

    def _through(self, values: np.ndarray, *, inverse: bool) -> np.ndarray:
        oiio = openimageio()
        flat = np.ascontiguousarray(values, np.float32).reshape(1, -1, 1)
        pixels = oiio.ImageBuf(np.repeat(flat, 3, axis=2))  # a transform wants three channels
        algorithm = oiio.ImageBufAlgo.ocionamedtransform
        made = algorithm(pixels, self.name, unpremult=False, inverse=inverse, colorconfig=_CONFIG, nthreads=1)
        if made.has_error:
            raise RuntimeError(f"OpenColorIO on {self.name}: {made.geterror()}")
        return made.get_pixels(oiio.FLOAT)[..., 0].reshape(values.shape)


Curve = Srgb | Parametric | Sampled | Named  # linear light and numbers of one channel; 1 is white


@dataclass(frozen=True)
class Encoding:
    """How the numbers of a picture stand for light. Equal ones need no conversion, whatever they are called.

    Attributes:
        name: For messages, such as "sRGB" or "the ICC profile Adobe RGB (1998)".
        curves: The transfer functions of red, green and blue; one if they are the same. Empty where we do not know
            them: a profile that is a lookup table, or a curve that we do not have.
        to_rec709: From linear light in the picture's primaries to Rec. 709's; None: these are its primaries.
        light: Whether the numbers are neither for displays nor unknown: linear, or a camera's curve. The network and
            displays see such a picture through the curve of sRGB.
        label: What says so in a file: () for nothing, ("ICC",), ("gAMA", gamma), ("cICP", four numbers),
            ("chromaticities",), ("named",) for what the caller said, ("named", "chromaticities") of an EXR with some.
        refused: Why the numbers are no picture that we can use, such as a curve of HDR displays; "" if they are.
        exponent: The network sees display values to this power: how colours mix (inference/mixing.py).
    """

    name: str = field(compare=False)
    curves: tuple[Curve, ...]
    to_rec709: Matrix | None = None
    light: bool = False
    label: tuple[str | float, ...] = field(default=(), compare=False)
    refused: str = field(default="", compare=False)
    exponent: float = field(default=1.0, compare=False)

    @property
    def linear(self) -> bool:
        """Whether the numbers are linear light."""
        return all(curve == LIGHT for curve in self.curves) and bool(self.curves)


SRGB = Encoding("sRGB", (Srgb(),))
LINEAR = Encoding("linear light", (LIGHT,), light=True)
# V = 4.5 L up to 0.018, 1.099 L^0.45 - 0.099 above (ITU-R BT.709-6), solved for L
_REC709 = Parametric(1 / 0.45, a=1 / 1.099, b=0.099 / 1.099, c=1 / 4.5, d=0.081)
_OURS = {  # curves that people name and that we have exactly
    "sRGB": SRGB,
    "linear": Encoding("linear light", (LIGHT,), light=True, label=("named",)),
    "Rec.709": Encoding("Rec.709", (_REC709,), label=("named",)),
    "Rec.1886": Encoding("Rec.1886", (Parametric(2.4),), label=("named",)),
    "gamma 1.8": Encoding("gamma 1.8", (Parametric(1.8),), label=("named",)),
    "gamma 2.2": Encoding("gamma 2.2", (Parametric(2.2),), label=("named",)),
}


def convert(
    colours: Float32[np.ndarray, "*size 3"], source: Encoding, target: Encoding
) -> Float32[np.ndarray, "*size 3"]:
    """Colours of one encoding as colours of another; the same array where both are equal.

    Values outside of [0, 1] are kept where the curves know them. What another encoding's primaries cannot hold is
    outside of [0, 1] there.

    Raises:
        InputError: The curves of one of them are not known.
    """
    if source == target:
        return colours
    check_convertible(source, target)
    light = _through(colours, source.curves, "decode")
    if source.to_rec709 != target.to_rec709:
        if source.to_rec709 is not None:
            light = _mixed(light, np.array(source.to_rec709))
        if target.to_rec709 is not None:
            light = _mixed(light, np.linalg.inv(np.array(target.to_rec709)))
    return _through(light, target.curves, "encode")


def as_displayed(colours: Float32[np.ndarray, "*size 3"], encoding: Encoding) -> Float32[np.ndarray, "*size 3"]:
    """Display-encoded colours in [0, 1], in the picture's own primaries; the same array, clipped, where it is one.

    To the encoding's exponent, which is 1 but for what the network sees of some pictures.
    """
    if encoding.light:
        shown = linear_to_srgb(np.clip(_through(colours, encoding.curves, "decode"), 0, 1))
    else:
        shown = np.clip(colours, 0, 1, out=colours)
    return shown if encoding.exponent == 1 else np.power(shown, np.float32(encoding.exponent), out=shown)


def check_usable(encoding: Encoding, name: str) -> None:
    """Refuse a picture whose numbers we would take for something else.

    Raises:
        InputError: A curve of HDR displays.
    """
    if encoding.refused:
        raise InputError(
            f"{name} is {encoding.refused}, which we cannot turn into light",
            hint='Convert it to sRGB or linear EXR first; PQ can be read with --transfer "ST-2084 - Curve".',
        )


def check_convertible(source: Encoding, target: Encoding) -> None:
    """Refuse to convert what cannot be.

    Raises:
        InputError: One of them has no curves.
    """
    for encoding in (source, target):
        if not encoding.curves and source != target:
            raise InputError(
                f"{encoding.name} cannot be converted: it has no curves of red, green and blue, but a lookup table or "
                "nothing",
                hint="Convert the picture to sRGB first, or write PNG, JPEG or TIFF, which keep numbers and profile.",
            )


def transfer_names() -> list[str]:
    """The encodings that `transfer` knows: our own names, then the curves of OpenColorIO's studio configuration."""
    return [*_OURS, *(name for name in _curves_of_opencolorio() if not _ours(name))]


def transfer(name: str) -> Encoding:
    """The encoding of a name, in any case; OpenColorIO's aliases work, too.

    Raises:
        InputError: Nobody knows the name; the hint lists all.
    """
    if encoding := _ours(name):
        return encoding
    wanted = name.strip().lower()
    for known, aliases in _curves_of_opencolorio().items():
        if wanted in (known.lower(), known.lower().replace(" - curve", ""), *(alias.lower() for alias in aliases)):
            return _ours(known) or _named(known)
    raise InputError(f"no transfer function is called {name!r}", hint=f"Choose one of: {', '.join(transfer_names())}.")


def _ours(name: str) -> Encoding | None:
    plain = name.strip().lower().removesuffix(" - curve")
    return next((encoding for known, encoding in _OURS.items() if known.lower() == plain), None)


def _named(name: str) -> Encoding:
    return Encoding(name, (Named(name),), light=True, label=("named",))


@cache
def _curves_of_opencolorio() -> dict[str, list[str]]:
    """Names of curves and their aliases."""
    config = openimageio().ColorConfig(_CONFIG)
    return {str(name): config.getNamedTransformAliases(name) for name in config.getNamedTransformNames()}


def _through(colours: np.ndarray, curves: tuple[Curve, ...], way: str) -> np.ndarray:
    if len(curves) == 1:
        return getattr(curves[0], way)(colours)
    return np.stack([getattr(curve, way)(colours[..., i]) for i, curve in enumerate(curves)], axis=-1)


def _mixed(light: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Matrix times each colour; by hand, because a library may round bands of other sizes differently."""
    rows = matrix.astype(np.float32)
    red, green, blue = light[..., 0], light[..., 1], light[..., 2]
    return np.stack([row[0] * red + row[1] * green + row[2] * blue for row in rows], axis=-1)
