"""Methods x test pictures -> mattes, scores, time and memory; a run that stops goes on where it was.

Knows metrics, data sets and methods; nothing of the terminal. Every matte is scored as the 8-bit PNG that lies in the
report's folder, so anybody can score it again. Read top to bottom:

    Settings, Row, Summary, Result    what is asked for; one matte's scores; their mean; everything
    find_items    folders -> data sets
    METHODS       hdmatt, crop, downsample, whole (ours); cf, knn, lbdm, lkm, rw, sm (PyMatting); and folder:PATH
    evaluate      the program: scores.jsonl, mattes/, result.json and report.html in one folder
    summarise, best_of    means per data set, variant and method; which of them are best
    _Worker       a process of its own for each method, so that its peak memory is its own
    _checked      what is wrong with a data set is said before anything is computed
    _crops        where each method is worst, for the report

Time runs from opening the picture to the matte on the disk, without loading a network or a library. Known pixels of
every computed matte are set to the trimap's values, as hdmatt's own are. A method that fails or runs out of memory
is a row that says so.

Not here yet: GEGL's matting-global and matting-levin, and ViTMatte.
"""

import hashlib
import importlib.util
import json
import math
import multiprocessing
import os
import platform
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import psutil
from jaxtyping import Float32, UInt8

from hdmatt import __version__, image, memory, report
from hdmatt.datasets import Composition, Item, discover, read_composition
from hdmatt.errors import InputError, OutputError
from hdmatt.image import ArrayReader, BandReader, PictureWriter
from hdmatt.metrics import Borders, check_truth, patch_borders, score
from hdmatt.patches import grid
from hdmatt.trimap import BACKGROUND, FOREGROUND, UNKNOWN

CUT = ("hdmatt", "crop")  # those that cut the picture into patches, and so may show seams
NETWORK = (*CUT, "downsample", "whole")
CLASSICAL = ("cf", "knn", "lbdm", "lkm", "rw", "sm")
METHODS = (*NETWORK, *CLASSICAL)
FOLDER = "folder:"
MEASURES = ("sad", "mse", "grad", "conn", "mad", "seam", "seconds", "peak_memory")

CROP = 224  # pixels, sides of the report's crops
CROPS_EACH = 3  # pictures per method that the report shows crops of
CROPS_BYTES = 7_000_000  # of all crops in the report, before base64 makes them a third larger

Progress = Callable[[str, int, int], None]  # what is being done, mattes done, mattes in all


@dataclass(frozen=True)
class Settings:
    """How hdmatt's own methods run; see engine.Options. Plain values: they travel to processes without torch."""

    model: str = "hdmatt-s"
    patch: int = 320
    overlap: int = 64
    topk: int = 3
    candidates: int = 30
    memory: int | None = None  # bytes
    device: str = "cpu"


@dataclass(frozen=True)
class Row:
    """One matte of one method, or why there is none; a line of scores.jsonl."""

    method: str
    options: str  # fingerprint: another model or patch size is another row
    dataset: str
    variant: str
    name: str
    sad: float | None = None  # in thousands, as grad and conn
    mse: float | None = None  # as it is; printed times 1000
    grad: float | None = None
    conn: float | None = None
    mad: float | None = None
    seam: float | None = None  # only of methods that cut the picture
    seconds: float | None = None
    peak_memory: int | None = None  # bytes, of the process on the host, libraries and network included
    matte: str | None = None  # relative to the report's folder
    error: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Summary:
    """Plain means over the pictures that were scored; `failed` names those that were not."""

    dataset: str
    variant: str
    method: str
    options: str
    pictures: int  # that were scored
    failed: tuple[str, ...]
    sad: float | None
    mse: float | None
    grad: float | None
    conn: float | None
    mad: float | None
    seam: float | None
    seconds: float | None
    peak_memory: float | None


@dataclass(frozen=True)
class Result:
    """What one call of `evaluate` was asked for, in the order of the question; result.json holds it without rows."""

    rows: list[Row]
    summaries: list[Summary]
    computed: int  # rows that were not there before
    report: Path
    facts: dict[str, Any]  # command, commit, machine, versions, date


