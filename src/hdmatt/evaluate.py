"""Methods x test pictures -> mattes, scores, time and memory; a run that stops goes on where it was.

Knows metrics, data sets and methods; nothing of the terminal. Every matte is scored as the 8-bit PNG that lies in the
report's folder, so anybody can score it again. Read top to bottom:

    Summary, Result    the mean of one method's rows; everything (a row and its files: ledger.py; a method: methods.py)
    find_items    folders -> data sets
    evaluate      the program: scores.jsonl, mattes/, result.json and report.html in one folder
    summarise, best_of    means per data set, variant and method; which of them are best
    _Worker       a process of its own for each method, so that its peak memory is its own
    fingerprint   what decides a method's mattes, as text; refuses methods that cannot run
    _checked      what is wrong with a data set is said before anything is computed
    _with_trimaps    trimaps made from the truth, for sets that ship none

Time runs from opening the picture to the matte on the disk, without loading a network or a library: each process makes
a tiny matte before its first. Known pixels of every computed matte are set to the trimap's values, as hdmatt's own are.
A method that fails or runs out of memory is a row that says so. A row counts only while the files that it was computed
from have the same bytes, whatever they are called.
"""

import hashlib
import importlib.util
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hdmatt import image, report
from hdmatt.bench.pictures import Generated, write
from hdmatt.compute import BAND, FOR_THE_NETWORK, GRID, TILES, method_program
from hdmatt.crops import crops
from hdmatt.datasets import PICTURE_SUFFIXES, Composition, Item, discover, named, require_trimaps
from hdmatt.errors import InputError, OutputError
from hdmatt.items import given, read_bytes, read_marks, write_matte
from hdmatt.ledger import (
    Key,
    Row,
    append,
    digest,
    facts,
    inputs_of,
    new_run,
    now,
    origins,
    provenance,
    put,
    read_rows,
    read_runs,
)
from hdmatt.methods import CLASSICAL, FOLDER, GEGL, KINDS, VITMATTE, Method, Settings, parse
from hdmatt.metrics import check_truth
from hdmatt.patches import check_overlap
from hdmatt.scoring import Cuts, control_of, cuts_of, score_file, seams
from hdmatt.trimap import BACKGROUND, UNKNOWN, from_alpha
from hdmatt.worker import Stopped, Worker, answer, is_memory, peak, reset_peak, resets_peak

MADE = "made-"  # and a radius: the variant of trimaps made from the truth
MEASURES = ("sad", "mse", "grad", "conn", "mad", "seam", "seconds", "peak_memory")  # that compete

WARM_SIDE = 96  # pixels of the picture that nobody clocks

Progress = Callable[[str, int, int], None]  # what is being done, mattes done, mattes in all
Finished = Callable[[Row, int, int], None]  # a matte that was computed now, mattes done, mattes in all


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
    runs: tuple[str | None, ...] = ()  # of ledger.origins, that its rows are of
    seam_control: float | None = None  # as in ledger.Row
    seam_truth: float | None = None


@dataclass(frozen=True)
class Result:
    """What one call of `evaluate` was asked for, in the order of the question; result.json holds it without rows."""

    rows: list[Row]
    summaries: list[Summary]
    computed: int  # rows that were not there before
    report: Path
    facts: dict[str, Any]  # of this call: ledger.facts; of its rows: "runs" (ledger.origins) and "provenance"


