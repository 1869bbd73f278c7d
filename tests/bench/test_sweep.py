"""The bench tells what it measured: counts are exact, sums are whole, what fails is a row, the record is complete."""

import json
import math
import sys
import xml.etree.ElementTree as ET
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from hdmatt.bench import measure as measure_module
from hdmatt.bench import peaks, plot, sweep
from hdmatt.bench.layers import GROUPS, Group, by_group, lost, measure_layers
from hdmatt.bench.measure import BenchLimits, Measured, measure_method
from hdmatt.bench.sweep import BenchResult, BenchRow, SweepPlan, best_rates, summed, with_share
from hdmatt.cli.main import main
from hdmatt.cli.tables import kind_table, print_bench
from hdmatt.errors import InputError
from hdmatt.evaluation.methods import Settings, parse_method
from hdmatt.evaluation.scenes import Generated, Own, write
from hdmatt.inference.options import NetworkChoice, Options
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.system.worker import WorkerProcess, WorkerStopped, answer

EMPTY = BenchRow("hdmatt", 1.0, 1000, 1000, 100_000)
PEAKS = {"fp32": 1e11, "bf16": None, "bandwidth": 1e10, "threads": 2, "tf32": False}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(HDMatt(ModelConfig(width=4, patch=64)), path, half=True)
    return path


@pytest.fixture
def pair(tmp_path):
    paths = tmp_path / "p.tif", tmp_path / "t.tif"
    write(Generated(200, unknown=0.2), *paths)
    return paths


def sleep(connection):
    import time

    answer(connection, lambda seconds: time.sleep(seconds))


def hold(connection):
    def work(size):
        held = np.ones(size, np.uint8)
        import time

        time.sleep(60)
        return len(held)

    answer(connection, work)


# ------------------------------------------------------------------------------------------------------------- counts


def test_operations_are_those_of_a_hand_computed_network():
    convolutions = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1)
    network = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(50, 7))
    with torch.inference_mode(), peaks.Count() as count:
        assert network(torch.zeros(4, 3, 5, 5)).shape == (4, 7)
    # 2 per multiply-add, batch of 4: 3x3 of 3 channels at 25 places for 8; 8 channels at 25 places for 2; 50 for 7
    assert count.flops == 4 * 2 * (25 * 8 * 27 + 25 * 2 * 8 + 50 * 7)


def test_attention_counts_both_products():
    q, k = torch.zeros(1, 1, 6, 8), torch.zeros(1, 1, 10, 8)
    with torch.inference_mode(), peaks.Count() as count:
        nn.functional.scaled_dot_product_attention(q, k, k)
    assert count.flops == 2 * (2 * 6 * 10 * 8)


def test_groups_sum_to_the_meter_s_whole_move_and_inner_groups_are_not_counted_twice():
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=4, patch=64)).eval()
    inputs = torch.rand(1, 6, 64, 64)
    with torch.inference_mode(), peaks.Count() as count:
        found = by_group(model, lambda: model(inputs, [[]]), lambda: float(count.flops))
    assert sum(found.values()) == count.flops > 0
    assert found["layer4"] > 0 and set(found) <= {*GROUPS.values(), peaks.REST}
    assert not any(module._forward_hooks for module in model.modules())


def test_layers_sum_to_the_whole_and_lost_is_what_the_peak_does_not_explain():
    torch.manual_seed(0)
    found = measure_layers(HDMatt(ModelConfig(width=4, patch=64)).eval(), batch=2, topk=1)
    assert sum(group.flops for group in found.groups) == pytest.approx(found.flops)
    assert lost(Group("x", 3.0, 4e9), 2e9) == 1.0


@pytest.mark.release
def test_the_peak_is_the_operations_of_a_convolution_by_the_shortest_time_of_its_layouts(monkeypatch):
    asked, counted = [], []

    def best(work, device, seconds, calls):
        asked.append((device, seconds, calls))
        with torch.inference_mode(), peaks.Count() as count:
            work()
        counted.append(count.flops)
        return 4.0 / len(asked)  # each faster than the one before: 4 s, 2 s, 4 / 3 s

    monkeypatch.setattr(peaks, "_best", best)
    monkeypatch.setattr(peaks, "_has_bf16", lambda device: False)
    found = peaks.measure_peaks(seconds=0.5)
    assert counted[0] == counted[1] > 0 and found.fp32 == counted[0] / 2
    assert found.bandwidth == 2 * 128 * 2**20 / (4 / 3)  # 128 MiB, read and written
    assert asked == [("cpu", 0.25, 1)] * 2 + [("cpu", 0.5, 1)] and (found.bf16, found.tf32) == (None, False)


