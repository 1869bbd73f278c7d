"""The plan of a batch: pictures to compute, seconds and memory. Computes nothing.

BatchPlan    counts, megapixels, seconds
plan_batch   a prepared batch -> its plan
"""

from collections import Counter
from dataclasses import dataclass

from hdmatt.batching.batch import Prepared
from hdmatt.batching.forecast import Forecast
from hdmatt.batching.sizes import Sizes


@dataclass(frozen=True)
class BatchPlan:
    """Pictures to compute, with the expected seconds and memory.

    Attributes:
        pictures: All of them.
        new, changed, done, failed: By what the ledger and the disk say; `changed` counts missing outputs, too.
        to_compute, megapixels: Those that would be computed.
        seconds: Forecast for them, all together, from what pictures took before on this machine.
        measured: Whether there are such pictures in the ledger.
        at_once, cores, memory: Pictures and threads at a time, bytes for all.
    """

    pictures: int
    new: int
    changed: int
    done: int
    failed: int
    to_compute: int
    megapixels: float
    seconds: float
    measured: bool
    at_once: int
    cores: int
    memory: int


def plan_batch(prepared: Prepared) -> BatchPlan:
    """The plan of a batch, from the ledger and the headers of the pictures to compute."""
    job, ledger, division = prepared.job, prepared.ledger, prepared.division
    standings = {one.name: ledger.standing(one, job.fingerprint(one)) for one in prepared.collected.entries}
    wanted = [one for one in prepared.collected.entries if job.wanted(standings[one.name])]
    forecast, sizes = Forecast(), Sizes()
    known = [row for row in ledger.rows.values() if row.state == "done" and row.megapixels]
    for row in known:
        forecast.learn(row.megapixels, row.seconds)
    sizes.start(wanted)
    megapixels = [sizes.megapixels(one) for one in wanted]
    counts = Counter(standings.values())
    return BatchPlan(
        pictures=len(standings),
        new=counts["new"],
        changed=counts["changed"] + counts["gone"],
        done=counts["done"],
        failed=counts["failed"] + counts["again"],
        to_compute=len(wanted),
        megapixels=sum(megapixels),
        seconds=sum(forecast.seconds(one) / division.beside(one) for one in megapixels),
        measured=bool(known),
        at_once=division.at_once,
        cores=division.cores,
        memory=division.memory,
    )
