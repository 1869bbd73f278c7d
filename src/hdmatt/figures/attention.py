"""What one unknown pixel looks at: the paper's Fig. 7 as numbers and as a picture.

Plan, context pool and selection are those of a matte (inference/inspect.py), the weights are those of eq. 3
(network/attention.py); nothing is computed here that a matte would compute in another way. Top to bottom:

    Attention   the numbers, for plots of one's own
    attend      picture, trimap and pixel -> Attention
    draw        Attention -> the figure
    save_numbers      the arrays into a file
    parse_pixel, check_paths      what the command line was given

Legend (a trailing capital names an axis of the arrays): R regions, K context patches, H W cells of 8 x 8 pixels,
V channels of a value.
"""

import json
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8

from hdmatt.errors import InputError
from hdmatt.figures import sheet as sheet_module
from hdmatt.figures.sheet import (
    BLUE,
    GAP,
    GREEN,
    RED,
    Colour,
    Panel,
    box,
    enlarged,
    ring,
    sheet,
    shrunk,
    shrunk_trimap,
    words,
)
from hdmatt.inference.files import open_inputs
from hdmatt.inference.inspect import Inspection, inspect_patch
from hdmatt.inference.load import AnyNetwork, load_network
from hdmatt.inference.names import DEFAULT_MODEL
from hdmatt.inference.options import NetworkChoice, Options, Plan, RunOptions, options_given
from hdmatt.inference.plan import make_plan
from hdmatt.network.attention import region_weights
from hdmatt.network.config import REGION_BACKGROUND, REGION_FOREGROUND, REGION_UNKNOWN, REGIONS, STRIDE
from hdmatt.network.model import HDMatt
from hdmatt.patches.stitch import blending_weight
from hdmatt.patches.windows import Window, cut, rows_of
from hdmatt.pictures import reader, writer
from hdmatt.pictures.info import DEFAULT_INPUT, InputOptions
from hdmatt.pictures.reader import BandReader
from hdmatt.pictures.trimap import UNKNOWN, TrimapReader
from hdmatt.pictures.trimap_checks import check_trimap_size
from hdmatt.system.files import replacing
from hdmatt.system.values import whole_number

NAMES = {REGION_UNKNOWN: "U", REGION_FOREGROUND: "F", REGION_BACKGROUND: "B"}
LONG = {"U": "unknown", "F": "foreground", "B": "background", "all": "all pixels"}
SHOWN = 6  # context patches in the figure, at most
SIDE = 320  # pixels of a patch in the figure
LONG_SIDE = 900


