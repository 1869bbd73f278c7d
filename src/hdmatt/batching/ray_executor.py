"""Tasks on a cluster of Ray: any machine that has hdmatt and sees the files computes pictures.

RayTasks           an executor: a bounded number of Ray tasks in flight
load_ray           the module, if it is installed
ray_environment    the environment that Ray is loaded and connected in

A node that dies costs its pictures another try, which Ray makes by itself. Paths travel, pixels never do: all nodes
need the same files under the same paths, or URLs. Each worker process of Ray keeps the network that it loaded.
"""

import importlib
import os
import signal
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import hdmatt
from hdmatt.batching.division import PROCESS_BYTES, Division
from hdmatt.batching.executor import Answer, Outcome, Task, outcome_of, task_of, to_json
from hdmatt.batching.processes import COMPUTE
from hdmatt.batching.spool import computed_locally, moved, named_back, names_of
from hdmatt.batching.urls import is_url
from hdmatt.errors import InputError

AHEAD = 2  # times the cluster's processors: no node waits, and an autoscaler sees that there is more to do
RETRIES = 5  # made by Ray where a process or a node died
LOOK_SECONDS = 5.0  # between two looks at how large the cluster is
_ENVIRONMENT = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}  # what the user set stays


class RayTasks:
    """Computes on a cluster of Ray.

    Attributes:
        division: How each node is shared out, by the smallest of them.

    Args:
        address: Of the cluster: HOST:PORT, or "auto" on one of its machines.
        memory: Bytes for all pictures on a node. None: what Ray may use on the smallest node.
        workers: Pictures at once on the whole cluster. None: by cores and memory.
        threads: Threads of every picture. None: by its size.
        gpu: Each picture needs a GPU.
        compute: "module:function" that takes a Task and returns an Outcome.

    Raises:
        InputError: Ray is not installed, no cluster answers, or no node has room for a picture.
    """

    def __init__(
        self,
        address: str,
        *,
        memory: int | None = None,
        workers: int | None = None,
        threads: int | None = None,
        gpu: bool = False,
        compute: str = COMPUTE,
    ) -> None:
        self._mine = False
        with ray_environment():
            self._ray = load_ray()
            self._connect(address)
        try:
            self.division, self._node_memory = self._divide(memory, threads)
        except InputError:
            self.close()
            raise
        self._workers, self._gpu, self._compute = workers, gpu, compute
        self._remote = self._ray.remote(_compute)
        self._flying: dict[Any, tuple[Task, dict[str, str]]] = {}
        self._cpus, self._looked = 0.0, -LOOK_SECONDS

    def room(self, task: Task) -> bool:
        flying = [one for one, _ in self._flying.values()]
        if not flying:
            return True
        if self._workers is not None and len(flying) >= self._workers:
            return False
        if time.monotonic() > self._looked + LOOK_SECONDS:
            self._cpus, self._looked = self._ray.cluster_resources().get("CPU", 0.0), time.monotonic()
        return sum(map(self._processors, flying)) + self._processors(task) <= AHEAD * self._cpus

    def submit(self, task: Task) -> None:
        names = {name: os.path.abspath(name) for name in names_of(task) if not is_url(name)}
        needs: dict[str, Any] = {"num_cpus": self._processors(task)}
        if task.memory is not None:
            needs["memory"] = min(task.memory, self._node_memory)
        if self._gpu:
            needs["num_gpus"] = 1
        remote = self._remote.options(max_retries=RETRIES, retry_exceptions=[OSError], **needs)
        reference = remote.remote(self._compute, to_json(moved(task, names)), hdmatt.__version__)
        self._flying[reference] = task, names

    def wait(self, seconds: float | None) -> list[Answer]:
        if not self._flying:
            return []
        ready, _ = self._ray.wait(list(self._flying), num_returns=1, timeout=seconds)
        if ready and self._flying:
            ready, _ = self._ray.wait(list(self._flying), num_returns=len(self._flying), timeout=0)
        return [self._answer(reference) for reference in ready]

    def close(self) -> None:
        flying, self._flying = list(getattr(self, "_flying", ())), {}
        for reference in flying:
            with suppress(Exception):  # it ended meanwhile, or its node is gone
                self._ray.cancel(reference, force=True)
        if self._mine:
            self._mine = False
            self._ray.shutdown()

    def _connect(self, address: str) -> None:
        """Connect, unless this program is connected."""
        if self._ray.is_initialized():
            return
        here = threading.current_thread() is threading.main_thread()
        kept = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(address=address, log_to_driver=False, logging_level="error")
        except Exception as error:  # Ray raises many kinds
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"no Ray cluster can be used at {address}: {said}",
                hint="Start one with `ray start --head`, give its HOST:PORT, and its token in RAY_AUTH_TOKEN "
                "or ~/.ray/auth_token (docs/batch.md).",
            ) from error
        finally:
            if here:
                signal.signal(signal.SIGTERM, kept)  # Ray sets one of its own, with another exit code
        self._mine = True

    def _divide(self, memory: int | None, threads: int | None) -> tuple[Division, int]:
        """The division of each node, and the memory that Ray counts on the smallest."""
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        nodes = [resources for resources in alive if resources.get("CPU", 0) >= 1]
        if not nodes:
            hint = "Add machines: ray start --address HOST:PORT."
            raise InputError("no node of the Ray cluster has a processor", hint=hint)
        cores = int(min(resources["CPU"] for resources in nodes))
        node_memory = int(min(resources.get("memory", PROCESS_BYTES) for resources in nodes))
        if threads is not None and threads > cores:
            raise InputError(
                f"threads is {threads}, but a node of the cluster has {cores} processors", hint="Give fewer threads."
            )
        given = node_memory if memory is None else memory
        at_once = max(1, min(cores // (threads or 1), given // PROCESS_BYTES))
        return Division(cores, at_once, given, threads, machines=len(nodes)), node_memory

    def _processors(self, task: Task) -> int:
        """What a task asks for: a picture that must be alone takes a whole node."""
        return self.division.cores if task.alone else min(task.threads, self.division.cores)

    def _answer(self, reference: Any) -> Answer:
        task, names = self._flying.pop(reference)
        exceptions = importlib.import_module("ray.exceptions")
        try:
            outcome = outcome_of(self._ray.get(reference))
        except exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, ImportError) or "ModuleNotFoundError" in str(error):
                reason = f"a node of the Ray cluster cannot load hdmatt: {cause or type(error).__name__}"
                return Answer(task, Outcome("refused", reason=reason, hint="Install hdmatt on every node."))
            return Answer(task, None, f"Ray gave it up ({type(error).__name__})")
        return Answer(task, named_back(outcome, names))


def load_ray() -> Any:
    """The module ray.

    Raises:
        InputError: Ray is not installed.
    """
    try:
        with ray_environment():
            return importlib.import_module("ray")
    except ImportError as error:
        raise InputError("--ray needs the package ray", hint="Install it: pip install 'hdmatt[cluster]'") from error


@contextmanager
def ray_environment() -> Generator[None]:
    """Ray uses tokens and sends no statistics, unless the user's environment says otherwise; it is put back.

    Ray reads the variables when it is loaded and when it connects.
    """
    added = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@cache
def _prepared() -> None:
    """Prepare this process, the first time only."""
    from hdmatt.system.memory import keep_freed

    keep_freed()


def _compute(compute: str, task: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Runs on a node. What is wrong with a picture is an outcome, never an error."""
    if version != hdmatt.__version__:
        reason = f"a node of the Ray cluster has hdmatt {hdmatt.__version__}, this machine has {version}"
        return to_json(Outcome("refused", reason=reason, hint="Install the same version everywhere."))
    _prepared()
    module, _, function = compute.partition(":")
    return to_json(computed_locally(task_of(dict(task)), getattr(importlib.import_module(module), function)))
