"""The executor protocol: how local processes and clusters are given pictures to compute.

Task        one picture to compute; plain data, so that it can travel as JSON
Outcome     the result of a task; plain data, too
Answer      a task with its outcome, or with the reason why there is none
Executor    room, submit, wait, close

An executor may compute a task twice and need not notice: outputs appear by renaming, and the loop (run.py) writes one
row of the ledger. What was wrong with a picture is an outcome. Only a task that vanished (its process was killed, its
machine is gone) is an answer without one; the loop then submits it again.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Task:
    """One picture to compute.

    Attributes:
        name: See `Entry.name`.
        picture, trimap, mask: Files to read.
        outputs: Files to write, by the names of `Outputs`.
        work: What `compute` needs to know beside: options, network, strategy.
        threads: Threads to compute with.
        memory: Limit of the process, in bytes.
        attempt: 1, and 2 when it is computed again.
        alone: Nothing else may be computed beside it.
    """

    name: str
    picture: str
    trimap: str | None
    mask: str | None
    outputs: dict[str, str]
    work: dict[str, Any]
    threads: int = 1
    memory: int | None = None
    attempt: int = 1
    alone: bool = False


@dataclass(frozen=True)
class Outcome:
    """Result of one task.

    Attributes:
        state: "done"; "failed"; "refused": no picture can be computed, the network or its device is not there.
        sizes: Output file -> size in bytes.
        seconds: Of the computation.
        megapixels: Size of the picture; 0 if it could not be read.
        reason, hint: Why it failed, and what to do about it.
        again: The reason lies in the machine (memory, disk), not in the picture.
        short_of_memory: More memory may help.
        summary: `RunSummary` as a dict.
        warnings: What the user should know about a picture that is done.
        device: What computed it.
    """

    state: str
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0
    megapixels: float = 0.0
    reason: str = ""
    hint: str = ""
    again: bool = False
    short_of_memory: bool = False
    summary: dict[str, Any] = field(default_factory=dict[str, Any])
    warnings: list[str] = field(default_factory=list[str])
    device: str = ""


Compute = Callable[[Task], Outcome]


@dataclass(frozen=True)
class Answer:
    """A task that came back, with its outcome or with the reason why it was lost."""

    task: Task
    outcome: Outcome | None
    lost: str = ""


@runtime_checkable
class Executor(Protocol):
    """Computes tasks."""

    def room(self, task: Task) -> bool:
        """Whether a task can be submitted now. With nothing submitted there is always room."""
        ...

    def submit(self, task: Task) -> None:
        """Start a task that there is room for. Returns at once."""
        ...

    def wait(self, seconds: float | None) -> list[Answer]:
        """The tasks that came back since the last call; waits for the first of them, at most so long."""
        ...

    def close(self) -> None:
        """Stop what is being computed and leave nothing running. Safe to call twice."""
        ...


def to_json(value: Task | Outcome) -> dict[str, Any]:
    """A task or an outcome as JSON can hold it."""
    return asdict(value)


def task_of(found: dict[str, Any]) -> Task:
    """A task from what `to_json` gave."""
    return Task(**found)


def outcome_of(found: dict[str, Any]) -> Outcome:
    """An outcome from what `to_json` gave; other versions may add fields."""
    known = {one.name for one in fields(Outcome)}
    return Outcome(**{key: value for key, value in found.items() if key in known})