def find_items(
    folders: Sequence[Path], layout: str = "auto", *, backgrounds: Path | None = None, limit: int | None = None
) -> dict[str, list[Item]]:
    """Data sets by the names of their folders, with the first `limit` pictures of each variant.

    Raises:
        InputError: As `datasets.discover`; or two folders have the same name.
    """
    found: dict[str, list[Item]] = {}
    for folder in folders:
        name = folder.resolve().name
        if name in found:
            raise InputError(
                f"two data sets are called {name}", hint="Score them into two reports, or rename one of the folders."
            )
        some = discover(folder, layout, backgrounds=backgrounds)
        variants = dict.fromkeys(item.variant for item in some)
        found[name] = [item for v in variants for item in [i for i in some if i.variant == v][:limit]]
    return found


def pick_device(methods: Sequence[str]) -> str:
    """The best device if a network is among the methods; torch is not loaded for the others."""
    if not set(methods) & set(NETWORK):
        return "cpu"
    from hdmatt import api

    return api.pick_device()


def evaluate(
    items: Mapping[str, Sequence[Item]],
    methods: Sequence[str],
    out: Path,
    *,
    settings: Settings | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Result:
    """Score every method on every picture; rows that scores.jsonl holds already are not computed again.

    Methods run in spawned processes: a script that calls this needs the usual `if __name__ == "__main__"`.
    Failed rows count as held: delete their lines to have them tried again. A data set that changed under the same
    name needs another `out`.

    Args:
        items: Name of each data set -> what `datasets.discover` found.
        methods: Names of `METHODS`, or "folder:PATH": finished mattes PATH/<name>.png, also below PATH/<variant>/ or
            PATH/<data set>/<variant>/, where our own are.
        out: The report's folder; made if missing.
        settings: Of hdmatt's own methods.
        command: What the user typed, for the record.

    Raises:
        InputError: No such method; a file is missing, unreadable or of the wrong size; a truth cannot be scored. Found
            before anything is computed, and what was scored in earlier runs stays.
        OutputError: `out` cannot be written.
    """
    settings = settings or Settings()
    fingerprints = {method: _fingerprint(method, settings) for method in dict.fromkeys(methods)}
    jobs = [
        _Job(method, fingerprints[method], dataset, item)
        for method in fingerprints
        for dataset, some in items.items()
        for item in some
    ]
    ledger = out / "scores.jsonl"
    held = {_key(row): row for row in _read_rows(ledger)}
    new = [job for job in jobs if job.key not in held]
    sizes = _checked(items, new)
    _make_folder(out)
    rows: dict[_Key, Row] = {}
    with ExitStack() as stack:
        worker: _Worker | None = None
        for done, job in enumerate(jobs):
            if progress:
                progress(f"{job.method} {job.dataset} {job.item.variant} {job.item.name}", done, len(jobs))
            if job.key not in held:
                if worker is None or worker.method != job.method:
                    if worker:
                        worker.close()
                    worker = stack.enter_context(_Worker(job.method, settings))
                path = _matte_path(job, out, held.values())
                held[job.key] = row = _row(job, worker, out, path, _borders(job, sizes, settings))
                _put(ledger, json.dumps(asdict(row), allow_nan=False) + "\n", "a")
            rows[job.key] = held[job.key]
    if progress:
        progress("report", len(jobs), len(jobs))
    return _finish(list(rows.values()), items, out, settings, command, computed=len(new))


def summarise(rows: Iterable[Row]) -> list[Summary]:
    """Means per (data set, variant, method), data sets and variants together, methods in the order of the rows."""
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.dataset, row.variant, row.method, row.options), []).append(row)
    places = list(dict.fromkeys(key[:2] for key in groups))
    result: list[Summary] = []
    for key in sorted(groups, key=lambda key: places.index(key[:2])):
        scored = [row for row in groups[key] if row.error is None]
        result.append(
            Summary(
                dataset=key[0],
                variant=key[1],
                method=key[2],
                options=key[3],
                pictures=len(scored),
                failed=tuple(row.name for row in groups[key] if row.error is not None),
                **{measure: _mean(getattr(row, measure) for row in scored) for measure in MEASURES},
            )
        )
    return result


