"""The layers of an EXR file, and the one that is the picture: by the channels' names, never by their places.

Knows names of channels, parts and views; nothing of pixels. Called by pictures/files/decoder.py. Read top to bottom:

    ExrLayer             the channels that are read, and where they lie
    choose_layer         the one that is asked for, or the one that is the picture
    refuse_subsampled    what OpenImageIO says of channels of half the resolution, in the user's words

A channel's name is "layer.last": the last part says red, green, blue, alpha or luminance, the rest is the layer's name.
Of a file with several parts the names of the parts count as well.

Source:
    OpenEXR, "Technical Introduction": channel names, layers, multi-view and luminance/chroma images. Nuke writes
    parts that are named "rgba.left" and channels "red", Blender layers "ViewLayer.Combined", V-Ray and Arnold
    unprefixed ones.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from hdmatt.errors import InputError
from hdmatt.pictures.files.openimageio import complaint_of

_PICTURES = ("rgba", "beauty", "c", "combined")  # what programs call the picture's layer, the likeliest first
_DATA = {"n", "normal", "normals", "p", "position", "depth", "z", "uv", "st", "motion", "velocity"}  # no pictures
_VIEWS = ("left", "hero")  # of a stereo picture whose file does not say which one is the main one
_LAST = {"RED": "R", "GREEN": "G", "BLUE": "B", "ALPHA": "A"}  # other names of a channel's last part
_DEPTH = {"Z", "ZBACK", "DEPTH"}
_LISTED = 20  # names in a message
# not every command has the option, and it is about the PICTURE alone
_NAME_IT = "--input-layer NAME, of the PICTURE of a command that has it; else save it as a file of its own."


class ExrLayer(NamedTuple):
    """The channels of one layer.

    Attributes:
        name: As in the file, with the part's name where there are several; "" where neither has one.
        part: Number of the part (OpenImageIO's subimage).
        channels: Number of each channel by the last part of its name, in capitals: R, G, B, A, Y and others.
        base: The name without the view, in small letters.
        view: Of a stereo picture; else "".
        loose: Whether the channels have no prefix of their own.
        deep: Whether its pixels are lists of samples.
    """

    name: str
    part: int
    channels: dict[str, int]
    base: str
    view: str
    loose: bool
    deep: bool

    @property
    def colours(self) -> list[int]:
        """Numbers of R, G and B, or of the luminance, or of the only channel; empty if it is none of these."""
        if {"R", "G", "B"} <= set(self.channels):
            return [self.channels[c] for c in "RGB"]
        if "Y" in self.channels and "X" not in self.channels:  # X, Y and Z are a position
            return [self.channels["Y"]]
        others = [number for last, number in self.channels.items() if last != "A"]
        return others if len(others) == 1 else [] if others else [*self.channels.values()]

    @property
    def alpha(self) -> int | None:
        """Number of the alpha channel, unless it is all there is."""
        alpha = self.channels.get("A")
        return None if [alpha] == self.colours else alpha

    @property
    def is_picture(self) -> bool:
        """Whether the names say colours or luminance."""
        return {"R", "G", "B"} <= set(self.channels) or ("Y" in self.channels and "X" not in self.channels)


def choose_layer(path: Path, source: Any, wanted: str | None, *, grey: bool = False) -> ExrLayer:
    """The layer that is the picture, and `source` (an ImageInput) set to its part.

    Without a name: the channels without a prefix; else the layer called rgba, beauty, C or combined; else the only one
    with colours or luminance; else the only channel. Of a stereo picture the main view is taken.

    Args:
        wanted: Name of a layer, part, view or channel, in any case.
        grey: Any single channel will do, also depth: the file is a trimap or a matte.

    Raises:
        InputError: Several layers have an equal claim, there is none of that name or none with colours, or its pixels
            are luminance with chroma, whole numbers, or have an alpha for each colour.
    """
    layers = _layers_of(source)
    chosen = _named(path, layers, wanted) if wanted is not None else _picture(path, layers, grey=grey)
    if {"RY", "BY"} & set(chosen.channels):
        _refuse_chroma(path)
    if "A" not in chosen.channels and {"AR", "AG", "AB"} & set(chosen.channels) and len(chosen.colours) == 3:
        raise InputError(
            f"{path}: {_quoted(chosen)} has an alpha for each colour (AR, AG, AB), and its colours may be multiplied "
            "by them; we need one alpha (A) or none",
            hint="Save it with one alpha channel in the program that made it.",
        )
    if not chosen.colours:
        raise InputError(
            f"{path}: {_quoted(chosen)} has the channels {', '.join(chosen.channels)}, we need R, G and B, or one",
            hint=f"Name another one, or one of these channels by its whole name: {_NAME_IT}",
        )
    source.seek_subimage(chosen.part, 0)
    spec = source.spec()
    numbers = [*chosen.colours, *([] if chosen.alpha is None else [chosen.alpha])]
    for name in (spec.channelnames[n] for n in numbers if str(spec.channelformat(n)) == "uint"):
        raise InputError(
            f"{path}: its channel {name} holds whole numbers (such as ids), we need half or float",
            hint="Save it as half or float, with white at 1.",
        )
    return chosen


def refuse_subsampled(path: Path, reason: str) -> None:
    """Raise an InputError if this is why OpenImageIO cannot open the file."""
    found = re.findall(r'channel "([^"]+)" has sampling', reason)
    if {name.rpartition(".")[2] for name in found} & {"RY", "BY"}:
        _refuse_chroma(path)
    if found:
        raise InputError(
            f"{path}: its channel {found[0]} has fewer pixels than the others (subsampled), we cannot read such files",
            hint="Save the picture without this channel, or at full resolution.",
        )


def _refuse_chroma(path: Path) -> NoReturn:
    raise InputError(
        f"{path} holds luminance and chroma (Y, RY, BY), we need R, G and B, or Y alone",
        hint="Save it as RGB in the program that made it.",
    )


def _layers_of(source: Any) -> list[ExrLayer]:
    """All layers of all parts, in the file's order."""
    layers: list[ExrLayer] = []
    parts = max(1, int(source.spec().get_int_attribute("oiio:subimages", 1)))
    for part in range(parts):
        if not source.seek_subimage(part, 0):
            complaint_of(source)  # or it would be told of the next read
            break
        spec = source.spec()
        part_name = str(spec.get_string_attribute("name")) if parts > 1 else ""
        views = [str(view) for view in spec.getattribute("multiView") or ()]
        groups: dict[str, dict[str, int]] = {}
        for number, name in enumerate(spec.channelnames):
            prefix, _, last = str(name).rpartition(".")
            last = _LAST.get(last.upper(), last.upper())
            groups.setdefault(prefix, {}).setdefault(last, number)
        for prefix, channels in groups.items():
            name = _joined(part_name, prefix)
            base, view = _without_view(name, [str(spec.get_string_attribute("view"))], views)
            layers.append(ExrLayer(name, part, channels, base, view, loose=not prefix, deep=bool(spec.deep)))
    return layers


def _joined(part: str, prefix: str) -> str:
    """The layer's name: a channel's prefix may repeat the part's name."""
    if not part or prefix.lower().startswith(part.lower()):
        return prefix
    return f"{part}.{prefix}" if prefix else part


def _without_view(name: str, own: Sequence[str], views: Sequence[str]) -> tuple[str, str]:
    """A layer's name in small letters without its view, and the view; the first of a part's views has no name."""
    words = name.lower().split(".")
    for view in (view for view in (*own, *views) if view):
        if view.lower() in words:
            return ".".join(word for word in words if word != view.lower()), view
    return name.lower(), own[0] or (views[0] if views else "")


def _picture(path: Path, layers: Sequence[ExrLayer], *, grey: bool) -> ExrLayer:
    pictures = [layer for layer in layers if layer.is_picture]
    pictures = [layer for layer in pictures if not layer.deep] or pictures
    if pictures:
        return _preferred(path, pictures)
    kept = [{last: n for last, n in layer.channels.items() if last not in _DEPTH} for layer in layers]
    if grey and sum(len(layer.channels) for layer in layers) == 1:
        kept = [layer.channels for layer in layers]
    single = [layer._replace(channels=channels) for layer, channels in zip(layers, kept, strict=True) if channels]
    if len(single) > 1:  # an alpha of its own says less than a channel with another name
        single = [layer for layer in single if set(layer.channels) != {"A"}] or single
    if len(single) == 1 and single[0].colours:
        return single[0]
    channels = [f"{layer.name}.{last}".lstrip(".") for layer in layers for last in layer.channels]
    raise InputError(
        f"{path} has no layer with colours, its channels are {_listed(channels)}",
        hint=f"Name the layer or channel that is meant: {_NAME_IT}",
    )


def _named(path: Path, layers: Sequence[ExrLayer], wanted: str) -> ExrLayer:
    name = wanted.lower()
    for matches in (
        [layer for layer in layers if layer.name.lower() == name],
        [layer for layer in layers if layer.base == name],
        [layer for layer in layers if layer.view.lower() == name],
    ):
        found = [layer for layer in matches if layer.is_picture] or [layer for layer in matches if layer.colours]
        if found or matches:
            return _preferred(path, found or matches)
    for layer in layers:
        for last, number in layer.channels.items():
            if f"{layer.name}.{last}".lstrip(".").lower() == name:
                return layer._replace(channels={last: number})
    raise InputError(
        f"{path} has no layer {wanted!r}, its layers are {_listed([_quoted(layer) for layer in layers])}",
        hint=f"Name one of them: {_NAME_IT}",
    )


def _preferred(path: Path, layers: Sequence[ExrLayer]) -> ExrLayer:
    best = min(_rank(layer) for layer in layers)
    equal = [layer for layer in layers if _rank(layer) == best]
    if len(equal) > 1 and len({layer.view for layer in equal}) > 1:
        views = [layer.view.lower() for layer in equal]
        main = next((view for view in _VIEWS if view in views), views[0])
        if equal[0].part == equal[-1].part:  # OpenEXR: the view without a name is the main one
            main = next((layer.view.lower() for layer in equal if layer.name.lower() == layer.base), main)
        equal = [layer for layer in equal if layer.view.lower() == main]
    if len(equal) > 1:  # one matte beside one layer with colours
        equal = [layer for layer in equal if len(layer.colours) == 3] or equal
    if len(equal) > 1:
        raise InputError(
            f"{path} has several layers that may be the picture: {_listed([_quoted(layer) for layer in equal])}",
            hint=f"Name the one that is meant: {_NAME_IT}",
        )
    return equal[0]


def _rank(layer: ExrLayer) -> int:
    """How sure a layer's name says that it is the picture; 0 is surest."""
    if not layer.base:
        return 0
    for rank, name in enumerate((layer.base, layer.base.rpartition(".")[2])):
        if name in _PICTURES:
            return 1 + rank * len(_PICTURES) + _PICTURES.index(name)
    last = layer.base.rpartition(".")[2]
    return 40 if last in _DATA or last.startswith("crypto") else 20 if layer.loose else 30


def _quoted(layer: ExrLayer) -> str:
    return repr(layer.name) if layer.name else "the channels without a layer"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
