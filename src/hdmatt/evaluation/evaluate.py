"""The program behind `hdmatt eval`: methods x test pictures -> mattes, scores, time and memory.

A stopped evaluation continues: finished rows are not computed again. The parts are next door: names in methods.py,
mattes in run_method.py and timed.py, numbers in scores.py, means in summary.py, rows and runs in ledger.py, checks in
settings_check.py, the page in regions.py and report.py. Read top to bottom:

    Evaluation    rows, means and facts of one call
    find_items    folders -> data sets
    device_for    where networks run
    evaluate      writes scores.jsonl, mattes/, result.json and report.html into one folder
    _prepare, _compute, _finish    its three parts
    _EvalJob      one method on one picture

Every matte is scored as the 8-bit PNG in the report's folder, so anybody can score it again. Known pixels of every
computed matte have the trimap's values. A method that fails or runs out of memory gives a row with the error. A row
counts only while the files behind it have the same bytes; their names do not matter.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from hdmatt.errors import InputError
from hdmatt.evaluation import report
from hdmatt.evaluation.items import finished_matte, require_path
from hdmatt.evaluation.ledger import ScoreKey, ScoreRow, append, inputs_of, read_rows, read_runs
from hdmatt.evaluation.made_trimaps import with_trimaps
from hdmatt.evaluation.methods import FOLDER, KINDS, Method, Settings, parse_method
from hdmatt.evaluation.provenance import facts, new_run, now, origins, provenance
from hdmatt.evaluation.regions import worst_regions
from hdmatt.evaluation.scores import PatchBorders, borders_of, reference_grid, score_file, seams
from hdmatt.evaluation.settings_check import check_files, method_fingerprint
from hdmatt.evaluation.summary import ScoreSummary, best_of, summarise
from hdmatt.evaluation.testsets import Item, discover
from hdmatt.evaluation.timed import Timed
from hdmatt.inference.options import RunOptions
from hdmatt.system.files import locked, make_folder, slug, write_text_atomic

EvalProgress = Callable[[str, int, int], None]  # what is being done, mattes done, mattes in all
Finished = Callable[[ScoreRow, int, int], None]  # a matte that was computed now, mattes done, mattes in all


@dataclass(frozen=True)
class Evaluation:
    """The result of a call of `evaluate`, in the order of its data sets and methods; result.json holds all but rows."""

    rows: list[ScoreRow]
    summaries: list[ScoreSummary]
    computed: int  # new rows
    report: Path
    facts: dict[str, Any]  # provenance.facts of this call; "runs" (provenance.origins) and "provenance" of the rows


def find_items(
    folders: Sequence[Path], layout: str = "auto", *, backgrounds: Path | None = None, limit: int | None = None
) -> dict[str, list[Item]]:
    """Data sets by the names of their folders, with the first `limit` pictures of each variant.

    Raises:
        InputError: As `testsets.discover`; or two folders have the same name; or a limit below 1.
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


def device_for(methods: Sequence[str], name: str = "auto", *, several: bool = True) -> str:
    """As `devices.pick_device` if a network is among the methods; torch is not loaded for the others.

    Raises:
        InputError: The named device is not there, or there are several and a method runs on one only.
    """
    used = [parsed for parsed in (parse_method(method, Settings()) for method in methods) if parsed.on_device]
    if not used:
        return "cpu"
    from hdmatt.inference.strategies import ON_SEVERAL
    from hdmatt.runtimes import devices

    device = devices.pick_device(name, several=several)
    single = [method.name for method in used if method.kind not in ON_SEVERAL]
    if "," in device and single:
        raise InputError(
            f"{', '.join(single)} runs on one device, not on {device!r}",
            hint=f"Give one --device, or only methods of: {', '.join(ON_SEVERAL)}.",
        )
    return device