@dataclass(frozen=True)
class Attention:
    """The attention of one unknown pixel, and where it lies.

    Attributes:
        y, x: The pixel, in the picture.
        query: The patch that decides most of the pixel's alpha: where several overlap, the one whose blending weight
            there is the largest.
        cell: Row and column of the pixel's cell in the query; everything below is this cell's.
        kind, form: Of the network: "tgnl" or "nonlocal"; "strict" or "literal".
        patches: The K context patches, best first. Each is a Window (y, x, size), which may reach past the picture.
        similarity_K: Of each to the query's unknown part: eq. 1 with means in place of sums (see cpc.rank), by
            which they were selected.
        scores_K: Eq. 2: the softmax of that over all `candidates`.
        candidates: Patches that could have been selected.
        regions: Names of the R regions: U, F, B, or "all" for a plain non-local network.
        weights_RKHW: The attention. For each region it sums to 1 - `lost_R` over K, H and W; to 0 where the context has
            no pixel of the region.
        lost_R: Attention that goes to pixels outside of the region: 0 in the strict form.
        labels_KHW: What the trimap says of each context cell: 0 background, 1 unknown, 2 foreground.
        values_KHWV: What the attention reads: the sum of weights x values, plus the query's own value, goes on to the
            decoder.
    """

    y: int
    x: int
    query: Window
    cell: tuple[int, int]
    kind: str
    form: str
    patches: list[Window]
    similarity_K: Float32[np.ndarray, "k"]
    scores_K: Float32[np.ndarray, "k"]
    candidates: int
    regions: tuple[str, ...]
    weights_RKHW: Float32[np.ndarray, "r k h w"]
    lost_R: Float32[np.ndarray, "r"]
    labels_KHW: Int64[np.ndarray, "k h w"]
    values_KHWV: Float32[np.ndarray, "k h w v"]

    def inside(self, region: str) -> np.ndarray:
        """K x H x W, bool: the context cells of a region."""
        if region == "all":
            return np.ones_like(self.labels_KHW, bool)
        return self.labels_KHW == {name: label for label, name in NAMES.items()}[region]

    def read(self) -> Float32[np.ndarray, "r v"]:
        """What the pixel reads from each region: the sum in eq. 3."""
        return np.einsum("rkhw,khwv->rv", self.weights_RKHW, self.values_KHWV)

    def summary(self) -> dict[str, Any]:
        """The few numbers that one wants to print, JSON-able."""
        return {
            "at": {"x": self.x, "y": self.y},
            "query": self.query._asdict(),
            "kind": self.kind,
            "form": self.form,
            "candidates": self.candidates,
            "patches": [
                {**window._asdict(), "similarity": float(similarity), "score": float(score)}
                for window, similarity, score in zip(self.patches, self.similarity_K, self.scores_K, strict=True)
            ],
            "regions": {
                name: {
                    "share_of_context": float(self.inside(name).mean()),
                    "attention_per_patch": self.weights_RKHW[i].sum((1, 2)).tolist(),
                    "attention_outside": float(self.lost_R[i]),
                    "largest": float(self.weights_RKHW[i].max()),
                    "even": 1 / int(self.inside(name).sum()) if self.inside(name).any() else 0.0,
                }
                for i, name in enumerate(self.regions)
            },
        }


def attend(
    picture: Any,
    trimap: Any,
    *,
    y: int,
    x: int,
    options: Options | None = None,
    network: AnyNetwork = DEFAULT_MODEL,
    linear: bool = False,
    input_options: InputOptions = DEFAULT_INPUT,
) -> Attention:
    """The attention of an unknown pixel on the context patches of its patch.

    Args:
        picture, trimap: As `hdmatt.matte` takes them: paths or arrays.
        y, x: The pixel's row and column; it must be unknown in the trimap.
        options: As a matte would be computed with; patch, overlap, topk, candidates and windows decide what is seen.
        network: Weights by name or file, a NetworkChoice, or a loaded network. Named weights are computed by plain
            PyTorch in fp32, whatever the choice says.
        linear: An array's colours are scene-linear; files say so themselves.
        input_options: How the picture's file is read where it does not say itself.

    Raises:
        InputError: The network has no context, K is 0, there is only one patch, the pixel is known or outside.
    """
    if not isinstance(network, HDMatt):
        choice = network if isinstance(network, NetworkChoice) else NetworkChoice(network)
        network = replace(choice, runtime="torch", precision="fp32")
    loaded = load_network(network, several=False)
    options = options_given(options)
    y, x = whole_number("y", y), whole_number("x", x)
    _check_network(loaded.model, options, loaded.name)
    with ExitStack() as stack:
        pixels, marks = _open(stack, picture, trimap, input_options, linear=linear)
        _check_pixel(marks, y, x)
        info = pixels.info
        given = RunOptions.of(options, device=loaded.device)
        plan = make_plan(marks, loaded.model, given, channels_bytes=3 * info.dtype.itemsize, chunk_rows=info.chunk_rows)
        query = _responsible(plan, y, x)
        seen = inspect_patch(plan, query, pixels, marks, loaded.model)
    if not seen.contexts:
        raise InputError(
            f"the picture is one patch of {options.patch} pixels: there is no other one to look at",
            hint="Give a larger picture, or smaller patches (--patch 128).",
        )
    return _weights(loaded.model, query, seen, y, x)


