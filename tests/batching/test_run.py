"""Runs of a batch without processes: the ledger, what is done again, two runs at once, watching."""

import inspect
import json
import os
import queue
import shutil
from dataclasses import replace

import cheap_compute
import pytest
from small_batch import Inline, pairs, prepared, put, results

from hdmatt.batching import compute, worker
from hdmatt.batching.batch import batch, run, run_watched
from hdmatt.batching.claims import Claims
from hdmatt.batching.division import Division, cores, divide
from hdmatt.batching.entry import shown
from hdmatt.batching.executor import Answer, Outcome, Task
from hdmatt.batching.forecast import Forecast
from hdmatt.batching.ledger import Ledger, LedgerRow
from hdmatt.batching.watch import Watching
from hdmatt.errors import InputError, MemoryLimitError
from hdmatt.inference.options import Options
from hdmatt.system import memory


@pytest.fixture
def folder(tmp_path):
    pairs(tmp_path / "in", "a", "sub/b", "c")
    return tmp_path


def again(folder, **options):
    return results(folder / "in", folder / "out", **options)


def test_a_second_run_computes_nothing(folder):
    assert again(folder) == {"a.jpg": "done", "sub/b.jpg": "done", "c.jpg": "done"}
    assert (folder / "out/sub/b_alpha.png").read_bytes() == b"trimapsub/b_trimap.png"
    assert set(again(folder, compute=lambda task: Outcome("failed")).values()) == {"unchanged"}


def test_a_second_run_computes_what_is_missing_or_changed(folder):
    again(folder)
    (folder / "out/a_alpha.png").unlink()
    put(folder / "in", "sub/b_trimap.png", data=b"another trimap")
    assert again(folder) == {"a.jpg": "done", "sub/b.jpg": "done", "c.jpg": "unchanged"}
    (folder / "out/c_alpha.png").write_bytes(b"cut sh")  # a file of another size than the ledger's
    assert again(folder)["c.jpg"] == "done"
    os.utime(folder / "in/c.jpg", ns=(1, 1))
    assert again(folder)["c.jpg"] == "done"


def test_other_settings_compute_all_again_and_another_memory_limit_does_not(folder):
    again(folder)
    assert set(again(folder, strategy="crop").values()) == {"done"}
    made = prepared(folder / "in", folder / "out", strategy="crop", workers=3, threads=2)
    assert {one.state for one in run(made, lambda _: Inline(cheap_compute.copy))} == {"unchanged"}
    assert set(again(folder, strategy="crop", redo="all").values()) == {"done"}


def test_what_failed_stays_failed_until_it_changes_or_is_asked_for(folder):
    put(folder / "in", "a.jpg", data=b"bad")
    assert again(folder) == {"a.jpg": "failed", "sub/b.jpg": "done", "c.jpg": "done"}
    made = prepared(folder / "in", folder / "out")
    (failed,) = (one for one in run(made, lambda _: Inline(cheap_compute.copy)) if one.state == "failed")
    assert failed.reason == "it is bad" and failed.hint == "Make it good." and not failed.now and not failed.outputs
    assert again(folder, redo="failed", compute=lambda task: cheap_compute.copy(task))["a.jpg"] == "failed"
    put(folder / "in", "a.jpg", data=b"good now")
    assert again(folder)["a.jpg"] == "done"


def test_what_failed_because_of_the_machine_is_tried_again(folder):
    def full(task):
        return Outcome("failed", reason="the disk is full", again=True)

    assert set(again(folder, compute=full).values()) == {"failed"}
    assert set(again(folder).values()) == {"done"}


def test_it_stops_after_so_many_failures(folder):
    for name in ("a.jpg", "c.jpg"):
        put(folder / "in", name, data=b"bad")
    assert again(folder, max_failures=1) == {"a.jpg": "failed"}
    assert again(folder, max_failures=2) == {"a.jpg": "failed", "c.jpg": "failed"} | {"sub/b.jpg": "done"}


