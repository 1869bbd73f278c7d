"""A Ray cluster of two nodes on this machine computes the pictures of a folder; one node is killed in the middle.

    python tests/two_nodes.py FOLDER    FOLDER/in holds pairs; results and a table of what happened on stdout

The pictures are computed by cheap_compute.busy. Run it in a network namespace of its own, since Ray listens on the
machine's address. It brings the loopback up itself.
"""

import fcntl
import os
import secrets
import socket
import struct
import sys
from collections import Counter
from functools import partial
from pathlib import Path

KILLED_AFTER = 30  # pictures
MIB = 2**20


def loopback_up() -> None:
    """What `ip link set lo up` does."""
    flags, up_and_running = 0x8914, 0x1 | 0x40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, flags, struct.pack("16sh14x", b"lo", up_and_running))


def main(folder: Path) -> int:
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ.update(RAY_worker_niceness="0")  # else a busy machine leaves the workers no processor
    from small_batch import prepared

    import hdmatt.batching.batch as batch
    from hdmatt.batching.ray_executor import load_ray
    from hdmatt.cli.main import main as command

    load_ray()
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 * MIB}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
    nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(2)]
    cluster.wait_for_nodes()
    batch.RayTasks = partial(batch.RayTasks, compute="cheap_compute:busy")
    results: Counter[str] = Counter()
    for result in batch.run(prepared(folder / "in", folder / "out", ray=cluster.address)):
        results[result.state] += 1
        if results.total() == KILLED_AFTER:
            cluster.remove_node(nodes[1], allow_graceful=False)
    begun = [line.split() for line in (folder / "begun.txt").read_text().splitlines()]
    twice = [name for name, times in Counter(name for _, name in begun).items() if times > 1]
    print(f"results {dict(results)}, one of two nodes killed after {KILLED_AFTER}")
    print(f"pictures begun {len(begun)}, twice {twice}, by {len({process for process, _ in begun})} processes")
    os.chdir(folder)
    code = command(["batch", "in", "-o", "out", "--ray", cluster.address, "--memory", "1GiB"])
    cluster.shutdown()
    return code


if __name__ == "__main__":
    loopback_up()
    sys.exit(main(Path(sys.argv[1])))
