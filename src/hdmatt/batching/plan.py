"""The plan of a batch: pictures to compute, those that would fail, seconds and memory. Computes nothing.

BatchPlan    counts, pictures that would fail, megapixels, seconds
plan_batch   a prepared batch -> its plan
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hdmatt.batching.batch import Prepared
from hdmatt.batching.entry import Entry
from hdmatt.batching.forecast import Forecast
from hdmatt.batching.headers import Refusal, refusals
from hdmatt.batching.sizes import Sizes
from hdmatt.errors import OutputError


@dataclass(frozen=True)
class BatchPlan:
    """Pictures to compute, with the expected seconds and memory.

    Attributes:
        pictures: All of them.
        new, changed, done, failed: By what the ledger and the disk say; `changed` counts missing outputs, too.
        to_compute, megapixels: Those that would be computed, without those that would fail.
        first_mattes: How many of them have an automatic trimap, which needs a matte of a smaller picture first.
        seconds: Forecast for them, all together, from what pictures took before on this machine.
        measured: Whether there are such pictures in the ledger.
        at_once, cores, memory: Pictures and threads at a time, bytes for all.
        failing: The pictures that would fail, as far as headers show, and those that failed before and would not be
            computed again.
    """

    pictures: int
    new: int
    changed: int
    done: int
    failed: int
    to_compute: int
    megapixels: float
    first_mattes: int
    seconds: float
    measured: bool
    at_once: int
    cores: int
    memory: int
    failing: list[Refusal]


def plan_batch(prepared: Prepared) -> BatchPlan:
    """The plan of a batch, from the ledger and the headers of the files of the pictures to compute.

    Raises:
        OutputError: Nothing could be written.
    """
    _check_folder(prepared.ledger.folder)
    job, ledger, division = prepared.job, prepared.ledger, prepared.division
    entries = prepared.collected.entries
    standings = {one.name: ledger.standing(one, job.fingerprint(one)) for one in entries}
    wanted = [one for one in entries if job.wanted(standings[one.name])]
    refused = refusals([(one, job.task(one).work) for one in wanted])
    failing = {one.name for one in refused}
    stand = [one for one in entries if standings[one.name] == "failed" and not job.wanted("failed")]
    computed = [one for one in wanted if one.name not in failing]
    forecast, sizes = Forecast(ledger.rows.values()), Sizes(job.automatic)
    sizes.start(computed)
    of_each = [sizes.size(one) for one in computed]
    counts = Counter(standings.values())
    return BatchPlan(
        pictures=len(standings),
        new=counts["new"],
        changed=counts["changed"] + counts["gone"],
        done=counts["done"],
        failed=counts["failed"] + counts["again"],
        to_compute=len(computed),
        megapixels=sum(size.megapixels for size in of_each),
        first_mattes=sum(size.smaller > 0 for size in of_each),
        seconds=forecast.run_seconds(of_each, division),
        measured=forecast.measured,
        at_once=division.at_once,
        cores=division.cores,
        memory=division.memory,
        failing=refused + [_before(one, prepared) for one in stand],
    )


def _check_folder(folder: Path) -> None:
    """Refuse a folder of the ledger that a run could not make or write to."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "we may not write into it" if there.is_dir() else "it is a file"
        raise OutputError(f"{folder} cannot be made in {there}: {what}", hint="Choose another folder.")


def _before(entry: Entry, prepared: Prepared) -> Refusal:
    row = prepared.ledger.rows[entry.name]
    return Refusal(entry.name, entry.picture, row.reason, row.hint)
