"""Checks of a trimap before and after its matte.

check_trimap    a trimap (and picture, and matte) -> TrimapCheck

What is counted is in trimaps/survey.py; here stands what is judged wrong, and the words for it.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from hdmatt.errors import plural
from hdmatt.pictures.info import DEFAULT_INPUT, InputOptions, PictureInfo
from hdmatt.pictures.placed import placed
from hdmatt.pictures.reader import ArrayReader, BandReader, single_channel
from hdmatt.pictures.trimap import UNKNOWN, TrimapReader, classify, open_trimap
from hdmatt.trimaps.doubts import looks_inverted
from hdmatt.trimaps.findings import Finding, PlaceCounter, TrimapCheck
from hdmatt.trimaps.mask_rows import ROWS
from hdmatt.trimaps.masks import open_path_or_array
from hdmatt.trimaps.survey import Survey, survey

_SNAPPED = 0.001  # of the pixels: more are no slips but a soft brush
_THIN = 0.1  # of the unknown pixels
_MOSTLY = 0.6  # of all pixels
_SOFT_CONTACTS = 8  # pixels: fewer are chance
_BORDER = 0.5  # of the border


def check_trimap(
    trimap: Any, picture: Any = None, matte: Any = None, *, input_options: InputOptions = DEFAULT_INPUT
) -> TrimapCheck:
    """Look for what is wrong with a trimap; each finding says what, how much, where, and what to do.

    All are read some rows at a time, in memory that does not grow with their size: 100 megapixels take about 10 seconds
    and 0.5 GB.

    Args:
        trimap: A path or an array, as for `matte`.
        picture: A path or an array. With it, contacts of foreground and background are judged by how soft the picture
            is there.
        matte: A path or an array (uint8, uint16, or float in [0, 1]), made with this trimap. With it, sure pixels are
            found that the matte contradicts.
        input_options: Layer and transfer function of the picture, and how many pixels the files may have.

    Raises:
        InputError: One of them cannot be read, or is not what it should be; or windows of EXRs that cannot be paired.
            Another size is a finding.
    """
    others = input_options.of_others()
    with ExitStack() as stack:
        opened = _open(stack, picture, input_options)
        like = opened.info if opened else None
        marks = stack.enter_context(open_trimap(trimap, others, like=like))
        sizes = list[Finding]()
        pixels = _same_size(opened, "picture", marks, sizes)
        alpha = _same_size(_open(stack, matte, others, like or marks.info, grey=True), "matte", marks, sizes)
        counted = survey(marks, pixels, alpha)
        inexact = _places_of_inexact(trimap, others, like) if marks.snapped else None
        findings = [*sizes, *_judge(counted, pixels is not None, marks.snapped, inexact)]
        background, unknown, foreground = (float(n) / (counted.height * counted.width) for n in counted.pixels)
    findings.sort(key=lambda finding: finding.severity != "warning")
    return TrimapCheck(counted.width, counted.height, background, unknown, foreground, tuple(findings))


class _Inexact(NamedTuple):
    """Pixels that are not exactly 0, 128 or 255."""

    places: PlaceCounter
    grey: str | None  # the one value that all of them have, if it is read as unknown


def _judge(found: Survey, with_picture: bool, snapped: int, inexact: _Inexact | None) -> Iterator[Finding]:
    total = found.height * found.width
    if inexact is not None and inexact.grey is not None:
        share = snapped / total
        message = f"{plural(snapped, 'pixel')} ({_percent(share)}) are {inexact.grey}, not 128, and read as unknown"
        advice = "That is fine. --fix FILE writes 128."
        yield Finding("antialiased", "note", message, advice, snapped, share, inexact.places.places())
    elif inexact is not None:
        share = snapped / total
        yield Finding(
            "antialiased",
            "warning" if share > _SNAPPED else "note",
            f"{plural(snapped, 'pixel')} ({_percent(share)}) are not 0, 128 or 255: the trimap was resized, drawn with "
            "a soft brush or saved as JPEG",
            "Snap them: --fix FILE; and export it without antialiasing, as PNG.",
            snapped,
            share,
            inexact.places.places(),
        )
    yield from _of_kinds(found, total)
    yield from _of_the_border(found)
    yield from _of_regions(found, total)
    yield from _of_the_band(found, total, with_picture)
    if count := found.places["contradicted"].count:
        yield Finding(
            "contradicted",
            "warning",
            f"{plural(count, 'sure pixel')} that the matte contradicts: sure foreground beside alpha below 0.7, or "
            "sure background beside alpha above 0.3",
            "Widen the unknown band there: the object goes on beyond it.",
            count,
            count / total,
            found.places["contradicted"].places(),
        )


def _of_kinds(found: Survey, total: int) -> Iterator[Finding]:
    background, unknown, foreground = (int(n) for n in found.pixels)
    border = found.border / max(1, int(found.border.sum()))
    if background and looks_inverted(found.border, found.top):
        yield Finding(
            "inverted",
            "warning",
            f"the picture's border is {_percent(float(border[2]))} foreground, and background lies inside or below: "
            "black and white may be swapped",
            "White must be the object. If they are swapped, invert the trimap.",
            foreground,
            float(border[2]),
        )
    if not unknown:
        message = "no pixel is unknown: the matte will be the trimap itself"
        yield Finding("no-unknown", "warning", message, "Make a band: hdmatt trimap make TRIMAP --picture PICTURE.")
    if not foreground:
        message = "no pixel is surely foreground: its colours are unknown, too"
        yield Finding("no-foreground", "warning", message, "Mark some of the object that nothing shines through.")
    if not background:
        message = "no pixel is surely background: its colours are unknown, too"
        yield Finding("no-background", "warning", message, "Mark some of what lies behind the object.")
    if unknown > _MOSTLY * total:
        share = unknown / total
        message = f"{_percent(share)} of the picture is unknown: the matte takes long and has little to go by"
        advice = "Mark more as known, or let us find the band: hdmatt trimap make MASK --picture PICTURE."
        yield Finding("mostly-unknown", "warning", message, advice, unknown, share)


def _of_the_border(found: Survey) -> Iterator[Finding]:
    if count := int(found.border[1]):
        share = count / int(found.border.sum())
        yield Finding(
            "border",
            "warning" if share > _BORDER else "note",
            f"the unknown band reaches the picture's border ({plural(count, 'pixel')}, {_percent(share)} of it)",
            "Fine where the object leaves the picture. Elsewhere mark the border as background.",
            count,
            share,
            found.places["border"].places(),
        )


def _of_regions(found: Survey, total: int) -> Iterator[Finding]:
    texts = {
        "pinholes": (
            "warning",
            "of unknown in a known region",
            "Fill them: --fix FILE. If they are holes of the object, mark them larger.",
        ),
        "specks": (
            "warning",
            "of foreground in background or the reverse",
            "Remove slips of the brush, or mark the parts around them as unknown.",
        ),
        "islands": (
            "note",
            "of known pixels in the unknown band",
            "Fine where they are right. A wrong one shows in the matte as a dot.",
        ),
    }
    for name, (severity, what, advice) in texts.items():
        if count := found.places[name].count:
            number = plural(found.regions[name], name[:-1])
            message = f"{number} {what}, of {found.largest_small} pixels at most ({plural(count, 'pixel')} together)"
            kind = "warning" if severity == "warning" else "note"
            yield Finding(name, kind, message, advice, count, count / total, found.places[name].places())


def _of_the_band(found: Survey, total: int, with_picture: bool) -> Iterator[Finding]:
    touching, soft = found.places["touching"], found.places["soft"]
    if soft.count >= _SOFT_CONTACTS:
        yield Finding(
            "soft-contact",
            "warning",
            f"foreground touches background along {plural(soft.count, 'pixel')} where the picture's edge is soft",
            "Put unknown between them there: hair and blur are cut off otherwise.",
            soft.count,
            soft.count / touching.count,
            soft.places(),
        )
    elif touching.count:
        seen = ", and the picture's edge looks hard there" if with_picture else ""
        message = f"foreground touches background along {plural(touching.count, 'pixel')} without unknown{seen}"
        advice = "Fine along a hard edge." if with_picture else "Fine along a hard edge; --picture FILE looks at it."
        yield Finding("contact", "note", message, advice, touching.count, touching.count / total, touching.places())
    thin, unknown = found.places["thin"], int(found.pixels[1])
    if unknown and thin.count > _THIN * unknown:
        share = thin.count / unknown
        message = f"{_percent(share)} of the unknown band is narrower than {found.least_width} pixels"
        advice = "Widen it: an edge is soft over some pixels even where it looks hard."
        yield Finding("thin", "warning", message, advice, thin.count, share, thin.places())


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _open(
    stack: ExitStack, picture: Any, options: InputOptions, like: PictureInfo | None = None, *, grey: bool = False
) -> BandReader | None:
    """A reader of a path or an array, laid over `like` by the coordinates of EXRs."""
    if picture is None:
        return None
    reader = open_path_or_array(stack, picture, options, part="grey" if grey else "straight")
    return placed(reader, like) if like and not isinstance(reader, ArrayReader) else reader


def _same_size(reader: BandReader | None, what: str, trimap: TrimapReader, found: list[Finding]) -> BandReader | None:
    """The reader, if it has the trimap's size; else a finding."""
    if reader is None:
        return None
    info, own = reader.info, trimap.info
    if (info.height, info.width) == (own.height, own.width):
        return reader
    same_shape = abs(info.width * own.height - info.height * own.width) <= max(info.height, info.width)
    message = (
        f"the trimap is {own.width}x{own.height} but the {what} is {info.width}x{info.height} (width x height, after "
        f"EXIF rotation), {'of the same' if same_shape else 'of another'} shape; nothing was checked against it"
    )
    advice = (
        "Make the trimap again at the picture's size: hdmatt trimap make TRIMAP --picture PICTURE --fit."
        if same_shape and what == "picture"
        else f"Give the {what} that belongs to this trimap."
    )
    found.append(Finding("size", "warning", message, advice))
    return None


def _places_of_inexact(trimap: Any, options: InputOptions, like: PictureInfo | None) -> _Inexact:
    """Where values are not exactly the trimap's: read once more, row by row, because the reader only counts them."""
    greys: set[str | None] = set()  # None: a value that is not read as unknown
    with ExitStack() as stack:
        reader = _open(stack, trimap, options, like, grey=True)
        assert reader is not None
        info = reader.info
        found = PlaceCounter(info.height, info.width)
        for y0 in range(0, info.height, ROWS):
            values = single_channel(reader.colours(y0, min(y0 + ROWS, info.height), 0, info.width), y0, "", "")
            different, index = np.unique(values, return_inverse=True)
            read = [classify(value.reshape(1, 1)) for value in different]
            inexact = np.array([snapped > 0 for _, snapped in read])
            found.add(inexact[index].reshape(values.shape), y0)
            kinds = zip(different, read, inexact, strict=True)
            greys |= {f"{value:g}" if label[0, 0] == UNKNOWN else None for value, (label, _), off in kinds if off}
    return _Inexact(found, greys.pop() if len(greys) == 1 else None)
