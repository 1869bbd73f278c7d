"""The loop of a batch: claims pictures, hands them to an executor, writes the ledger.

BatchResult    the result of one picture
BatchJob       what all pictures of a batch have in common
Loop           results, as pictures finish

Of a picture that several runs want, the first to claim it computes it; the others go on and take its result from the
ledger. A picture whose process vanished is computed again once, alone, with all the memory.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hdmatt import __version__
from hdmatt.batching.ahead import read_ahead
from hdmatt.batching.claims import Claims
from hdmatt.batching.division import Division
from hdmatt.batching.entry import Entry
from hdmatt.batching.executor import Answer, Executor, Outcome, Task
from hdmatt.batching.forecast import Forecast
from hdmatt.batching.ledger import Fingerprint, Ledger, LedgerRow, fingerprint, settings_digest
from hdmatt.batching.sizes import Sizes
from hdmatt.batching.urls import forget
from hdmatt.errors import InputError
from hdmatt.inference.summary import RunSummary
from hdmatt.trimaps.widths import BandWidths

LOOK_SECONDS = 0.5  # between two looks at a picture that another run computes
ATTEMPTS = 2


@dataclass(frozen=True)
class BatchResult:
    """Result of one picture of a batch.

    Attributes:
        name: The picture's path below its input folder, with "/".
        picture: Its file.
        outputs: The files that were written, or that stand; none where it failed.
        state: "done"; "unchanged": done before, by this or by another run; "failed".
        reason, hint: Why it failed, and what to do about it.
        now: Whether it was computed in this run.
        seconds: Of the computation.
        warnings: What to know about a picture that is done.
        summary: What `matte_files` returned; None where the picture was not computed now, or failed.
        seconds_left: Forecast for the pictures that are still to compute.
    """

    name: str
    picture: str
    outputs: list[str]
    state: str
    reason: str = ""
    hint: str = ""
    now: bool = True
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list[str])
    summary: RunSummary | None = None
    seconds_left: float = 0.0


@dataclass(frozen=True)
class BatchJob:
    """Settings that all pictures of a batch share.

    Attributes:
        work: What a worker needs to know: outputs' settings, options, network, strategy, reading.
        digest: Of everything that the pixels depend on, weights included.
        redo: See `BatchOptions`.
        max_failures: See `BatchOptions`.
    """

    work: Mapping[str, Any]
    digest: str
    redo: str = "changed"
    max_failures: int | None = None

    def task(self, entry: Entry, **how: Any) -> Task:
        """The task of a picture, with its own settings in place of the batch's."""
        work = {part: dict(value) if isinstance(value, Mapping) else value for part, value in self.work.items()}
        for name, value in entry.settings.items():
            part = next((part for part in work.values() if isinstance(part, dict) and name in part), work)
            part[name] = value
        return Task(entry.name, entry.picture, entry.trimap, entry.mask, entry.outputs, work, **how)

    def fingerprint(self, entry: Entry) -> Fingerprint:
        """A digest of everything that the result depends on, as it is now."""
        digest = settings_digest([self.digest, entry.settings]) if entry.settings else self.digest
        return fingerprint(entry, digest)

    def automatic(self, entry: Entry) -> bool:
        """Whether the picture's trimap is made from its mask by a first matte of the smaller picture."""
        if entry.trimap is not None:
            return False
        mask = self.task(entry).work["mask"]
        return BandWidths.parse(mask["band"], mask["inside"], mask["outside"], picture=True).auto

    def wanted(self, standing: str) -> bool:
        """Whether a picture of this standing is to be computed."""
        if self.redo == "all" or standing in ("new", "changed", "gone", "again"):
            return True
        return standing == "failed" and self.redo == "failed"


