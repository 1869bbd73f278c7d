"""Methods x test pictures -> mattes, scores, time and memory; a run that stops goes on where it was.

Goes through both; what it needs for that is next door: names in evaluation/methods.py, their mattes in
evaluation/run_method.py and evaluation/timed.py, numbers in evaluation/scores.py, means in evaluation/summary.py, rows
and runs in evaluation/ledger.py, checks in evaluation/settings_check.py, the page in evaluation/crops.py and
evaluation/report.py. Every matte is scored as the 8-bit PNG that lies in the report's folder, so anybody can score it
again. Read top to bottom:

    Result        everything
    find_items    folders -> data sets
    pick_device   where networks run
    evaluate      the program: scores.jsonl, mattes/, result.json and report.html in one folder
    _Job          one method on one picture: which file its matte is, what its row is

Known pixels of every computed matte are set to the trimap's values, as hdmatt's own are. A method that fails or runs
out of memory is a row that says so. A row counts only while the files that it was computed from have the same bytes,
whatever they are called.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from hdmatt.errors import InputError
from hdmatt.evaluation import report
from hdmatt.evaluation.crops import crops
from hdmatt.evaluation.items import finished_matte, require_path
from hdmatt.evaluation.ledger import Key, Row, append, inputs_of, read_rows, read_runs
from hdmatt.evaluation.made_trimaps import with_trimaps
from hdmatt.evaluation.methods import FOLDER, KINDS, Method, Settings, parse
from hdmatt.evaluation.provenance import facts, new_run, now, origins, provenance
from hdmatt.evaluation.scores import PatchBorders, borders_of, reference_grid, score_file, seams
from hdmatt.evaluation.settings_check import check_files, fingerprint
from hdmatt.evaluation.summary import Summary, best_of, summarise
from hdmatt.evaluation.testsets import Item, discover
from hdmatt.evaluation.timed import Timed
from hdmatt.system.files import locked, make_folder, slug, write_text_atomic

Progress = Callable[[str, int, int], None]  # what is being done, mattes done, mattes in all
Finished = Callable[[Row, int, int], None]  # a matte that was computed now, mattes done, mattes in all


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


def pick_device(methods: Sequence[str], name: str = "auto", *, several: bool = True) -> str:
    """As `api.pick_device` if a network is among the methods; torch is not loaded for the others.

    Raises:
        InputError: The named device is not there, or there are several and a method runs on one only.
    """
    used = [parsed for parsed in (parse(method, Settings()) for method in methods) if parsed.on_device]
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
        InputError: No such method; another evaluation writes to `out`; a file is missing, unreadable or of the wrong
            size; a truth cannot be scored. Found before anything is computed, and what was scored before stays.
        OutputError: `out` cannot be written.
    """
    settings = settings or Settings()
    chosen = {name: parse(name, settings) for name in dict.fromkeys(methods)}
    fingerprints = {name: fingerprint(method) for name, method in chosen.items()}
    with locked(out, user="another evaluation"):
        digests: dict[Path, str] = {}
        items = with_trimaps(items, make_trimaps, out, digests)
        jobs = _jobs(items, chosen, fingerprints, digests)
        runs, known = read_runs(out), facts(settings, command)
        run = new_run(known, settings)
        held = {key: row for key, row in read_rows(out).items() if not (retry and row.error is not None)}
        new = [job for job in jobs if job.key not in held]
        check_files(items, ((job.dataset, job.item, job.finished) for job in new))
        if new and run["run"] not in runs:
            append(out / "runs.jsonl", run)
            runs[run["run"]] = run
        control = reference_grid(chosen.values(), settings)
        found: list[Row] = []
        for name, method in chosen.items():
            cuts = borders_of(method, control)
            with Timed(method) as worker:
                for job in (job for job in jobs if job.method == name):
                    if progress:
                        progress(f"{name} {job.dataset} {job.item.variant} {job.item.name}", len(found), len(jobs))
                    if job.key not in held:
                        row = _row(job, worker, out, _matte_path(job, out, held.values()), cuts)
                        held[job.key] = row = replace(row, run=run["run"], date=now(), **_limits(method))
                        append(out / "scores.jsonl", asdict(row))
                        if finished:
                            finished(row, len(found) + 1, len(jobs))
                    found.append(_on_borders(held[job.key], job, out, cuts))
        if progress:
            progress("report", len(jobs), len(jobs))
        from_runs = origins(found, runs)
        known |= {"provenance": provenance(found, from_runs, run["run"]), "runs": from_runs}
        return _finish(found, items, out, settings, known, computed=len(new))


class _Job(NamedTuple):
    method: str
    options: str
    dataset: str
    item: Item
    inputs: str
    finished: Path | None = None  # the matte of a "folder:" method

    @property
    def key(self) -> Key:
        return self.method, self.options, *self.picture, self.inputs

    @property
    def picture(self) -> tuple[str, str, str]:
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
                finished = finished_matte(require_path(method.path), dataset, item) if method.kind == FOLDER else None
                inputs = inputs_of(item, finished, known=digests)
                jobs.append(_Job(name, fingerprints[name], dataset, item, inputs, finished))
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
    place = Path(slug(job.dataset)) / slug(job.item.variant) / f"{job.item.name}.png"
    taken = {row.matte for row in held}
    folders = (job.method, f"{job.method} {job.options}", f"{job.method} {job.options} {job.inputs}")
    paths = [out / "mattes" / slug(folder) / place for folder in folders]
    return next((path for path in paths if path.relative_to(out).as_posix() not in taken), paths[-1])


def _row(job: _Job, worker: Timed, out: Path, path: Path, cuts: PatchBorders | None) -> Row:
    """Compute, write and score one matte."""
    row = Row(job.method, job.options, *job.picture, job.inputs, matte=path.relative_to(out).as_posix())
    make_folder(path.parent)
    run = worker.run(job.item, path, job.finished)
    if run.error is not None:
        return replace(row, matte=None, error=run.error, seconds=run.seconds, peak_memory=run.peak)
    return replace(row, **score_file(path, job.item, cuts), seconds=run.seconds, peak_memory=run.peak)


def _on_borders(row: Row, job: _Job, out: Path, cuts: PatchBorders | None) -> Row:
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
    write_text_atomic(out / "result.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    page = out / "report.html"
    text = report.render(known, summaries, best_of(summaries), rows, list(crops(rows, items, out)))
    write_text_atomic(page, text)
    return Result(rows, summaries, computed, page, known)