def find_items(
    folders: Sequence[Path], layout: str = "auto", *, backgrounds: Path | None = None, limit: int | None = None
) -> dict[str, list[Item]]:
    """Data sets by the names of their folders, with the first `limit` pictures of each variant.

    Raises:
        InputError: As `datasets.discover`; or two folders have the same name; or a limit below 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"--limit is {limit}", hint="Give the number of pictures of each set, 1 or more.")
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


def pick_device(methods: Sequence[str], name: str = "auto") -> str:
    """As `api.pick_device` if a network is among the methods; torch is not loaded for the others.

    Raises:
        InputError: The named device is not there.
    """
    if not any(parse(method, Settings()).on_device for method in methods):
        return "cpu"
    from hdmatt import api

    return api.pick_device(name)


def evaluate(
    items: Mapping[str, Sequence[Item]],
    methods: Sequence[str],
    out: Path,
    *,
    settings: Settings | None = None,
    make_trimaps: Sequence[int] = (),
    retry: bool = False,
    command: str = "",
    progress: Progress | None = None,
    finished: Finished | None = None,
) -> Result:
    """Score every method on every picture; rows that scores.jsonl holds already are not computed again.

    Methods run in spawned processes: a script that calls this needs the usual `if __name__ == "__main__"`.
    Every file is read once for its checksum (`ledger.inputs_of`): pictures, trimaps, truths or finished mattes that
    changed are scored again.

    Args:
        items: Name of each data set -> what `datasets.discover` found.
        methods: As `methods.parse` reads them. The finished mattes of "folder:PATH" are PATH/<name>.png or of another
            suffix that is read, also below PATH/<variant>/ or PATH/<data set>/<variant>/, where our own are.
        out: The report's folder; made if missing.
        settings: Of the methods whose names do not say otherwise.
        make_trimaps: Radii in pixels: items without a trimap get one made from their truth for each of them, kept in
            OUT/trimaps until the truth changes; their variants are called made-<radius>.
        retry: Compute the rows that failed again; the new line of scores.jsonl stands for the old one.
        command: What the user typed, for the record.

    Raises:
        InputError: Another evaluation writes to `out`; no such method; a file is missing, unreadable or of the wrong size; a truth cannot be scored. Found
            before anything is computed, and what was scored in earlier runs stays.
        OutputError: `out` cannot be written.
    """
    settings = settings or Settings()
    chosen = {name: parse(name, settings) for name in dict.fromkeys(methods)}
    fingerprints = {name: fingerprint(method) for name, method in chosen.items()}
    digests: dict[Path, str] = {}
    items = _with_trimaps(items, make_trimaps, out, digests)
    jobs = _jobs(items, chosen, fingerprints, digests)
    runs, known = read_runs(out), facts(settings, command)
    run = new_run(known, settings)
    held = {key: row for key, row in read_rows(out).items() if not (retry and row.error is not None)}
    new = [job for job in jobs if job.key not in held]
    _checked(items, new, chosen)
    _make_folder(out)
    if new and run["run"] not in runs:
        append(out / "runs.jsonl", run)
        runs[run["run"]] = run
    control = control_of(chosen.values(), settings)
    rows: dict[Key, Row] = {}
    with ExitStack() as stack:
        worker: _Worker | None = None
        for done, job in enumerate(jobs):
            if progress:
                progress(f"{job.method} {job.dataset} {job.item.variant} {job.item.name}", done, len(jobs))
            cuts = cuts_of(chosen[job.method], control)
            if job.key not in held:
                if worker is None or worker.method.name != job.method:
                    if worker:
                        worker.close()
                    worker = stack.enter_context(_Worker(chosen[job.method]))
                path = _matte_path(job, out, held.values())
                row = _row(job, worker, out, path, cuts)
                held[job.key] = row = replace(row, run=run["run"], date=now(), **_limits(worker.method))
                append(out / "scores.jsonl", asdict(row))
                if finished:
                    finished(row, done + 1, len(jobs))
            rows[job.key] = _on_borders(held[job.key], job, out, cuts)
    if progress:
        progress("report", len(jobs), len(jobs))
    found = list(rows.values())
    from_runs = origins(found, runs)
    known |= {"provenance": provenance(found, from_runs, run["run"]), "runs": from_runs}
    return _finish(found, items, out, settings, known, computed=len(new))


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
                **{m: _mean(getattr(row, m) for row in scored) for m in (*MEASURES, "seam_control", "seam_truth")},
                runs=tuple(dict.fromkeys(row.run or None for row in groups[key])),
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


# --------------------------------------------------------------------------------------------------------------------
# One matte
# --------------------------------------------------------------------------------------------------------------------

_PictureKey = tuple[str, str, str]


class _Job(NamedTuple):
    method: str
    options: str
    dataset: str
    item: Item
    inputs: str

    @property
    def key(self) -> Key:
        return self.method, self.options, *self.picture_key, self.inputs

    @property
    def picture_key(self) -> _PictureKey:
        return self.dataset, self.item.variant, self.item.name


def _jobs(
    items: Mapping[str, Sequence[Item]],
    methods: Mapping[str, Method],
    fingerprints: Mapping[str, str],
    digests: dict[Path, str],
) -> list[_Job]:
    """Every method on every picture, each with the checksum of what it is computed from."""
    jobs: list[_Job] = []
    for name, method in methods.items():
        for dataset, some in items.items():
            for item in some:
                finished = _finished(method, dataset, item) if method.kind == FOLDER else None
                inputs = inputs_of(item, finished, known=digests)
                jobs.append(_Job(name, fingerprints[name], dataset, item, inputs))
    return jobs


def _limits(method: Method) -> dict[str, int | None]:
    """What moves a method's time and memory, and its mattes by rounding only."""
    known = KINDS[method.kind]
    settings = method.settings
    return {
        "memory_limit": settings.memory if "memory" in known else None,
        "batch": settings.batch if "batch" in known else None,
    }