def best_of(summaries: Sequence[Summary]) -> set[tuple[int, str]]:
    """(index, measure) of the best of each data set and variant, for bold print; ties are all best.

    Only methods that scored every picture compete, and only against another one.
    """
    best: set[tuple[int, str]] = set()
    for place in {(s.dataset, s.variant) for s in summaries}:
        here = [i for i, s in enumerate(summaries) if (s.dataset, s.variant) == place and not s.failed]
        for measure in MEASURES:
            values = {i: getattr(summaries[i], measure) for i in here}
            far = {i: abs(v - 1) if measure == "seam" else v for i, v in values.items() if v is not None}
            if len(far) > 1:
                best |= {(i, measure) for i, v in far.items() if v == min(far.values())}
    return best


def describe(command: str, settings: Settings) -> dict[str, Any]:
    """Command, date, commit, machine and versions: what a number needs beside it. No host name."""
    return {
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": _machine(settings),
        "versions": _versions(),
    }


# --------------------------------------------------------------------------------------------------------------------
# One matte
# --------------------------------------------------------------------------------------------------------------------

_Key = tuple[str, str, str, str, str]
_PictureKey = tuple[str, str, str]


class _Job(NamedTuple):
    method: str
    options: str
    dataset: str
    item: Item

    @property
    def key(self) -> _Key:
        return self.method, self.options, *self.picture_key

    @property
    def picture_key(self) -> _PictureKey:
        return self.dataset, self.item.variant, self.item.name


def _key(row: Row) -> _Key:
    return row.method, row.options, row.dataset, row.variant, row.name


def _matte_path(job: _Job, out: Path, held: Iterable[Row]) -> Path:
    """Where the matte goes: mattes/<method>/<data set>/<variant>/<name>.png, but never over another row's matte."""
    place = Path(_slug(job.dataset)) / _slug(job.item.variant) / f"{job.item.name}.png"
    path = out / "mattes" / _slug(job.method) / place
    if path.relative_to(out).as_posix() in {row.matte for row in held}:
        path = out / "mattes" / _slug(f"{job.method} {job.options}") / place
    return path


def _row(job: _Job, worker: "_Worker", out: Path, path: Path, borders: Borders | None) -> Row:
    """Compute, write and score one matte."""
    row = Row(job.method, job.options, *job.picture_key, matte=path.relative_to(out).as_posix())
    _make_folder(path.parent)
    run = worker.run(job, path)
    if run.error is not None:
        return replace(row, matte=None, error=run.error, seconds=run.seconds, peak_memory=run.peak)
    truth, trimap = read_bytes(_known(job.item.alpha)), _trimap(_known(job.item.trimap))
    scores = asdict(score(read_bytes(path), truth, trimap, borders=borders))
    note = "seam is infinite: the error changes on the patch borders only" if math.isinf(scores["seam"]) else None
    if not math.isfinite(scores["seam"]):
        scores["seam"] = None
    return replace(row, **scores, seconds=run.seconds, peak_memory=run.peak, note=note)


def read_bytes(path: Path) -> UInt8[np.ndarray, "h w"]:
    """A matte as the 8-bit file that the metrics are defined on; deeper files are rounded as `metrics` rounds."""
    return _as_bytes(image.read_grey(path))