def test_a_picture_that_changes_while_it_is_computed_is_not_done(folder):
    def slow(task):
        put(folder / "in", task.name, data=b"changed")
        return cheap_compute.copy(task)

    assert set(again(folder, compute=slow).values()) == {"failed"}
    assert set(again(folder).values()) == {"done"}


def test_a_network_that_is_not_there_stops_the_batch_and_fails_no_picture(folder):
    with pytest.raises(InputError, match="no such device"):
        again(folder, compute=lambda task: Outcome("refused", reason="no such device"))
    assert set(again(folder).values()) == {"done"}


class Losing(Inline):
    """Loses tasks; counts how they were given."""

    def __init__(self, attempts):
        super().__init__(cheap_compute.copy)
        self.attempts, self.seen = attempts, []

    def wait(self, seconds):
        self.seen += self._task
        lost = [Answer(task, None, "it was killed") for task in self._task if task.attempt <= self.attempts]
        self._task = [task for task in self._task if task.attempt > self.attempts]
        return lost + super().wait(seconds)


def test_a_lost_picture_is_computed_once_more_alone_and_then_fails(folder):
    for attempts, state in ((1, "done"), (2, "failed")):
        losing = Losing(attempts)
        made = prepared(folder / "in", folder / "out", redo="all")
        found = list(run(made, lambda _, one=losing: one))
        assert {one.state for one in found} == {state} and len(found) == 3
        assert sorted((task.name, task.attempt) for task in losing.seen)[:2] == [("a.jpg", 1), ("a.jpg", 2)]
        assert all(task.alone == (task.attempt == 2) for task in losing.seen)
    assert found[0].reason == "it was killed, 2 times"
    assert set(again(folder).values()) == {"done"}  # the next run tries again


def test_a_row_that_a_crash_cut_short_counts_as_not_written(folder):
    again(folder)
    (file,) = (folder / "out/.hdmatt").glob("*.jsonl")
    rows = file.read_bytes()
    file.write_bytes(rows[:-20])
    assert sorted(again(folder).values()) == ["done", "unchanged", "unchanged"]


def test_an_output_whose_row_was_never_written_is_known_as_ours(folder):
    """Killed between the rename of the output and the row "done": the row "started" stands."""
    again(folder)
    (file,) = (folder / "out/.hdmatt").glob("*.jsonl")
    rows = [line for line in file.read_bytes().splitlines(keepends=True) if json.loads(line)["state"] == "started"]
    file.write_bytes(b"".join(rows))
    assert set(again(folder).values()) == {"done"}


def test_names_of_any_bytes_survive_the_ledger(tmp_path):
    name = b"n\xff\n \xe2\x82\xac'[1].jpg".decode("utf-8", "surrogateescape")
    with_row = Ledger(tmp_path)
    with_row.add(LedgerRow(name, "done", {"picture": "1-2"}, {f"{name}.png": 3}))
    with_row.close()
    read = Ledger(tmp_path)
    assert read.rows == with_row.rows and os.path.join(tmp_path, f"{name}.png") in read.outputs


def test_the_last_row_counts_whichever_file_it_is_in(tmp_path):
    for time, state in ((2, "done"), (1, "failed")):
        ledger = Ledger(tmp_path)
        ledger.add(LedgerRow("a", state, {}, time=time))
        ledger.close()
    assert Ledger(tmp_path).rows["a"].state == "done"


def test_two_runs_on_one_folder_compute_every_picture_once(folder, monkeypatch):
    """The second starts while the first computes its first picture, and takes what is not claimed."""
    monkeypatch.setattr("hdmatt.batching.run.LOOK_SECONDS", 0)
    computed: list[str] = []
    inner = {}

    def first(task):
        computed.append(task.name)
        if not inner:
            inner["results"] = None
            made = prepared(folder / "in", folder / "out")
            second = run(made, lambda _: Inline(second_compute))
            inner["results"] = [next(second), next(second)]
            inner["rest"] = second
        return cheap_compute.copy(task)

    def second_compute(task):
        computed.append(task.name)
        return cheap_compute.copy(task)

    assert again(folder, compute=first) == {"a.jpg": "done", "c.jpg": "unchanged", "sub/b.jpg": "unchanged"}
    assert {one.state for one in inner["results"]} == {"done"}
    assert [one.state for one in inner["rest"]] == ["unchanged"]  # the one that the first run claimed
    assert sorted(computed) == ["a.jpg", "c.jpg", "sub/b.jpg"]