def draw(
    attention: Attention,
    picture: Any,
    trimap: Any,
    *,
    title: str = "",
    stretch: bool = False,
    linear: bool = False,
    input_options: InputOptions = DEFAULT_INPUT,
) -> UInt8[np.ndarray, "h w 3"]:
    """The figure: picture and trimap with the patches' boxes; the query, its contexts, and the attention on each.

    Colours of the attention run from 0 to the largest weight within the region, so the regions are not compared; the
    share that each patch has of a region's attention is printed below it.

    Args:
        stretch: Colours from the smallest to the largest weight instead: shows the pattern of an attention that is
            nearly even.
    """
    with ExitStack() as stack:
        pixels, marks = _open(stack, picture, trimap, input_options, linear=linear)
        shown = attention.patches[:SHOWN]
        width = (len(shown) + 1) * SIDE + len(shown) * GAP
        whole = _whole_panels(attention, shown, pixels, marks, width)
        patches = [_patch(pixels, window) for window in (attention.query, *shown)]
    scale = SIDE / attention.query.size
    at = (attention.y - attention.query.y + 0.5) * scale, (attention.x - attention.query.x + 0.5) * scale
    first = [Panel(_framed(ring(patches[0], y=at[0], x=at[1]), GREEN), "query patch and pixel")]
    first += [
        Panel(_framed(pixels, RED), f"context {k + 1}, score {attention.similarity_K[k]:.4g}")
        for k, pixels in enumerate(patches[1:])
    ]
    heat = [_heat_row(attention, i, patches[1:], stretch=stretch) for i in range(len(attention.regions))]
    rows = [whole, first, *heat]
    return sheet(rows, title=title, footer=_footer(attention, shown))


def save_numbers(attention: Attention, path: Path) -> None:
    """Write the arrays under the names of `Attention`, with `patches` (K x 3: y, x, size) and `summary` (JSON)."""
    arrays = {name: value for name, value in vars(attention).items() if isinstance(value, np.ndarray)}
    with replacing(path) as hidden, hidden.open("wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            patches=np.array(attention.patches),
            summary=np.array(json.dumps(attention.summary())),
            **arrays,
        )