def evaluate(
    items: Mapping[str, Sequence[Item]],
    methods: Sequence[str],
    out: Path,
    *,
    settings: Settings | None = None,
    make_trimaps: Sequence[int] = (),
    retry: bool = False,
    command: str = "",
    listener: "Listener | None" = None,
) -> Evaluation:
    """Score every method on every picture. Rows that scores.jsonl holds already are not computed again.

    Methods run in spawned processes: a script that calls this needs the usual `if __name__ == "__main__"`.

    Args:
        items: Name of each data set -> what `testsets.discover` found.
        methods: As `methods.parse_method` reads them. Mattes of "folder:PATH" are PATH/<name>.png or another picture
            suffix, also in PATH/<variant>/ or PATH/<data set>/<variant>/, where ours are.
        out: The report's folder; made if missing.
        settings: Of methods whose names do not say otherwise.
        make_trimaps: Radii in pixels: items without a trimap get one made from their truth for each radius, kept in
            OUT/trimaps until the truth changes. Their variants are called made-<radius>.
        retry: Compute failed rows again; the new line of scores.jsonl replaces the old one.
        command: What the user typed, for the record.
        listener: Called as the evaluation goes on.

    Raises:
        InputError: No such method; another evaluation writes to `out`; a file is missing, unreadable or of the wrong
            size; a truth cannot be scored. Raised before anything is computed; earlier scores stay.
        OutputError: `out` cannot be written.
    """
    settings = settings or Settings()
    chosen = {name: parse_method(name, settings) for name in dict.fromkeys(methods)}
    fingerprints = {name: method_fingerprint(method) for name, method in chosen.items()}
    with locked(out, user="another evaluation"):
        digests: dict[Path, str] = {}
        items = with_trimaps(items, make_trimaps, out, digests)
        jobs = _jobs(items, chosen, fingerprints, digests)
        held, new = _prepare(items, jobs, out, retry=retry)
        known = facts(settings, command)
        run, runs = _recorded_run(known, settings, out, needed=new > 0)
        rows = _compute(jobs, chosen, held, out, settings, run, listener or Listener())
        from_runs = origins(rows, runs)
        known |= {"provenance": provenance(rows, from_runs, run), "runs": from_runs}
        return _finish(rows, items, out, settings, known, computed=new)


class Listener(NamedTuple):
    """Callbacks for the progress of an evaluation."""

    progress: EvalProgress | None = None  # before each matte, and before the report
    finished: Finished | None = None  # after each matte that was computed now


class _EvalJob(NamedTuple):
    method: str
    options: str
    dataset: str
    item: Item
    inputs: str
    finished: Path | None = None  # the matte of a "folder:" method

    @property
    def key(self) -> ScoreKey:
        return self.method, self.options, *self.picture, self.inputs

    @property
    def picture(self) -> tuple[str, str, str]:
        return self.dataset, self.item.variant, self.item.name


def _jobs(
    items: Mapping[str, Sequence[Item]],
    methods: Mapping[str, Method],
    fingerprints: Mapping[str, str],
    digests: dict[Path, str],
) -> list[_EvalJob]:
    """Every method on every picture, each with the checksum of what it is computed from."""
    jobs: list[_EvalJob] = []
    for name, method in methods.items():
        for dataset, some in items.items():
            for item in some:
                finished = finished_matte(require_path(method.path), dataset, item) if method.kind == FOLDER else None
                inputs = inputs_of(item, finished, known=digests)
                jobs.append(_EvalJob(name, fingerprints[name], dataset, item, inputs, finished))
    return jobs


def _prepare(
    items: Mapping[str, Sequence[Item]], jobs: Sequence[_EvalJob], out: Path, *, retry: bool
) -> tuple[dict[ScoreKey, ScoreRow], int]:
    """The rows of earlier calls that still count, and the number of jobs without one, whose files are checked."""
    held = {key: row for key, row in read_rows(out).items() if not (retry and row.error is not None)}
    new = [job for job in jobs if job.key not in held]
    check_files(items, ((job.dataset, job.item, job.finished) for job in new))
    return held, len(new)


def _recorded_run(
    known: dict[str, Any], settings: Settings, out: Path, *, needed: bool
) -> tuple[str, dict[str, dict[str, Any]]]:
    """The name of this call's run, and all runs by name; a line of runs.jsonl where the call computes rows."""
    runs, run = read_runs(out), new_run(known, settings)
    if needed and run["run"] not in runs:
        append(out / "runs.jsonl", run)
        runs[run["run"]] = run
    return run["run"], runs