def test_a_claim_is_one_runs_at_a_time(tmp_path):
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take("a") and not other.take("a") and other.take("b")
        one.release("a")
        assert other.take("a")
    with Claims(tmp_path) as one:
        assert one.take("a") and one.take("b")


def test_results_tell_what_is_left_in_seconds(folder):
    left = [
        one.seconds_left for one in run(prepared(folder / "in", folder / "out"), lambda _: Inline(cheap_compute.copy))
    ]
    assert left[0] > 0


def test_the_forecast_learns_from_what_pictures_took():
    forecast = Forecast()
    for megapixels in (1.0, 2.0, 12.0) * 20:
        forecast.learn(megapixels, 2 + 0.5 * megapixels)
    assert forecast.seconds(6.0) == pytest.approx(5, rel=0.1)  # 10 %: the prior counts as half a picture
    assert forecast.seconds(0.0) == pytest.approx(2, rel=0.1)


def test_threads_follow_from_the_size_alone_and_memory_is_shared():
    division = Division(cores=8, at_once=4, memory=8 * 2**30)
    assert [division.threads_of(megapixels) for megapixels in (0.1, 24, 25, 100, 400)] == [1, 1, 2, 5, 8]
    assert division.memory_of(1) == 2 * 2**30 and division.memory_of(8) == 8 * 2**30
    assert replace(division, threads=3).threads_of(0.1) == 3
    short = divide(memory=2 * 2**30, pictures=100)
    assert short.at_once == min(2, short.cores) and divide(memory=1, pictures=9).at_once == 1
    assert divide(memory=2**40, pictures=1).at_once == 1 and divide(memory=1, pictures=9, workers=5).at_once == 5


def test_a_containers_quota_limits_the_cores(tmp_path):
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("50000 100000\n")
    assert cores(tmp_path) == 1
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("max 100000\n")
    assert cores(tmp_path) >= 1


def test_names_are_printed_as_they_are_or_as_bash_writes_them():
    assert shown("a b [1] ü€.jpg") == "a b [1] ü€.jpg"
    assert shown("new\nline") == "$'new\\nline'"
    assert shown(b"'\xff\\\x1b".decode("utf-8", "surrogateescape")) == "$'\\'\\xff\\\\\\x1b'"


def test_watching_computes_what_has_settled_and_waits_for_trimaps(folder):
    clock = iter(range(100))
    looks: list[list[str]] = []
    seen: list[tuple[str, str]] = []
    said: list[str] = []

    def change() -> bool:
        looks.append([f"{name} {state}" for name, state in seen])
        seen.clear()
        if len(looks) == 3:
            put(folder / "in", "late.jpg")
        if len(looks) == 5:  # renamed into its place, with a time of long ago
            put(folder, "late_trimap.png")
            os.utime(folder / "late_trimap.png", ns=(1, 1))
            shutil.move(folder / "late_trimap.png", folder / "in")
        return len(looks) == 10

    how = Watching(settle=2, clock=lambda: next(clock), pause=lambda _: None, ended=change)
    made = prepared(folder / "in", folder / "out")
    for one in run_watched(made, said.append, how, lambda _: Inline(cheap_compute.copy)):
        seen.append((one.name, one.state))
    looks.append([f"{name} {state}" for name, state in seen])
    assert looks[:4] == [[], [], [], ["a.jpg done", "c.jpg done", "sub/b.jpg done"]]
    assert [look for look in looks[4:] if look] == [["late.jpg done"]] and looks[7] == ["late.jpg done"]
    assert len(said) == 1 and "late.jpg has no trimap" in said[0]