class Loop:
    """One run over the pictures of a batch.

    Args:
        pause: Waits some seconds; tests give their own.
    """

    def __init__(
        self,
        job: BatchJob,
        ledger: Ledger,
        claims: Claims,
        executor: Executor,
        division: Division,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.job, self.ledger, self.claims = job, ledger, claims
        self.executor, self.division, self.pause = executor, division, pause
        self.forecast, self.sizes = Forecast(ledger.rows.values()), Sizes(job.automatic)
        self.failures = 0
        self._entries: dict[str, Entry] = {}
        self._before: dict[str, Fingerprint] = {}  # of the pictures that are being computed
        self._lost: deque[Task] = deque()
        self._since = time.time_ns()
        self._forecast_at, self._left = -1.0, 0.0

    def run(self, entries: Sequence[Entry]) -> Iterator[BatchResult]:
        """Compute the pictures that need it, and yield the result of every picture as it finishes."""
        queue: deque[Entry] = deque()
        for entry in entries:
            standing = self.ledger.standing(entry, self.job.fingerprint(entry))
            if self.job.wanted(standing):
                queue.append(entry)
            else:
                yield self._standing(entry, standing)
        self.sizes.start(queue)
        yield from self._compute(queue)

    def _compute(self, queue: deque[Entry]) -> Iterator[BatchResult]:
        large, elsewhere = deque[Entry](), deque[Entry]()  # after the small ones; claimed by other runs
        while True:
            while entry := self._next(queue, large):
                yield from self._begin(entry, elsewhere)
            for answer in self.executor.wait(None) if self._before else ():
                if result := self._finish(answer):
                    yield self._told(result, [*queue, *large])
            if self._stopped() and not self._before:
                return
            if self._before or queue or large:
                continue
            if not elsewhere:
                return
            queue, elsewhere = elsewhere, deque()
            self.pause(LOOK_SECONDS)

    def _next(self, queue: deque[Entry], large: deque[Entry]) -> Entry | None:
        """The next picture if there is room for it now: one that was lost, then small ones, then large ones."""
        while self._lost and self.executor.room(self._lost[0]):
            self._submit(self._lost.popleft())
        if self._stopped():
            return None
        while queue and not self._lost:
            threads = self._threads(queue[0])
            if threads > 1 and self.division.cores > 1 and self.division.threads is None:
                large.append(queue.popleft())
                continue
            return queue.popleft() if self.executor.room(self._task(queue[0])) else None
        if large and not self._lost and self.executor.room(self._task(large[0])):
            return large.popleft()
        return None

    def _begin(self, entry: Entry, elsewhere: deque[Entry]) -> Iterator[BatchResult]:
        """Submit a picture, unless another run has it or did it meanwhile."""
        if not self.claims.take(entry.name):
            elsewhere.append(entry)
            return
        self.ledger.refresh()
        _look_again(entry)
        before = self.job.fingerprint(entry)
        standing = self.ledger.standing(entry, before)
        row = self.ledger.rows.get(entry.name)
        since = row is not None and row.time > self._since and row.inputs == before
        if (since and standing != "gone") or not self.job.wanted(standing):
            self.claims.release(entry.name)
            yield self._standing(entry, standing)
            return
        outputs = {self.ledger.place(path): 0 for path in entry.outputs.values()}
        self.ledger.add(LedgerRow(entry.name, "started", before, outputs))
        self._entries[entry.name], self._before[entry.name] = entry, before
        self._submit(self._task(entry))

    def _submit(self, task: Task) -> None:
        self.executor.submit(task)
        if self.division.machines is None:
            read_ahead(self.sizes.next_files(task.name, self.division.at_once))

    def _finish(self, answer: Answer) -> BatchResult | None:
        """Write the row of a picture; None if it is computed once more."""
        task, outcome = answer.task, answer.outcome
        if outcome is not None and outcome.state == "refused":
            raise InputError(outcome.reason, hint=outcome.hint)
        short = outcome is not None and outcome.short_of_memory and task.memory != self.division.memory
        if (outcome is None or short) and task.attempt < ATTEMPTS:
            self._lost.append(self._alone(task))
            return None
        if outcome is None:
            reason = f"{answer.lost}, {task.attempt} times"
            outcome = Outcome("failed", reason=reason, hint="Give it more memory, or leave it out.", again=True)
        entry, before = self._entries.pop(task.name), self._before.pop(task.name)
        _look_again(entry)
        if outcome.state == "done" and self.job.fingerprint(entry) != before:
            outcome = Outcome("failed", reason="it changed while it was computed", hint="Run again.", again=True)
        self.ledger.add(self._row(entry, before, outcome))
        self.claims.release(task.name)
        if outcome.state == "done":
            self.forecast.learn(outcome.megapixels + self.sizes.size(entry).smaller, outcome.seconds)
        else:
            self.failures += 1
        outputs = list(entry.outputs.values()) if outcome.state == "done" else []
        return BatchResult(
            entry.name,
            entry.picture,
            outputs,
            outcome.state,
            outcome.reason,
            outcome.hint,
            seconds=outcome.seconds,
            warnings=outcome.warnings,
            summary=RunSummary.of(outcome.summary),
        )

    def _row(self, entry: Entry, before: Fingerprint, outcome: Outcome) -> LedgerRow:
        sizes = {self.ledger.place(path): outcome.sizes.get(path, 0) for path in entry.outputs.values()}
        return LedgerRow(
            entry.name,
            outcome.state,
            before,
            sizes,
            seconds=round(outcome.seconds, 3),
            megapixels=round(outcome.megapixels, 3),
            smaller=round(self.sizes.size(entry).smaller, 3),
            reason=outcome.reason,
            hint=outcome.hint,
            again=outcome.again,
            version=__version__,
        )

    def _task(self, entry: Entry) -> Task:
        threads = self._threads(entry)
        return self.job.task(entry, threads=threads, memory=self.division.memory_of(threads))

    def _alone(self, task: Task) -> Task:
        return replace(task, attempt=task.attempt + 1, memory=self.division.memory, alone=True)

    def _threads(self, entry: Entry) -> int:
        return self.division.threads_of(self.sizes.size(entry).megapixels)

    def _stopped(self) -> bool:
        return self.job.max_failures is not None and self.failures >= self.job.max_failures

    def _standing(self, entry: Entry, standing: str) -> BatchResult:
        """A picture that is not computed now."""
        row = self.ledger.rows[entry.name]
        if standing == "done":
            outputs = list(entry.outputs.values())
            return BatchResult(entry.name, entry.picture, outputs, "unchanged", now=False, seconds=row.seconds)
        return BatchResult(entry.name, entry.picture, [], "failed", row.reason, row.hint, now=False)

    def _told(self, result: BatchResult, left: Sequence[Entry]) -> BatchResult:
        """The result with the expected time left, which is updated once a second."""
        if time.monotonic() > self._forecast_at + 1:
            entries = [*left, *(self._entries[name] for name in self._before)]
            self._left = self.forecast.run_seconds(self.sizes.known(entries), self.division)
            self._forecast_at = time.monotonic()
        return replace(result, seconds_left=self._left)


def _look_again(entry: Entry) -> None:
    forget(*entry.inputs().values(), *entry.outputs.values())