def test_the_shortest_of_three_tries_counts_and_the_first_call_does_not(monkeypatch):
    now, spent = [0.0], iter([9.0, 3.0, 2.0, 5.0])
    monkeypatch.setattr(peaks.time, "perf_counter", lambda: now[0])

    def work():
        now[0] += next(spent)

    assert peaks._best(work, "cpu", 0.0, 1) == 2.0
    assert next(spent, None) is None


@pytest.mark.release
def test_operations_do_not_depend_on_batch_and_runtime(pair, tmp_path, weights):
    def flops(batch, runtime):
        options = Options(patch=64, overlap=16, batch=batch, memory="4GiB")
        settings = Settings(options, NetworkChoice(weights, runtime=runtime, device="cpu"))
        return measure_module._counted(
            parse_method("hdmatt", settings), measure_module._BenchJob(*pair, tmp_path, True)
        ).flops

    assert flops(1, "torch") == flops(3, "folded") > 0
    assert not (tmp_path / "foreground.png").exists()  # colours take no operations of the network


# ------------------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize("unknown", [0.05, 0.3])
def test_a_generated_picture_has_the_share_that_was_asked_for(unknown):
    _, marks = Generated(400, unknown=unknown).rows(0, 400)
    # 2 %: the raster
    assert (marks == 128).mean() == pytest.approx(unknown, rel=0.02)


def test_own_pictures_are_cropped_or_enlarged_to_the_number_of_pixels(pair):
    for megapixels in (0.01, 0.16):
        scene = Own(*pair, megapixels)
        colours, marks = scene.rows(0, scene.height)
        assert colours.shape == (*marks.shape, 3)
        assert marks.size == pytest.approx(megapixels * 1e6, rel=0.01)
        assert set(np.unique(marks)) <= {0, 128, 255}
        whole = Own(*pair, None).rows(0, 200)
        if scene.height < 200:  # cropped: the same pixels, somewhere
            rows, columns = (range(0, 201 - side, 4) for side in marks.shape)
            places = [np.s_[y : y + scene.height, x : x + scene.width] for y in rows for x in columns]
            assert any((whole[0][at] == colours).all() and (whole[1][at] == marks).all() for at in places)
        else:  # twice as large: the mean of 2 x 2 pixels is the pixel's own value, nearly
            small = colours.reshape(200, 2, 200, 2, 3).mean((1, 3))
            assert np.abs(small - whole[0]).mean() < np.abs(whole[0] - whole[0].mean((0, 1))).mean() / 2
            np.testing.assert_array_equal(marks[::2, ::2], whole[1])


# ---------------------------------------------------------------------------------------------------------------- rows


def test_a_row_is_the_median_of_its_runs_and_the_most_of_their_memory():
    taken = ((4.0, 10, 2e10), (2.0, 30, None), (9.0, 20, None))
    runs = [Measured(s, p, network_seconds=s / 2, flops=f) for s, p, f in taken]
    row = with_share(summed(EMPTY, runs), 1e11)
    assert (row.seconds, row.seconds_min, row.seconds_max, row.peak_memory, row.runs) == (4.0, 2.0, 9.0, 30, 3)
    assert row.unknown_rate == pytest.approx(0.1 / 4)  # 100 000 unknown pixels in 4 s
    assert row.share_of_peak == pytest.approx(2e10 / 2 / 1e11)


def test_one_failed_run_fails_the_row():
    row = summed(EMPTY, [Measured(1.0, 10), Measured(1.0, 99, error="gone")])
    assert with_share(row, 1e11).share_of_peak is None
    assert (row.error, row.peak_memory, row.seconds) == ("gone", 99, None)


def test_the_share_is_of_the_precision_s_own_peak_where_there_is_one():
    assert sweep.peak_of({**PEAKS, "bf16": 5e11}, "bf16") == 5e11
    assert sweep.peak_of({**PEAKS, "bf16": 5e11}, "fp32") == sweep.peak_of(PEAKS, "bf16") == 1e11