def test_watching_says_once_that_a_file_is_empty_and_waits_for_it(folder):
    looks, said, seen = [], [], []
    put(folder / "in", "a.jpg", data=b"")
    (folder / "in/a.jpg").write_bytes(b"")

    def ended() -> bool:
        looks.append(list(said))
        if len(looks) == 6:
            put(folder / "in", "a.jpg")
        return len(looks) == 10

    how = Watching(settle=2, clock=lambda: len(looks), pause=lambda _: None, ended=ended)
    made = prepared(folder / "in", folder / "out")
    for one in run_watched(made, said.append, how, lambda _: Inline(cheap_compute.copy)):
        seen.append((one.name, len(looks)))
    assert looks[2] == [] and said == [f"{folder}/in/a.jpg is empty"]
    assert dict(seen)["c.jpg"] < 6 < dict(seen)["a.jpg"]


def test_arguments_of_another_type_are_refused_by_their_names(folder):
    for arguments, says in (
        ({"inputs": 5}, "the inputs are an int"),
        ({"inputs": [None]}, "an input is None"),
        ({"out": None}, "out is None"),
        ({"outputs": "a.png"}, "outputs is a str"),
        ({"options": {"topk": 3}}, "options is a dict"),
        ({"input_options": "beauty"}, "input_options is a str"),
        ({"batch_options": {"redo": "all"}}, "batch_options is a dict"),
        ({"strategy": "best"}, "no strategy 'best'"),
    ):
        with pytest.raises(InputError, match=says):
            inspect.unwrap(batch)(**{"inputs": folder / "in", "out": folder / "out"} | arguments)  # without type checks


def test_a_worker_keeps_memory_for_the_next_picture_unless_it_is_idle_or_holds_too_much(monkeypatch):
    task = Task("a", "a.jpg", "a_trimap.png", None, {"alpha": "a.png"}, {}, memory=2**31)
    monkeypatch.setattr(memory, "resident", lambda: 800 * memory.MIB)
    assert worker._may_keep(task, 1)
    assert not worker._may_keep(task, worker._COUNTED_ANEW)  # what leaked is counted then
    for other in (replace(task, alone=True), replace(task, mask="m.png"), replace(task, memory=700 * memory.MIB)):
        assert not worker._may_keep(other, 1)
    monkeypatch.setattr(memory, "resident", lambda: 2 * compute.ENOUGH)
    assert not worker._may_keep(task, 1)
    kept, lines = [], queue.Queue[bytes]()
    monkeypatch.setattr(worker, "_IDLE_SECONDS", 0)
    monkeypatch.setattr(memory, "keep_between_pictures", lambda *, keep: (kept.append(keep), lines.put(b"next")))
    assert worker._next(lines) == b"next" and kept == [False]
    lines.put(b"one more")
    assert worker._next(lines) == b"one more" and kept == [False]


def test_a_picture_gets_little_memory_first_and_all_of_its_share_where_that_is_too_little():
    tried: list[int | None] = []

    def matted(options: Options) -> str:
        tried.append(options.memory)
        if options.memory is not None and options.memory < 2**30:
            raise MemoryLimitError("too little")
        return "done"

    task = Task("a", "a.jpg", "a_trimap.png", None, {"alpha": "a.png"}, {}, memory=2**31)
    assert compute._in_memory(matted, task, Options(), device="cpu") == "done"
    assert len(tried) == 2 and tried[0] < tried[1] == task.memory
    for other, device in ((task, "cuda:0"), (replace(task, alone=True), "cpu")):
        tried.clear()
        assert compute._in_memory(matted, other, Options(), device=device) == "done" and tried == [task.memory]
    with pytest.raises(MemoryLimitError):
        compute._in_memory(matted, replace(task, memory=2**20), Options(), device="cpu")