def _matte_path(job: _Job, out: Path, held: Iterable[Row]) -> Path:
    """Where the matte goes: mattes/<method>/<data set>/<variant>/<name>.png, but never over another row's matte."""
    place = Path(_slug(job.dataset)) / _slug(job.item.variant) / f"{job.item.name}.png"
    taken = {row.matte for row in held}
    folders = (job.method, f"{job.method} {job.options}", f"{job.method} {job.options} {job.inputs}")
    paths = [out / "mattes" / _slug(folder) / place for folder in folders]
    return next((path for path in paths if path.relative_to(out).as_posix() not in taken), paths[-1])


def _row(job: _Job, worker: "_Worker", out: Path, path: Path, cuts: Cuts | None) -> Row:
    """Compute, write and score one matte."""
    row = Row(job.method, job.options, *job.picture_key, job.inputs, matte=path.relative_to(out).as_posix())
    _make_folder(path.parent)
    run = worker.run(job, path)
    if run.error is not None:
        return replace(row, matte=None, error=run.error, seconds=run.seconds, peak_memory=run.peak)
    return replace(row, **score_file(path, job.item, cuts), seconds=run.seconds, peak_memory=run.peak)


def _on_borders(row: Row, job: _Job, out: Path, cuts: Cuts | None) -> Row:
    """The row with its seams on the borders of this call; measured again, and kept, where those are others.

    Of a matte that is gone only the score on its own borders is left.
    """
    if row.error is not None or cuts is None or row.borders == cuts.text:
        return row
    if row.matte is None or not (out / row.matte).is_file():
        return replace(row, seam_control=None, seam_truth=None)
    row = replace(row, **seams(out / row.matte, job.item, cuts))
    append(out / "scores.jsonl", asdict(row))
    return row


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

    Its peak memory is taken anew for each picture where the system can (Linux); elsewhere the process is.
    """

    def __init__(self, method: Method) -> None:
        self.method = method
        self._worker = Worker(_serve, method)

    def run(self, job: _Job, path: Path) -> _Run:
        """One matte, written to `path`."""
        if self.method.kind == FOLDER:
            return _copy(self.method, job, path)
        try:
            run = _Run(*self._worker.ask((job.item, path)))
        except Stopped as stop:
            return _Run(stop.seconds, stop.held, stop.text)
        # a child's peak is never taken anew
        if run.error or not resets_peak() or self.method.kind in GEGL:
            self._worker.close()
        return run

    def close(self) -> None:
        """End the process; twice is once."""
        self._worker.close()

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(connection: Connection, method: Method) -> None:
    """The spawned process: (item, path) in, _Run out."""
    answer(connection, _clocked(method))


def _clocked(method: Method) -> Callable[[tuple[Item, Path]], tuple[Any, ...]]:
    """What makes one matte and takes time and memory of that alone; loading and a tiny matte come before the first."""
    compute: Callable[[Item, Path], None] | None = None

    def run(question: tuple[Item, Path]) -> tuple[Any, ...]:
        nonlocal compute
        seconds, error, before = None, None, "before the first picture: "
        try:
            if compute is None:
                loaded = method_program(method)
                _warm(loaded)
                compute = loaded
            before = ""
            reset_peak()
            started = time.monotonic()
            compute(*question)
            seconds = time.monotonic() - started
        except InputError as trouble:
            error = before + trouble.message
        except Exception as trouble:
            error = before + said(trouble)
        return tuple(_Run(seconds, peak(), error))

    return run


def _warm(compute: Callable[[Item, Path], None]) -> None:
    """A tiny matte, so that nothing is compiled or set up for the first time while the clock runs."""
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as name:
        folder = Path(name)
        picture, trimap = folder / "picture.tif", folder / "trimap.tif"
        write(Generated(WARM_SIDE, unknown=0.2), picture, trimap)
        compute(Item("warm-up", picture, trimap, None, ""), folder / "alpha.png")


def said(trouble: Exception) -> str:
    """An exception of a method as a row says it."""
    return f"{'ran out of memory' if is_memory(trouble) else type(trouble).__name__}: {trouble}"


def _copy(method: Method, job: _Job, path: Path) -> _Run:
    """A finished matte, as it is; nothing is timed."""
    alpha = image.read_grey(_finished(method, job.dataset, job.item))
    write_matte(path, len(alpha), alpha.shape[1], [alpha])
    return _Run(None, None)


# --------------------------------------------------------------------------------------------------------------------
# Checks
# --------------------------------------------------------------------------------------------------------------------


def fingerprint(method: Method) -> str:
    """What decides the method's mattes besides the picture, as text; refuses methods that cannot run at all."""
    settings = method.settings
    if method.kind == FOLDER:
        if not given(method.path).is_dir():
            raise InputError(f"{method.path} is not a folder", hint="Give the folder of the mattes: folder:PATH.")
        return "finished mattes"
    if method.kind in CLASSICAL:
        if importlib.util.find_spec("pymatting") is None or importlib.util.find_spec("scipy") is None:
            raise InputError(f"the method {method.name} needs PyMatting", hint="pip install 'hdmatt[baselines]'")
        return f"pymatting {metadata.version('pymatting')}"
    if method.kind in GEGL:
        from hdmatt.peers import GEGL_OPERATIONS, gegl_version

        return f"gegl {gegl_version(method.kind)}, {' '.join(GEGL_OPERATIONS[method.kind])}"
    if method.kind in VITMATTE:
        parts = [f"weights {_check_vitmatte(method)}, transformers {metadata.version('transformers')}"]
    else:
        parts = [f"model {settings.model} {_check_settings(settings, method.kind)}"]
    if method.kind in GRID:
        parts.append(f"patch {settings.patch} overlap {settings.overlap}")
    if method.kind in TILES:
        parts.append(f"patch {settings.patch}")
    if method.kind == "hdmatt":
        parts.append(f"topk {settings.topk} candidates {settings.candidates}")
    if method.kind in GRID and settings.cover != "grid":
        parts.append(f"cover {settings.cover}")
    if (settings.runtime, settings.precision) != ("auto", "auto"):  # of any name: mattes agree to 1e-4
        parts.append(f"runtime {settings.runtime} {settings.precision}")
    return ", ".join([*parts, f"device {settings.device}"])