def test_the_peak_is_the_better_try_and_no_try_s_lack_of_bfloat16_is_its_zero():
    slower = {**PEAKS, "fp32": 9e10, "bandwidth": 2e10}
    assert best_rates([slower, PEAKS]) == best_rates([PEAKS, slower]) == {**PEAKS, "bandwidth": 2e10}


def test_operations_by_kind_are_all_in_the_table():
    layers = {"kinds": [{"name": name, "seconds": s, "flops": 0.0} for name, s in (("a", 3.0), ("b", 2.0), ("c", 1.0))]}
    columns = [list(column.cells) for column in kind_table(layers, most=1).columns]
    assert [str(cell) for cell in columns[0]] == ["a", "2 others"] and columns[1] == ["3000.0", "3000.0"]


def fake_rows():
    rows = []
    for size in (1.0, 4.0, 9.0):
        empty = BenchRow("hdmatt", size, 1, 1, 10**6)
        run = Measured(2 * size, 2**29, network_seconds=size, flops=4e10 * size, expected_memory=600 * 2**20)
        good = summed(empty, [run])
        rows.append(with_share(good, 1e11))
        error = {1.0: None, 4.0: "ran out <of> memory", 9.0: "not tried: it failed at 4 megapixels"}[size]
        measured = Measured(30.0, 2**31, error=error)
        row = summed(BenchRow("c&f", size, 1, 1, 10**6), [measured])
        rows.append(BenchRow(**{**asdict(row), "skipped": size == 9}))
    return rows


def fake_record():
    result = BenchResult(fake_rows(), PEAKS, [PEAKS, PEAKS], None, {"hdmatt": "x"})
    return sweep.record(result, SweepPlan(), Settings(), "hdmatt bench")


@pytest.mark.release
def test_table_json_and_plot_show_every_row(tmp_path, capsys):
    made = fake_record()
    page, drawing = sweep.save_record(made, tmp_path / "out")
    assert json.loads(page.read_text()) == json.loads(json.dumps(made))
    assert {"command", "date", "commit", "machine", "versions", "peaks", "plan", "settings", "rows"} <= set(made)
    print_bench(made, width=200)
    out = capsys.readouterr().out
    assert "fp32 100 GFLOP/s" in out and "ran out <of> memory" in out and "not tried" in out
    line = next(line for line in out.splitlines() if line.split()[:2] == ["1", "hdmatt"])
    assert line.split()[2:] == ["2.00", "–", "512", "600", "0.500", "40", "%", "–"]
    assert ET.fromstring(drawing.read_text()).tag.endswith("svg")


def test_the_plot_has_a_point_for_each_success_and_a_cross_for_each_failure():
    seconds, memory = plot.figure(fake_record()).axes
    for axes, unit, good in ((seconds, 1, [[1, 2], [4, 8], [9, 18]]), (memory, 2**20, [[1, 512], [4, 512], [9, 512]])):
        lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
        assert lines["hdmatt"] == good
        assert lines["c&f"] == [[1, (30 if unit == 1 else 2048)]]  # not tried at 9 megapixels: no cross there
        assert [x for x, _ in lines["c&f failed"]] == [4] and len(lines) == 3
        assert axes.get_xscale() == axes.get_yscale() == "log"


def test_a_plot_without_any_success_is_a_plot():
    made = fake_record()
    rows = [{**row, "error": "gone", "seconds": None} for row in made["rows"]]
    assert ET.fromstring(plot.draw_plot({**made, "rows": rows})).tag.endswith("svg")


def test_without_matplotlib_nothing_is_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match="needs matplotlib") as refused:
        sweep.bench(SweepPlan(), Settings())
    assert refused.value.hint == "pip install 'hdmatt[figures]'"


# --------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.release
def test_what_takes_too_long_or_holds_too_much_is_ended():
    with WorkerProcess(sleep) as worker, pytest.raises(WorkerStopped, match=r"ended after 0\.1 s"):
        worker.ask(60, time_limit=0.1)
    with WorkerProcess(hold) as worker, pytest.raises(WorkerStopped, match="that it may hold"):
        worker.ask(400 * 2**20, memory_limit=300 * 2**20)