def parse_pixel(text: str) -> tuple[int, int]:
    """x and y of "X,Y"."""
    found = re.fullmatch(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*", text)
    if found is None:
        raise InputError(f"--at is {text!r}, which is no pixel", hint="Give column and row: --at 712,430.")
    return int(found[1]), int(found[2])


def check_paths(output: Path, numbers: Path | None, inputs: Sequence[Path]) -> None:
    """Raise OutputError or InputError unless both can be written."""
    writer.check_output_path(output, inputs)
    if numbers is None:
        return
    if numbers.suffix != ".npz":
        raise InputError(f"--numbers is {numbers}, which is no .npz", hint="Name it, for example, attention.npz.")
    writer.check_output_path(numbers.with_suffix(".png"), [])  # its folder


def _check_network(network: HDMatt, options: Options, name: str) -> None:
    if network.training:
        raise InputError("the network is in training mode", hint="Call model.eval() first, or load it by name.")
    if network.config.cpc == "none":
        raise InputError(
            f"{name} is a network without context (cpc none): its patches look at nothing but themselves",
            hint="Choose weights of a network with cpc tgnl or nonlocal; hdmatt info shows which they are.",
        )
    if options.topk < 1:
        raise InputError(
            "with topk 0 no patch looks at another one, so there is no attention to show",
            hint="Give --topk 1 or more; the paper's figure has 3.",
        )


def _check_pixel(marks: TrimapReader, y: int, x: int) -> None:
    height, width = marks.info.height, marks.info.width
    if not (0 <= y < height and 0 <= x < width):
        raise InputError(
            f"the pixel x {x}, y {y} lies outside of the picture, which is {width}x{height} (width x height)",
            hint=f"Give x from 0 to {width - 1} and y from 0 to {height - 1}: --at X,Y.",
        )
    value = int(marks.rows(y, y + 1)[0, x])
    if value == UNKNOWN:
        return
    nearest = _nearest_unknown(marks, y, x)
    what = "foreground" if value else "background"
    raise InputError(
        f"the pixel x {x}, y {y} is sure {what} in the trimap; only unknown pixels look at the context",
        hint="The trimap has no unknown pixel at all: there is nothing to decide."
        if nearest is None
        else f"The nearest unknown pixel is --at {nearest[1]},{nearest[0]}.",
    )


def _nearest_unknown(marks: TrimapReader, y: int, x: int) -> tuple[int, int] | None:
    best: tuple[int, int, int] | None = None
    for top in range(0, marks.info.height, 256):
        rows = marks.rows(top, min(top + 256, marks.info.height))
        ys, xs = np.nonzero(rows == UNKNOWN)
        if len(ys):
            away = (ys + top - y) ** 2 + (xs - x) ** 2
            i = int(away.argmin())
            found = int(away[i]), int(ys[i]) + top, int(xs[i])
            best = found if best is None else min(best, found)
    return None if best is None else best[1:]


def _responsible(plan: Plan, y: int, x: int) -> Window:
    weight = blending_weight(plan.options.patch, plan.options.overlap, blend=plan.options.blend)
    over = [w for w in plan.queries if 0 <= y - w.y < w.size and 0 <= x - w.x < w.size]
    return max(over, key=lambda w: float(weight[y - w.y, x - w.x]))


def _weights(network: HDMatt, query: Window, seen: Inspection, y: int, x: int) -> Attention:
    cpc, contexts = network.cpc, list(seen.contexts.values())
    side = seen.label.shape[-1]
    row, column = (y - query.y) // STRIDE, (x - query.x) // STRIDE
    with torch.inference_mode():
        key_1C = cpc.keys(seen.deep)[0, :, row, column][None]
        key_LC = torch.cat([c.key_LC for c in contexts])
        label_L = torch.cat([c.label_L for c in contexts])
        if cpc.kind == "tgnl":
            inside = {NAMES[region]: label_L == region for region in REGIONS}
        else:
            inside = {"all": torch.ones_like(label_L, dtype=torch.bool)}
        found = [region_weights(key_1C, key_LC, mask_L, form=cpc.form, scale=cpc.scale) for mask_L in inside.values()]
    shape = len(contexts), side, side
    value_LV = torch.cat([c.value_LV for c in contexts])
    return Attention(
        y=y,
        x=x,
        query=query,
        cell=(row, column),
        kind=cpc.kind,
        form=cpc.form,
        patches=list(seen.contexts),
        similarity_K=np.array([seen.similarity[w] for w in seen.contexts], np.float32),
        scores_K=np.array([seen.scores[w] for w in seen.contexts], np.float32),
        candidates=len(seen.scores),
        regions=tuple(inside),
        weights_RKHW=np.stack([weight[0].float().cpu().numpy().reshape(shape) for weight, _ in found]),
        lost_R=np.array([float(lost[0]) for _, lost in found], np.float32),
        labels_KHW=label_L.cpu().numpy().reshape(shape),
        values_KHWV=value_LV.float().cpu().numpy().reshape(*shape, -1),
    )


def _open(
    stack: ExitStack, picture: Any, trimap: Any, input_options: InputOptions, *, linear: bool
) -> tuple[BandReader, TrimapReader]:
    pixels, marks = open_inputs(stack, picture, trimap, input_options, linear=linear)
    check_trimap_size(marks.info, pixels.info)
    return pixels, marks


def _whole_panels(
    attention: Attention, shown: Sequence[Window], pixels: BandReader, marks: TrimapReader, width: int
) -> list[Panel]:
    info = pixels.info
    wide = (width - GAP) // 2
    long_side = min(LONG_SIDE, wide) if info.width >= info.height else min(LONG_SIDE, wide * info.height // info.width)
    small, _ = shrunk(pixels, long_side=long_side)
    scale = wide / small.shape[1] if small.shape[1] < wide and small.shape[0] < 400 else 1.0
    small = enlarged(small, scale)
    known = shrunk_trimap(marks, height=small.shape[0], width=small.shape[1])
    factor = small.shape[1] / info.width
    panels: list[Panel] = []
    for view, name in ((small, "picture"), (known, "trimap")):
        for k, window in reversed(list(enumerate((attention.query, *shown)))):
            view = box(
                view,
                y=window.y * factor,
                x=window.x * factor,
                height=window.size * factor,
                width=window.size * factor,
                colour=RED if k else GREEN,
                label=str(k) if k else "query",
            )
        view = ring(view, y=(attention.y + 0.5) * factor, x=(attention.x + 0.5) * factor, colour=BLUE, radius=6)
        panels.append(Panel(view, f"{name}, {info.width} x {info.height}"))
    return panels


def _patch(pixels: BandReader, window: Window) -> np.ndarray:
    top, bottom = rows_of(window, pixels.info.height)
    rows = reader.network_colours(pixels.rows(top, bottom), pixels.info.encoding)
    colours = cut(rows, window, first_row=top, height=pixels.info.height)
    return enlarged(np.rint(255 * colours).astype(np.uint8), SIDE / window.size)


def _framed(pixels: np.ndarray, colour: Colour) -> np.ndarray:
    return box(pixels, y=0, x=0, height=len(pixels), width=pixels.shape[1], colour=colour)


def _heat_row(attention: Attention, i: int, patches: Sequence[np.ndarray], *, stretch: bool) -> list[Panel]:
    name = attention.regions[i]
    weights, inside = attention.weights_RKHW[i], attention.inside(name)
    ends, printed = (0.0, 0.0), None
    lines = ["all pixels" if name == "all" else f"{name}: {LONG[name]}"]
    if not inside.any():
        lines += [f"No {LONG[name]} in these patches: nothing is read, the pixel keeps its own value."]
    else:
        ends = float(weights[inside].min()) if stretch else 0.0, float(weights.max())
        even = 1 / int(inside.sum())
        away = [100 * (end / even - 1) for end in ends]
        printed = (f"{away[0]:+.2g} %", f"{away[1]:+.2g} %") if stretch else ("0", f"{_short(ends[1] / even)} x even")
        if name != "all":
            lines.append(f"{_percent(float(inside.mean()))} of the context's pixels")
        if attention.form == "literal" and name != "all":
            lines.append(f"{100 * attention.lost_R[i]:.0f} % of the attention is lost on pixels outside of it")
        if stretch:
            lines.append("from the smallest to the largest weight, against even attention:")
    panels = [Panel(words(lines, height=SIDE, width=SIDE, ends=printed))]
    for k, pixels in enumerate(patches):
        of = "attention" if name == "all" else f"attention of {name}"
        below = f"{100 * weights[k].sum():.0f} % of the {of}" if inside[k].any() else f"no {LONG[name]} pixel here"
        panels.append(Panel(sheet_module.heat(pixels, weights[k], inside[k], ends=ends), below=(below,)))
    return panels


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _percent(share: float) -> str:
    return "less than 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def _footer(attention: Attention, shown: Sequence[Window]) -> list[str]:
    name = "trimap-guided attention" if attention.kind == "tgnl" else "plain non-local attention"
    form = f" ({attention.form})" if attention.kind == "tgnl" else ""
    text = f"Pixel x {attention.x}, y {attention.y}; {name}{form}; K = {len(attention.patches)} of "
    text += f"{attention.candidates} candidates, selected by their score (eq. 1 with means)"
    if len(shown) < len(attention.patches):
        text += f", the best {len(shown)} shown"
    lines = [text + ".", "Even attention: the same weight for every cell of 8 x 8 pixels."]
    if attention.kind == "tgnl":
        lines[1] = "Faded: outside of the region. " + lines[1][:-1] + " of the region."
    return lines