def _check_settings(settings: Settings, kind: str) -> str:
    """Model and options work; returns the start of the model file's checksum."""
    from hdmatt import api
    from hdmatt.checkpoint import models
    from hdmatt.engine import Options, make_plan

    network = api.load_network(
        settings.model, runtime=settings.runtime, precision=settings.precision, device=settings.device
    )
    marks = np.full((64, 64), UNKNOWN, np.uint8)
    marks[0] = BACKGROUND
    if kind == "tiles":
        settings = replace(settings, overlap=0)
    options = Options(**{k: v for k, v in asdict(settings).items() if k not in FOR_THE_NETWORK})
    make_plan(image.open_trimap(marks), network, options)
    path = models().get(settings.model) or Path(settings.model)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _check_vitmatte(method: Method) -> str:
    from hdmatt.peers import check_vitmatte

    settings = method.settings
    if method.kind in (*GRID, *TILES):
        batch = 1 if settings.batch is None else settings.batch
        if settings.patch < 32 or batch < 1:
            raise InputError(
                f"{method.name}: a patch of {settings.patch} pixels, {batch} at once",
                hint="Choose a patch of 32 pixels or more, and a batch of 1 or more.",
            )
        check_overlap(settings.patch, settings.overlap if method.kind in GRID else 0)
    return check_vitmatte(given(method.path))