@pytest.mark.release
def test_a_failing_method_and_a_hungry_one_are_measured_as_such(pair, tmp_path, weights):
    settings = Settings(Options(patch=64, overlap=16), NetworkChoice(weights, device="cpu"))
    missing = measure_method(parse_method("hdmatt:model=no.safetensors", settings), *pair, tmp_path)
    assert missing.seconds is None and "no.safetensors" in str(missing.error)
    hungry = measure_method(parse_method("hdmatt", settings), *pair, tmp_path, limits=BenchLimits(memory=2**24))
    assert "that it may hold" in str(hungry.error)


# ---------------------------------------------------------------------------------------------------------- the command


@pytest.mark.release
def test_a_small_bench_from_end_to_end(tmp_path, weights, monkeypatch, capsys):
    tries = iter([{**PEAKS, "fp32": 5e10}, PEAKS])  # the machine was busy at first
    monkeypatch.setattr("hdmatt.bench.sweep.machine_peaks", lambda device: next(tries))
    real, asked, found = measure_method, [], []

    def measured(method, *arguments, **more):
        asked.append(method.name)
        if method.name == "knn":
            return Measured(5.0, 2**20, error="ran out of time: it was ended after 5 s")
        found[:] = found or [real(method, *arguments, **more)]  # a process of its own, so once is enough
        return found[0]

    monkeypatch.setattr("hdmatt.bench.sweep.measure_method", measured)
    out = tmp_path / "out"
    words = ["--megapixels", "0.04,0.01", "--method", "hdmatt", "--method", "knn", "--runs", "1", "--patch", "64"]
    words += ["--overlap", "16", "--model", str(weights), "--device", "cpu", "--memory", "4GiB", "--out", str(out)]
    assert main(["bench", *words]) == 0
    assert "ended after 5 s" in capsys.readouterr().out
    assert asked == ["hdmatt", "knn", "hdmatt"]  # knn is not tried again
    made = json.loads((out / "bench.json").read_text())
    assert [(row["megapixels"], row["method"], row["skipped"]) for row in made["rows"]] == [
        (0.01, "hdmatt", False),
        (0.01, "knn", False),
        (0.04, "hdmatt", False),
        (0.04, "knn", True),
    ]
    for row in made["rows"][::2]:
        assert row["error"] is None and row["patches"] >= 1 and row["flops"] > 0
        assert 0 < row["network_seconds"] < row["seconds"] and row["peak_memory"] > 2**26
        assert row["share_of_peak"] == pytest.approx(row["flops"] / row["network_seconds"] / PEAKS["fp32"])
    assert made["command"].startswith("hdmatt bench --megapixels 0.04,0.01") and made["settings"]["windows"] == "fewest"
    assert [one["fp32"] for one in made["peaks"]["tries"]] == [5e10, PEAKS["fp32"]]
    assert (out / "bench.svg").is_file()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--megapixels", "1,big"], "1,big"),
        (["--megapixels", "0"], "too small"),
        (["--method", "magic"], "magic"),
        (["--method", "folder:x"], "nothing of it can be timed"),
        (["--picture", "p.png"], "needs its trimap"),
        (["--unknown", "0.9"], "0.9"),
        (["--runs", "0"], "0 runs"),
        (["--time-limit", "-1"], "-1"),
    ],
)
def test_mistakes_are_named_before_anything_is_measured(tmp_path, capsys, words, text):
    assert main(["bench", "--device", "cpu", "--out", str(tmp_path / "out"), *words]) == 2
    out, err = capsys.readouterr()
    assert text in err and out == "" and not (tmp_path / "out").exists()


@pytest.mark.release
def test_a_record_of_the_default_name_is_not_written_over_unasked(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "bench", lambda *_, **__: BenchResult(fake_rows(), PEAKS, [PEAKS, PEAKS], None, {}))
    (tmp_path / "hdmatt-bench").mkdir()
    (tmp_path / "hdmatt-bench" / "bench.svg").write_bytes(b"mine")
    command = ["bench", "--device", "cpu", "--method", "cf"]
    assert main(command) == 2
    assert "bench.svg exists already" in capsys.readouterr().err
    assert (tmp_path / "hdmatt-bench" / "bench.svg").read_bytes() == b"mine"
    assert main([*command, "--overwrite"]) == main([*command, "--out", "hdmatt-bench"]) == 0
    assert (tmp_path / "hdmatt-bench" / "bench.svg").read_bytes() != b"mine"


def test_side_lengths_follow_from_megapixels():
    assert sweep._scene(SweepPlan(), 9.0).height == 3000 and math.isclose(sweep.SMALLEST, 0.001024)
