"""A Ray cluster of two nodes on this machine computes the pictures of a folder; one node is killed in the middle.

    python tests/two_nodes.py FOLDER    FOLDER/in holds pairs; results and a log of what happened on stdout

After 30 pictures the next one that node B begins is held there, neither finished nor failed. Then B is killed. So a
picture is always in flight when its node dies. Until B is dead node A finishes nothing: Ray must give B a picture.
Run it in a network namespace of its own, since Ray listens on the machine's address. It brings the loopback up itself.
"""

import fcntl
import os
import secrets
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import cheap_compute

from hdmatt.batching.executor import Outcome, Task

KILLED_AFTER = 30  # pictures
MIB = 2**20
EVENTS, DOOMED = "events.txt", "doomed.txt"


def loopback_up() -> None:
    """What `ip link set lo up` does."""
    flags, up_and_running = 0x8914, 0x1 | 0x40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, flags, struct.pack("16sh14x", b"lo", up_and_running))


def compute(task: Task) -> Outcome:
    """As `cheap_compute.busy`, but tells of beginning and end, and never ends on the node that is to be killed.

    The other node waits until that one is dead.
    """
    import ray

    folder, node = Path(task.picture).parents[1], ray.get_runtime_context().get_node_id()
    tell(folder, "begun", node, os.getpid(), task.name)
    with suppress(FileNotFoundError):
        if (folder / DOOMED).read_text() == node:
            tell(folder, "held", node, os.getpid(), task.name)
            while True:
                signal.pause()
        while not any(event == "killed" for event, *_ in events(folder)):
            time.sleep(0.01)
    outcome = cheap_compute.busy(task)
    tell(folder, "finished", node, os.getpid(), task.name)
    return outcome


def tell(folder: Path, *words: object) -> None:
    """A line of the log; lines of several processes do not mix."""
    descriptor = os.open(folder / EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
    os.close(descriptor)


def events(folder: Path) -> list[list[str]]:
    path = folder / EVENTS
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def main(folder: Path) -> int:
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ.update(RAY_AUTH_MODE="token", RAY_USAGE_STATS_ENABLED="0")
    os.environ.update(RAY_worker_niceness="0")  # else a busy machine leaves the workers no processor
    from ray.cluster_utils import Cluster
    from small_batch import prepared

    import hdmatt.batching.batch as batch
    from hdmatt.cli.main import main as command

    small = {"object_store_memory": 80 * MIB}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
    nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(2)]
    cluster.wait_for_nodes()
    batch.RayTasks = partial(batch.RayTasks, compute="two_nodes:compute")
    results: Counter[str] = Counter()
    killing = threading.Thread(target=kill, args=(cluster, nodes[1], folder), daemon=True)
    killing.start()
    for result in batch.run(prepared(folder / "in", folder / "out", ray=cluster.address)):
        results[result.state] += 1
        if results.total() == KILLED_AFTER:
            (folder / "doomed.tmp").write_text(nodes[1].node_id)
            (folder / "doomed.tmp").rename(folder / DOOMED)
    killing.join(60)
    print_log(folder, {nodes[0].node_id: "A", nodes[1].node_id: "B"})
    print(f"results {dict(results)}")
    os.chdir(folder)
    code = command(["batch", "in", "-o", "out", "--ray", cluster.address, "--memory", "1GiB"])
    cluster.shutdown()
    return code


def kill(cluster: Any, node: Any, folder: Path) -> None:
    """Wait for a held picture. Then kill its node as when a machine loses its power: the raylet and the process that
    holds the picture, by signal 9.
    """
    while not any(event == "held" for event, *_ in events(folder)):
        time.sleep(0.01)
    cluster.remove_node(node, allow_graceful=False)
    for event, _, process, _ in events(folder):
        if event == "held":
            with suppress(ProcessLookupError):  # it saw that its raylet was gone
                os.kill(int(process), signal.SIGKILL)
    tell(folder, "killed", node.node_id, 0, "-")


def print_log(folder: Path, names: dict[str, str]) -> None:
    """A line for each event: node, process by its number in the log, what it did, picture."""
    numbers: dict[str, int] = {"0": 0}
    for event, node, process, picture in events(folder):
        number = numbers.setdefault(process, len(numbers))
        who = f"node {names[node]}" + (f" process {number}" if number else "")
        print(f"{who}: {event}" + (f" {picture}" if number else ""))


if __name__ == "__main__":
    loopback_up()
    sys.exit(main(Path(sys.argv[1])))