def _with_trimaps(
    items: Mapping[str, Sequence[Item]], radii: Sequence[int], out: Path, digests: dict[Path, str]
) -> dict[str, list[Item]]:
    """Each item without a trimap once for each radius, with one made from its truth; the others as they are."""
    without = [item for some in items.values() for item in some if item.trimap is None]
    for some in items.values():
        require_trimaps(some, make_trimap=radii[0] if radii else None)
    if radii and not without:
        raise InputError(
            "every picture has a trimap of its own, so none is made",
            hint="Leave --make-trimap out, or name a data set without trimaps.",
        )
    for radius in radii:
        if radius < 0:
            raise InputError(f"--make-trimap is {radius}", hint="Give a radius in pixels, 0 or more, like 20.")
    for item in without:
        _same(given(item.alpha), _size_of(given(item.alpha)), *_reference(item))
    own = {name: [item for item in some if item.trimap is not None] for name, some in items.items()}
    made = {name: _made(name, some, radii, out) for name, some in items.items()}
    for alpha in dict.fromkeys(given(item.alpha) for item in without) if radii else ():
        digests[alpha] = digest(alpha)
    missing = [item for some in made.values() for item in some if not _is_made(item, digests)]
    for alpha in dict.fromkeys(given(item.alpha) for item in missing):  # all are checked before one is made
        truth = read_bytes(alpha)
        check_truth(truth, np.full_like(truth, UNKNOWN), str(alpha))
    for item in missing:
        path, radius = given(item.trimap), int(item.variant.removeprefix(MADE))
        trimap = from_alpha(read_bytes(given(item.alpha)), radius=radius)
        _make_folder(path.parent)
        _truth_of(path).unlink(missing_ok=True)
        write_matte(path, len(trimap), trimap.shape[1], [image.as_float(trimap)])
        put(_truth_of(path), digests[given(item.alpha)] + "\n")  # last: a trimap without it is made again
    return {name: own[name] + made[name] for name in items}


def _is_made(item: Item, digests: Mapping[Path, str]) -> bool:
    """Whether the item's trimap is there and was made from its truth as that is now."""
    path = given(item.trimap)
    stamp, wanted = _truth_of(path), digests[given(item.alpha)]
    return path.is_file() and stamp.is_file() and stamp.read_bytes().decode(errors="replace").strip() == wanted


def _truth_of(trimap: Path) -> Path:
    """Where the checksum of the truth is kept that a trimap was made from."""
    return trimap.with_name(f"{trimap.name}.truth-sha256")


