"""Batches on a Ray cluster: two real nodes, one of them killed; and a made-up cluster for what needs none."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_batch import pairs, prepared

from hdmatt.batching import batch
from hdmatt.batching.batch import run
from hdmatt.batching.executor import Executor, Task
from hdmatt.batching.ray_executor import RayTasks, load_ray, ray_environment
from hdmatt.cli.main import main
from hdmatt.errors import InputError

ROOT = Path(__file__).parents[2]
GIB = 2**30
PICTURES = 80


@pytest.mark.release
def test_a_node_killed_with_a_picture_in_flight_costs_none_and_every_picture_is_done_once(tmp_path):
    """In a network namespace; the root of a machine may make one, others where the system lets them."""
    pairs(tmp_path / "in", *(f"{number:02}" for number in range(PICTURES)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    command = [*alone, sys.executable, str(ROOT / "tests/two_nodes.py"), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    *log, counts, second = done.stdout.splitlines()
    assert (counts, second) == (f"results {{'done': {PICTURES}}}", f"0 done, {PICTURES} unchanged, 0 failed")

    (held,) = (line for line in log if ": held " in line)
    node, picture = held.split()[1], held.split()[-1]
    killed = log.index(f"node {node}: killed")
    assert [line.split()[-2] for line in log[:killed] if line.endswith(f" {picture}")] == ["begun", "held"]
    assert {line.split()[1] for line in log[killed + 1 :]} == {"A"} != {node}, "the dead node still computes"
    assert [line.split()[-2] for line in log[killed:] if line.endswith(f" {picture}")] == ["begun", "finished"]
    finished = Counter(line.split()[-1] for line in log if ": finished " in line)
    assert len(finished) == PICTURES

    mattes = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.png")}
    assert mattes == {f"{one:02}_alpha.png": b"trimap%02d_trimap.png" % one for one in range(PICTURES)}
    ledger = [line for path in (tmp_path / "out/.hdmatt").glob("*.jsonl") for line in path.read_text().splitlines()]
    names = [row["name"] for row in map(json.loads, ledger) if row["state"] == "done"]
    assert len(names) == PICTURES == len(set(names))
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".hdmatt-")]


@pytest.fixture
def ray(monkeypatch):
    """A cluster that is made up: two nodes, of 4 and of 8 processors. It computes when it is asked for results."""
    made = SimpleNamespace(asked=[], cancelled=[], ended=0, broken={}, address=None)
    functions = []
    nodes = [(4, 3 * GIB), (8, 9 * GIB), (0, GIB)]
    made.nodes = lambda: [{"Alive": True, "Resources": {"CPU": cpu, "memory": memory}} for cpu, memory in nodes]
    made.cluster_resources = lambda: {"CPU": 12.0}
    made.is_initialized = lambda: made.address is not None

    def init(address, **_):
        if address == "nowhere:1":
            raise ConnectionError("nothing answers\nand more")
        made.address = address
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def remote(function):
        def options(**needs):
            def submit(*arguments):
                made.asked.append((needs, arguments))
                functions.append(function)
                return len(made.asked) - 1

            return SimpleNamespace(remote=submit)

        return SimpleNamespace(options=options)

    def get(reference):
        if reference in made.broken:
            raise made.broken[reference]
        return functions[reference](*[arrived(one) for one in made.asked[reference][1]])

    def shutdown():
        made.address = None
        made.ended += 1

    made.init, made.remote, made.get, made.shutdown = init, remote, get, shutdown
    made.wait = lambda references, num_returns, timeout: (references[:num_returns], references[num_returns:])
    made.cancel = lambda reference, force: made.cancelled.append(reference)
    made.exceptions = SimpleNamespace(RayError=type("RayError", (Exception,), {}))
    monkeypatch.setitem(sys.modules, "ray", made)
    monkeypatch.setitem(sys.modules, "ray.exceptions", made.exceptions)
    return made


def arrived(value):
    """An argument as it arrives on another machine."""
    return json.loads(json.dumps(value))


def task(name="a", threads=1, memory=GIB, **more):
    return Task(name, f"{name}.jpg", f"{name}_trimap.png", None, {"alpha": f"{name}.png"}, {}, threads, memory, **more)


def test_a_task_asks_for_its_threads_and_memory_and_the_smallest_node_must_have_them(ray):
    tasks = RayTasks("auto", compute="cheap_compute:copy")
    assert isinstance(tasks, Executor)
    assert (tasks.division.cores, tasks.division.at_once, tasks.division.machines) == (4, 3, 2)
    assert tasks.division.memory == 3 * GIB
    tasks.submit(task(threads=2))
    tasks.submit(task(threads=64, memory=64 * GIB))
    tasks.submit(task(alone=True))
    asked = [(needs["num_cpus"], needs["memory"]) for needs, _ in ray.asked]
    assert asked == [(2, GIB), (4, 3 * GIB), (4, GIB)]
    assert all(needs["max_retries"] == 5 and needs["retry_exceptions"] == [OSError] for needs, _ in ray.asked)


def test_tasks_in_flight_are_bounded_by_the_cluster_or_by_workers(ray):
    for workers, most in ((None, 24), (5, 5)):  # 12 processors, twice
        tasks, count = RayTasks("auto", workers=workers), 0
        while tasks.room(task()):
            tasks.submit(task())
            count += 1
        assert count == most
        tasks.close()
        tasks.close()
    assert len(ray.cancelled) == 29 and ray.ended == 2


def test_paths_are_absolute_on_the_way_and_as_they_were_when_they_come_back(ray, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs(tmp_path, "a")
    tasks = RayTasks("auto", compute="cheap_compute:copy")
    tasks.submit(task())
    [answer] = tasks.wait(None)
    assert ray.asked[0][1][1]["picture"] == str(tmp_path / "a.jpg")
    assert answer.task == task() and answer.outcome.sizes == {"a.png": len(b"trimapa_trimap.png")}
    assert tasks.wait(None) == []


def test_what_ray_gives_up_is_lost_and_a_node_without_hdmatt_or_with_another_one_refuses(ray):
    gave_up, no_module = ray.exceptions.RayError("node died"), ray.exceptions.RayError("it said")
    no_module.cause = ModuleNotFoundError("No module named 'hdmatt'")
    ray.broken = {0: gave_up, 1: no_module}
    tasks = RayTasks("auto", compute="cheap_compute:copy")
    for name in ("a", "b", "c"):
        tasks.submit(task(name))
    lost, refused, failed = tasks.wait(None)
    assert lost.outcome is None and "RayError" in lost.lost
    assert refused.outcome.state == "refused" and "No module named 'hdmatt'" in refused.outcome.reason
    assert failed.outcome.state == "failed" and failed.outcome.again  # its files are not there
    from hdmatt.batching.ray_executor import _compute

    other = _compute("cheap_compute:copy", {}, "0.0")
    assert other["state"] == "refused" and "0.0" in other["reason"]


def test_a_batch_with_an_address_is_computed_by_the_cluster(ray, tmp_path, monkeypatch):
    pairs(tmp_path / "in", "a", "b")
    monkeypatch.setattr(batch, "RayTasks", partial(RayTasks, compute="cheap_compute:copy"))
    kept = signal.getsignal(signal.SIGTERM)
    found = {one.name: one.state for one in run(prepared(tmp_path / "in", tmp_path / "out", ray="host:6379"))}
    assert found == {"a.jpg": "done", "b.jpg": "done"} and len(ray.asked) == 2
    assert ray.ended == 1 and signal.getsignal(signal.SIGTERM) == kept


@pytest.mark.release
def test_what_the_cluster_lacks_is_told_before_anything_runs(ray, tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match=r"used at nowhere:1: nothing answers$"):
        RayTasks("nowhere:1")
    with pytest.raises(InputError, match="threads is 5, but a node of the cluster has 4 processors"):
        RayTasks("auto", threads=5)
    assert ray.ended == 1
    ray.nodes = list
    with pytest.raises(InputError, match="no node of the Ray cluster has a processor"):
        RayTasks("auto")
    pairs(tmp_path / "in", "a")
    command = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--memory", "1GiB", "--ray", "auto"]
    assert main([*command, "--plan"]) == 2
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(command) == 2
    assert "pip install 'hdmatt[cluster]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    monkeypatch.setitem(sys.modules, "ray", ray)
    assert main([*command[:-1], "nowhere:1"]) == 2
    assert capsys.readouterr().out == "", "it tells of pictures, but none was begun"


def test_ray_is_told_to_use_tokens_and_to_send_no_statistics_unless_a_user_says_otherwise(ray, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    with ray_environment():
        assert (os.environ["RAY_AUTH_MODE"], os.environ["RAY_USAGE_STATS_ENABLED"]) == ("token", "1")
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.parametrize("address", ["auto", "nowhere:1"])
def test_the_environment_after_connecting_is_what_it_was(ray, monkeypatch, address):
    for name in ("RAY_AUTH_MODE", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.delenv(name, raising=False)
    before, seen, init = dict(os.environ), {}, ray.init

    def watched(**how):
        seen.update(os.environ)
        init(**how)

    ray.init = watched
    load_ray()
    with suppress(InputError):
        RayTasks(address).close()
    assert (seen["RAY_AUTH_MODE"], seen["RAY_USAGE_STATS_ENABLED"]) == ("token", "0")
    assert dict(os.environ) == before