def _as_bytes(alpha: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    return np.floor(alpha.clip(0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _trimap(path: Path) -> UInt8[np.ndarray, "h w"]:
    with image.open_trimap(path) as marks:
        return marks.rows(0, marks.info.height)


def _borders(job: _Job, sizes: Mapping[_PictureKey, tuple[int, int]], settings: Settings) -> Borders | None:
    if job.method not in CUT:
        return None
    height, width = sizes[job.picture_key]
    windows = grid(height, width, size=settings.patch, overlap=settings.overlap)
    return patch_borders(windows, height=height, width=width)


def _slug(text: str) -> str:
    """A file name; two texts never share one."""
    plain = re.sub(r"[^\w.-]+", "_", text)
    if plain == text and plain.strip("."):
        return plain
    return f"{plain.strip('._')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


# --------------------------------------------------------------------------------------------------------------------
# A process for each method
# --------------------------------------------------------------------------------------------------------------------


class _Run(NamedTuple):
    seconds: float | None
    peak: int | None
    error: str | None = None


class _Worker:
    """Computes one method's mattes in a spawned process, which keeps its network from picture to picture.

    Its peak memory is taken anew for each picture where the system can (Linux); elsewhere the process is. It is ended
    when it holds 90 % of what was free before the picture, so that a hungry method cannot take the machine with it.
    """

    def __init__(self, method: str, settings: Settings) -> None:
        self.method, self._settings = method, settings
        self._process: Any = None
        self._connection: Connection | None = None

    def run(self, job: _Job, path: Path) -> _Run:
        """One matte, written to `path`."""
        if self.method.startswith(FOLDER):
            return _copy(self.method, job, path)
        limit = int(0.9 * psutil.virtual_memory().available) + self._resident()
        started = time.monotonic()
        try:
            connection = self._started()
            connection.send((job.item, path))
            while not connection.poll(0.2):
                held = self._resident()
                if held > limit:
                    self.close()
                    text = f"ran out of memory: it held {memory.show(held)}, of {memory.show(limit)} that were free"
                    return _Run(time.monotonic() - started, held, text)
            run = _Run(*connection.recv())
        except (EOFError, OSError):  # it died
            self._process.join()
            code = self._process.exitcode
            self.close()
            killed = " (killed: the system had no memory left?)" if code == -signal.SIGKILL else ""
            return _Run(time.monotonic() - started, None, f"its process ended with code {code}{killed}")
        if run.error or not _resets_peak():
            self.close()
        return run

    def close(self) -> None:
        """End the process; twice is once."""
        if self._connection:
            self._connection.close()
        if self._process:
            self._process.kill()
            self._process.join()
            self._process.close()
        self._process = self._connection = None

    def _started(self) -> Connection:
        if self._connection is None:
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self.method, self._settings), daemon=True)
            self._process.start()
            theirs.close()
        return self._connection

    def _resident(self) -> int:
        try:
            return psutil.Process(self._process.pid).memory_info().rss if self._process else 0
        except psutil.Error:
            return 0

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(connection: Connection, method: str, settings: Settings) -> None:
    """The spawned process: (item, path) in, _Run out, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it ends us
    warnings.simplefilter("ignore")
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  PyMatting prints into what --json prints
    compute: Callable[[Item, Path], None] | None = None
    while True:
        try:
            item, path = connection.recv()
        except EOFError:
            return
        seconds, error = None, None
        try:
            compute = compute or computer(method, settings)
            _reset_peak()
            started = time.monotonic()
            compute(item, path)
            seconds = time.monotonic() - started
        except MemoryError as trouble:
            error = f"ran out of memory: {trouble}"
        except InputError as trouble:
            error = trouble.message
        except Exception as trouble:
            error = f"{type(trouble).__name__}: {trouble}"
        connection.send(tuple(_Run(seconds, _peak(), error)))


def computer(method: str, settings: Settings) -> Callable[[Item, Path], None]:
    """What computes one picture's matte by a method of METHODS and writes it as 8 bit; libraries are loaded here."""
    return (_network if method in NETWORK else _classical)(method, settings)


def _network(method: str, settings: Settings) -> Callable[[Item, Path], None]:
    """hdmatt's strategies, streamed: rows go to the file as they are finished."""
    from hdmatt import api
    from hdmatt.engine import Options
    from hdmatt.strategies import matte_rows

    model = api.load_model(settings.model)
    options = Options(**{k: v for k, v in asdict(settings).items() if k != "model"})

    def compute(item: Item, path: Path) -> None:
        with ExitStack() as stack:
            picture = stack.enter_context(_open(item))
            trimap = stack.enter_context(image.open_trimap(_known(item.trimap)))
            job = matte_rows(method, picture, trimap, model, options)
            _write(path, picture.info.height, picture.info.width, (rows for _, rows in job.rows))

    return compute


def _classical(method: str, _: Settings) -> Callable[[Item, Path], None]:
    """PyMatting's estimators with their own defaults, on display-encoded colours."""
    import pymatting

    estimate = getattr(pymatting, f"estimate_alpha_{method}")

    def compute(item: Item, path: Path) -> None:
        with _open(item) as picture:
            rows = picture.rows(0, picture.info.height)
            colours = image.network_colours(rows, linear=picture.info.linear).astype(np.float64)
        trimap = _trimap(_known(item.trimap))
        alpha = np.asarray(estimate(colours, trimap / 255 * (trimap != UNKNOWN) + 0.5 * (trimap == UNKNOWN)))
        if not np.isfinite(alpha).all():
            raise RuntimeError("the matte holds NaN or infinite values")
        alpha = np.where(trimap == UNKNOWN, alpha, trimap == FOREGROUND).astype(np.float32)
        _write(path, len(alpha), alpha.shape[1], [alpha])

    return compute


def _copy(method: str, job: _Job, path: Path) -> _Run:
    """A finished matte, as it is; nothing is timed."""
    alpha = image.read_grey(_finished(method, job))
    _write(path, len(alpha), alpha.shape[1], [alpha])
    return _Run(None, None)


def _write(path: Path, height: int, width: int, bands: Iterable[np.ndarray]) -> None:
    with PictureWriter(path, height, width, channels=1, bit_depth="8") as file:
        for rows in bands:
            file.write(image.as_float(_as_bytes(rows)))


def _open(item: Item) -> BandReader:
    if isinstance(item.picture, Composition):
        return ArrayReader(read_composition(item.picture))
    return image.open_picture(item.picture)


def _known(path: Path | None) -> Path:
    assert path is not None  # _checked
    return path


def _resets_peak() -> bool:
    return Path("/proc/self/clear_refs").exists()


def _reset_peak() -> None:
    if _resets_peak():
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Most memory held since `_reset_peak`. Not ru_maxrss on Linux: a child starts with its parent's."""
    if not _resets_peak():
        return memory.peak()
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else memory.peak()


# --------------------------------------------------------------------------------------------------------------------
# Checks
# --------------------------------------------------------------------------------------------------------------------


def _fingerprint(method: str, settings: Settings) -> str:
    """What decides the method's mattes besides the picture, as text; refuses methods that cannot run at all."""
    if method.startswith(FOLDER):
        folder = Path(method[len(FOLDER) :])
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder", hint="Give the folder of the mattes: folder:PATH.")
        return "finished mattes"
    if method in CLASSICAL:
        if importlib.util.find_spec("pymatting") is None or importlib.util.find_spec("scipy") is None:
            raise InputError(f"the method {method} needs PyMatting", hint="pip install 'hdmatt[baselines]'")
        return f"pymatting {metadata.version('pymatting')}"
    if method not in NETWORK:
        raise InputError(f"there is no method {method!r}", hint=f"Choose of: {', '.join(METHODS)}, folder:PATH.")
    model = _check_settings(settings)
    parts = [f"model {settings.model} {model}"]
    if method in CUT:
        parts.append(f"patch {settings.patch} overlap {settings.overlap}")
    if method == "hdmatt":
        parts.append(f"topk {settings.topk} candidates {settings.candidates}")
    return ", ".join([*parts, f"device {settings.device}"])


def _check_settings(settings: Settings) -> str:
    """Model and options work; returns the start of the model file's checksum."""
    from hdmatt import api
    from hdmatt.checkpoint import models
    from hdmatt.engine import Options, make_plan

    network = api.load_model(settings.model)
    marks = np.full((64, 64), UNKNOWN, np.uint8)
    marks[0] = BACKGROUND
    options = Options(**{k: v for k, v in asdict(settings).items() if k != "model"})
    make_plan(image.open_trimap(marks), network, options)
    path = models().get(settings.model) or Path(settings.model)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _checked(items: Mapping[str, Sequence[Item]], new: Sequence[_Job]) -> dict[_PictureKey, tuple[int, int]]:
    """Height and width of every picture that is to be scored now; refuses what cannot be."""
    for dataset, some in items.items():
        if not some:
            raise InputError(f"the data set {dataset} has no pictures", hint="Look at --data and --limit.")
    sizes: dict[_PictureKey, tuple[int, int]] = {}
    for job in new:
        item = job.item
        if job.picture_key not in sizes:
            if item.trimap is None:
                raise InputError(
                    f"{item.name} of {job.dataset} has no trimap: the set ships none",
                    hint="Put trimaps into a folder trimap/ beside the pictures; they decide what is counted.",
                )
            if item.alpha is None:
                raise InputError(
                    f"{item.name} of {job.dataset} has no true matte to be scored against",
                    hint="Make its matte with hdmatt matte, and have it scored where the truth is.",
                )
            sizes[job.picture_key] = _same_size(item)
        if job.method.startswith(FOLDER):
            finished = _finished(job.method, job)
            _same(finished, _size_of(finished), *_reference(item))
    for dataset, variant, name in sizes:
        item = next(i for i in items[dataset] if (i.variant, i.name) == (variant, name))
        check_truth(read_bytes(_known(item.alpha)), _trimap(_known(item.trimap)), str(item.alpha))
    return sizes


def _same_size(item: Item) -> tuple[int, int]:
    path, size = _reference(item)
    for other in (_known(item.trimap), _known(item.alpha)):
        _same(other, _size_of(other), path, size)
    if isinstance(item.picture, Composition):
        _same(item.picture.alpha, _size_of(item.picture.alpha), path, size)
        _size_of(item.picture.background)  # is there; any size will do
    return size


def _reference(item: Item) -> tuple[Path, tuple[int, int]]:
    path = item.picture.foreground if isinstance(item.picture, Composition) else item.picture
    return path, _size_of(path)


def _size_of(path: Path) -> tuple[int, int]:
    with image.open_picture(path) as opened:
        return opened.info.height, opened.info.width


def _same(path: Path, size: tuple[int, int], other: Path, wanted: tuple[int, int]) -> None:
    if size != wanted:
        raise InputError(
            f"{path} is {size[1]}x{size[0]} but {other} is {wanted[1]}x{wanted[0]} "
            "(width x height, after EXIF rotation)",
            hint="All files of a picture must have its size; nothing is resized.",
        )


def _finished(method: str, job: _Job) -> Path:
    folder = Path(method[len(FOLDER) :])
    name = f"{job.item.name}.png"
    below = (folder / _slug(job.dataset) / _slug(job.item.variant), folder / job.item.variant, folder)
    for place in below:
        if (place / name).is_file():
            return place / name
    raise InputError(f"{folder / name} does not exist", hint=f"Put the matte of {job.item.name} there as a PNG.")


def _read_rows(path: Path) -> list[Row]:
    """The rows of an earlier run; a last line that was cut off is removed from the file."""
    if not path.exists():
        return []
    rows: list[Row] = []
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("cut off")
            rows.append(Row(**json.loads(line)))
        except (ValueError, TypeError) as error:
            if number < len(lines):
                raise InputError(
                    f"line {number} of {path} is not ours: {error}", hint="Remove the line, or choose another --out."
                ) from error
            path.write_bytes(b"".join(lines[:-1]))
    return rows


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be made: {error.strerror}", hint="Choose another --out.") from error


def _put(path: Path, text: str, mode: str) -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", hint="Free some space there.") from error


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


# --------------------------------------------------------------------------------------------------------------------
# The record and the report
# --------------------------------------------------------------------------------------------------------------------


def _finish(
    rows: list[Row], items: Mapping[str, Sequence[Item]], out: Path, settings: Settings, command: str, *, computed: int
) -> Result:
    summaries = summarise(rows)
    facts = describe(command, settings)
    record = {**facts, "settings": asdict(settings), "summary": [asdict(s) for s in summaries]}
    record["failed"] = [asdict(row) for row in rows if row.error is not None]
    _put(out / "result.json", json.dumps(record, indent=1, allow_nan=False) + "\n", "w")
    page = out / "report.html"
    text = report.render(facts, summaries, best_of(summaries), rows, list(_crops(rows, items, out)))
    _put(page, text, "w")
    return Result(rows, summaries, computed, page, facts)


def _crops(rows: Sequence[Row], items: Mapping[str, Sequence[Item]], out: Path) -> Iterator[report.Crop]:
    """The worst region of the pictures on which each method is worst, while there is room."""
    found = {(d, i.variant, i.name): i for d, some in items.items() for i in some}
    room = CROPS_BYTES
    for method in dict.fromkeys(row.method for row in rows):
        scored = [row for row in rows if row.method == method and row.mad is not None and row.matte is not None]
        worst: dict[tuple[str, str], Row] = {}  # a picture once, with its worst trimap
        for row in sorted(scored, key=lambda row: -(row.mad or 0)):
            worst.setdefault((row.dataset, row.name), row)
        for row in list(worst.values())[:CROPS_EACH]:
            if (out / str(row.matte)).is_file():
                crop = _crop(row, found[row.dataset, row.variant, row.name], out / str(row.matte))
                room -= sum(len(data) for _, _, data in crop.pictures)
                if room < 0:
                    return
                yield crop


def _crop(row: Row, item: Item, path: Path) -> report.Crop:
    truth, matte = read_bytes(_known(item.alpha)), read_bytes(path)
    error = cv2.absdiff(truth, matte) * (_trimap(_known(item.trimap)) == UNKNOWN).astype(np.uint8)
    y0, x0 = _worst_corner(error)
    y1, x1 = min(y0 + CROP, truth.shape[0]), min(x0 + CROP, truth.shape[1])
    with _open(item) as picture:
        colours = image.network_colours(picture.window(y0, y1, x0, x1), linear=picture.info.linear)
    photo = cv2.imencode(".jpg", np.rint(colours[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 88])
    pictures = [("picture", "jpeg", photo[1].tobytes())]
    for name, pixels in (("truth", truth), ("matte", matte), ("error", error)):
        shown = pixels[y0:y1, x0:x1]
        if name == "error":
            shown = cv2.applyColorMap(np.ascontiguousarray(shown), cv2.COLORMAP_INFERNO)
        pictures.append((name, "png", cv2.imencode(".png", shown)[1].tobytes()))
    return report.Crop(row.method, row.dataset, row.variant, row.name, (y0, x0), tuple(pictures))


def _worst_corner(error: UInt8[np.ndarray, "h w"]) -> tuple[int, int]:
    """Top left corner of the crop with the largest sum of errors, on a raster of 16 pixels."""
    height, width = error.shape
    sums = cv2.integral(error, sdepth=cv2.CV_64F)
    ys = np.unique(np.minimum(np.arange(0, height, 16), max(0, height - CROP)))
    xs = np.unique(np.minimum(np.arange(0, width, 16), max(0, width - CROP)))
    bottom, right = np.minimum(ys + CROP, height), np.minimum(xs + CROP, width)
    total = sums[bottom][:, right] - sums[ys][:, right] - sums[bottom][:, xs] + sums[ys][:, xs]
    y, x = np.unravel_index(int(total.argmax()), total.shape)
    return int(ys[y]), int(xs[x])


def _commit() -> str | None:
    """The commit this module comes from; "+" where tracked files differ; None outside of a checkout of ours."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            run = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return run.stdout.strip() if run.returncode == 0 else None

    if git("ls-files", "--error-unmatch", "__init__.py") is None or (commit := git("rev-parse", "HEAD")) is None:
        return None
    return commit + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def _machine(settings: Settings) -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
        cpu = found[1] if found else cpu
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "usable_cores": usable,
        "ram_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
    }
    if settings.device.startswith("cuda"):
        import torch

        machine["gpu"] = torch.cuda.get_device_name(settings.device)
    return machine


def _versions() -> dict[str, str]:
    versions = {"hdmatt": __version__, "python": platform.python_version()}
    for name in ("numpy", "scipy", "opencv-python-headless", "OpenImageIO", "torch", "pymatting"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