def _made(dataset: str, items: Sequence[Item], radii: Sequence[int], out: Path) -> list[Item]:
    """The items without a trimap, once for each radius, with the one that they are to get."""
    place = out / "trimaps" / _slug(dataset)
    return [
        replace(item, trimap=place / f"{MADE}{radius}" / f"{item.name}.png", variant=f"{MADE}{radius}")
        for radius in dict.fromkeys(radii)
        for item in items
        if item.trimap is None
    ]


def _checked(
    items: Mapping[str, Sequence[Item]], new: Sequence[_Job], methods: Mapping[str, Method]
) -> dict[_PictureKey, tuple[int, int]]:
    """Height and width of every picture that is to be scored now; refuses what cannot be, each file read to its end."""
    for dataset, some in items.items():
        if not some:
            raise InputError(f"the data set {dataset} has no pictures", hint="Look at --data and --limit.")
    sizes: dict[_PictureKey, tuple[int, int]] = {}
    mattes: list[Path] = []
    for job in new:
        item = job.item
        if job.picture_key not in sizes:
            if item.alpha is None:
                raise InputError(
                    f"{item.name} of {job.dataset} has no true matte to be scored against",
                    hint="Make its matte with hdmatt matte, and have it scored where the truth is.",
                )
            sizes[job.picture_key] = _same_size(item)
        if (method := methods[job.method]).kind == FOLDER:
            finished = _finished(method, job.dataset, item)
            _same(finished, _size_of(finished), *_reference(item))
            mattes.append(finished)
    pictures: list[Path] = []
    for dataset, variant, name in sizes:
        item = next(i for i in items[dataset] if (i.variant, i.name) == (variant, name))
        truth, trimap = given(item.alpha), given(item.trimap)
        marks = read_marks(trimap)
        if not (marks == UNKNOWN).any():
            raise InputError(
                f"{trimap} has no unknown pixel, so there is nothing to score",
                hint="Take another trimap, or take this picture out of the set.",
            )
        check_truth(read_bytes(truth), marks, str(truth))
        pictures += _files(item.picture)
    for path in dict.fromkeys(pictures):
        _decode(path)
    for path in dict.fromkeys(mattes):
        read_bytes(path)
    return sizes


def _files(picture: Path | Composition) -> tuple[Path, ...]:
    parts = isinstance(picture, Composition)
    return (picture.foreground, picture.alpha, picture.background) if parts else (picture,)


def _decode(path: Path) -> None:
    """A picture that is cut short is found before hours of work and not at their end, in the report."""
    with image.open_picture(path) as picture:
        for y in range(0, picture.info.height, BAND):
            picture.rows(y, min(y + BAND, picture.info.height))


def _same_size(item: Item) -> tuple[int, int]:
    path, size = _reference(item)
    for other in (given(item.trimap), given(item.alpha)):
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


def _finished(method: Method, dataset: str, item: Item) -> Path:
    folder = given(method.path)
    for place in (folder / _slug(dataset) / _slug(item.variant), folder / item.variant, folder):
        if path := named(place, item.name):
            return path
    raise InputError(
        f"{folder} has no matte of {item.name}: {folder / item.name}.png does not exist",
        hint=f"Put it there as one of {', '.join(PICTURE_SUFFIXES)}.",
    )


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be made: {error.strerror}", hint="Choose another --out.") from error


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


# --------------------------------------------------------------------------------------------------------------------
# The record and the report
# --------------------------------------------------------------------------------------------------------------------


def _finish(
    rows: list[Row],
    items: Mapping[str, Sequence[Item]],
    out: Path,
    settings: Settings,
    known: dict[str, Any],
    *,
    computed: int,
) -> Result:
    summaries = summarise(rows)
    record = {**known, "settings": asdict(settings), "summary": [asdict(s) for s in summaries]}
    record["failed"] = [asdict(row) for row in rows if row.error is not None]
    put(out / "result.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    page = out / "report.html"
    text = report.render(known, summaries, best_of(summaries), rows, list(crops(rows, items, out)))
    put(page, text)
    return Result(rows, summaries, computed, page, known)