def _compute(
    jobs: Sequence[_EvalJob],
    methods: Mapping[str, Method],
    held: dict[ScoreKey, ScoreRow],
    out: Path,
    settings: Settings,
    run: str,
    listener: Listener,
) -> list[ScoreRow]:
    """A row for every job, method by method: from `held`, or computed now and added to `held` and scores.jsonl."""
    control = reference_grid(methods.values(), settings)
    found: list[ScoreRow] = []
    for name, method in methods.items():
        borders = borders_of(method, control)
        with Timed(method) as worker:
            for job in (job for job in jobs if job.method == name):
                if listener.progress:
                    listener.progress(f"{name} {job.dataset} {job.item.variant} {job.item.name}", len(found), len(jobs))
                if job.key not in held:
                    row = _row(job, worker, out, _matte_path(job, out, held.values()), borders)
                    held[job.key] = row = replace(row, run=run, date=now(), **_limits(method))
                    append(out / "scores.jsonl", asdict(row))
                    if listener.finished:
                        listener.finished(row, len(found) + 1, len(jobs))
                found.append(_on_borders(held[job.key], job, out, borders))
    if listener.progress:
        listener.progress("report", len(jobs), len(jobs))
    return found


def _limits(method: Method) -> dict[str, int | None]:
    """The settings that change a method's time and memory; its mattes differ by rounding only."""
    known = KINDS[method.kind]
    options = RunOptions.of(method.settings.options)
    return {
        "memory_limit": options.memory if "memory" in known else None,
        "batch": options.batch if "batch" in known else None,
    }


def _matte_path(job: _EvalJob, out: Path, held: Iterable[ScoreRow]) -> Path:
    """Where the matte goes: mattes/<method>/<data set>/<variant>/<name>.png, but never over another row's matte."""
    place = Path(slug(job.dataset)) / slug(job.item.variant) / f"{job.item.name}.png"
    taken = {row.matte for row in held}
    folders = (job.method, f"{job.method} {job.options}", f"{job.method} {job.options} {job.inputs}")
    paths = [out / "mattes" / slug(folder) / place for folder in folders]
    return next((path for path in paths if path.relative_to(out).as_posix() not in taken), paths[-1])


def _row(job: _EvalJob, worker: Timed, out: Path, path: Path, borders: PatchBorders | None) -> ScoreRow:
    """Compute, write and score one matte."""
    row = ScoreRow(job.method, job.options, *job.picture, job.inputs, matte=path.relative_to(out).as_posix())
    make_folder(path.parent)
    run = worker.run(job.item, path, job.finished)
    if run.error is not None:
        return replace(row, matte=None, error=run.error, seconds=run.seconds, peak_memory=run.peak)
    return replace(row, **score_file(path, job.item, borders), seconds=run.seconds, peak_memory=run.peak)


def _on_borders(row: ScoreRow, job: _EvalJob, out: Path, borders: PatchBorders | None) -> ScoreRow:
    """The row with its seams on the borders of this call; where those differ, measured again and stored.

    If the matte is gone, only the score on its own borders is left.
    """
    if row.error is not None or borders is None or row.borders == borders.text:
        return row
    if row.matte is None or not (out / row.matte).is_file():
        return replace(row, seam_control=None, seam_truth=None)
    row = replace(row, **seams(out / row.matte, job.item, borders))
    append(out / "scores.jsonl", asdict(row))
    return row


def _finish(
    rows: list[ScoreRow],
    items: Mapping[str, Sequence[Item]],
    out: Path,
    settings: Settings,
    known: dict[str, Any],
    *,
    computed: int,
) -> Evaluation:
    summaries = summarise(rows)
    record = {**known, "settings": settings.record(), "summary": [asdict(s) for s in summaries]}
    record["failed"] = [asdict(row) for row in rows if row.error is not None]
    write_text_atomic(out / "result.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    page = out / "report.html"
    text = report.render(known, summaries, best_of(summaries), rows, list(worst_regions(rows, items, out)))
    write_text_atomic(page, text)
    return Evaluation(rows, summaries, computed, page, known)
