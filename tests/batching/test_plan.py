"""The plan of a batch: what would fail by its headers, and what is forecast. No network."""

import io
import json

import cheap_compute
import numpy as np
import pytest
from PIL import Image
from small_batch import Inline, pairs, prepared, put, results

from hdmatt.batching.batch import run
from hdmatt.batching.division import Division
from hdmatt.batching.executor import Outcome
from hdmatt.batching.forecast import Forecast
from hdmatt.batching.headers import refusals
from hdmatt.batching.ledger import LedgerRow
from hdmatt.batching.plan import plan_batch
from hdmatt.batching.sizes import Size, Sizes
from hdmatt.cli.main import main
from hdmatt.errors import OutputError
from hdmatt.inference.outputs import Outputs


def grey(folder, name, width=6, height=4, **options):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width), np.uint8)).save(path, **options)


def reasons(plan):
    return {one.name: f"{one.reason} | {one.hint}" for one in plan.failing}


def test_a_plan_names_what_would_fail_and_counts_the_rest(tmp_path):
    folder = tmp_path / "in"
    for name in ("good", "empty", "text", "other"):
        grey(folder, f"{name}.png")
        grey(folder, f"{name}_trimap.png", height=5 if name == "other" else 4)
    (folder / "empty.png").write_bytes(b"")
    put(folder, "text_trimap.png")
    plan = plan_batch(prepared(folder, tmp_path / "out"))
    found = reasons(plan)
    assert list(found) == ["empty.png", "other.png", "text.png"]
    assert "is empty (0 bytes)" in found["empty.png"] and "Copy or download" in found["empty.png"]
    assert "is 6x5 but" in found["other.png"] and "is 6x4" in found["other.png"]
    assert "text_trimap.png is not a picture" in found["text.png"]
    assert (plan.pictures, plan.new, plan.to_compute) == (4, 4, 1) and plan.megapixels == pytest.approx(24e-6)
    assert not (tmp_path / "out").exists()


def test_a_plan_tells_where_nothing_could_be_written(tmp_path):
    pairs(tmp_path / "in", "a")
    for out, says in ((tmp_path / "in/a.jpg", "it is a file"), (tmp_path / "in/a.jpg/b", "it is a file")):
        with pytest.raises(OutputError, match=says):
            plan_batch(prepared(tmp_path / "in", out))


def test_a_plan_counts_a_turned_picture_as_it_is_shown(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    grey(tmp_path / "in", "a.jpg", width=4, height=6, exif=exif.tobytes())
    grey(tmp_path / "in", "a_trimap.png")
    assert not plan_batch(prepared(tmp_path / "in", tmp_path / "out")).failing


def test_masks_and_backgrounds_of_another_size_would_fail(tmp_path):
    grey(tmp_path / "in", "a.png")
    grey(tmp_path / "masks", "a.png", width=12, height=8)
    grey(tmp_path, "sky.png", width=9)
    masks = tmp_path / "masks"
    found = reasons(plan_batch(prepared(tmp_path / "in", tmp_path / "out", masks=masks)))
    assert "is 12x8 but the picture is 6x4" in found["a.png"] and "--fit" in found["a.png"]
    assert not plan_batch(prepared(tmp_path / "in", tmp_path / "out", masks=masks, fit=True)).failing
    over = Outputs(composite="{stem}.png", background=str(tmp_path / "sky.png"))
    made = prepared(tmp_path / "in", tmp_path / "out", masks=masks, fit=True, outputs=over)
    assert "sky.png is 9x4 but the picture is 6x4" in reasons(plan_batch(made))["a.png"]


def test_what_failed_before_and_is_not_tried_again_would_fail(tmp_path):
    pairs(tmp_path / "in", "a")
    put(tmp_path / "in", "a.jpg", data=b"bad")
    results(tmp_path / "in", tmp_path / "out")
    plan = plan_batch(prepared(tmp_path / "in", tmp_path / "out"))
    assert reasons(plan) == {"a.jpg": "it is bad | Make it good."} and (plan.failed, plan.to_compute) == (1, 0)
    again = plan_batch(prepared(tmp_path / "in", tmp_path / "out", redo="failed"))
    assert "a.jpg is not a picture" in reasons(again)["a.jpg"]


def test_the_command_exits_as_the_run_would(tmp_path, capsys):
    grey(tmp_path / "in", "a.png")
    grey(tmp_path / "in", "a_trimap.png")
    plan = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--plan", "--memory", "1GiB"]
    assert main(plan) == 0 and "failing  0 pictures" in capsys.readouterr().out
    (tmp_path / "in/a.png").write_bytes(b"")
    assert main(plan) == 3
    out, err = capsys.readouterr()
    assert "failing  1 picture, as far as headers show" in out and "1 new" in out and "computed 0 pictures" in out
    assert err.count("a.png") == 1 and "would fail: " in err and "\n  Copy or download it again." in err
    assert main([*plan, "--json"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["failing"][0]["name"] == "a.png" and not err


def test_an_automatic_trimap_counts_the_smaller_matte_that_it_needs(tmp_path):
    grey(tmp_path / "in", "a.png", width=3600, height=30)
    grey(tmp_path / "masks", "a.png", width=3600, height=30)

    def plan(**options):
        return plan_batch(prepared(tmp_path / "in", tmp_path / "out", masks=tmp_path / "masks", **options))

    first, fixed = plan(), plan(band="2%")
    assert (first.first_mattes, fixed.first_mattes) == (1, 0) and first.megapixels == fixed.megapixels
    assert first.seconds > fixed.seconds
    made = prepared(tmp_path / "in", tmp_path / "out", masks=tmp_path / "masks")
    (entry,) = made.collected.entries
    sizes = Sizes(made.job.automatic)
    sizes.start([entry])
    assert sizes.size(entry) == (0.108, 0.012)  # 1200 x 10 is a third of each side
    list(run(made, lambda _: Inline(cheap_compute.copy)))
    assert made.ledger.rows["a.png"].smaller == 0.012


def test_a_forecast_learns_from_all_that_was_matted_and_is_never_below_the_largest():
    rows = [LedgerRow("a", "done", {}, seconds=20, megapixels=1, smaller=1), LedgerRow("b", "failed", {}, megapixels=1)]
    forecast = Forecast(rows * 20)
    assert forecast.measured and not Forecast(rows[1:]).measured
    assert forecast.seconds(Size(1, 1).matted) == pytest.approx(20, rel=0.1)  # 10 %: the prior counts a little
    two = Division(cores=2, at_once=2, memory=1)
    one = forecast.run_seconds([Size(1, 1)], two)
    assert one == forecast.seconds(2) and forecast.run_seconds([Size(1, 1)] * 4, two) == pytest.approx(2 * one)
    assert forecast.run_seconds([], two) == 0


def test_a_second_run_says_again_why_and_what_to_do_and_names_a_file_once(tmp_path, monkeypatch, capsys):
    pairs(tmp_path / "in", "a", "b")
    put(tmp_path / "in", "a.jpg", data=b"bad")

    def compute(task):
        if task.name == "b.jpg":
            return Outcome("failed", reason=f"{task.picture} is empty", hint="Fill it.")
        return cheap_compute.copy(task)

    monkeypatch.setattr("hdmatt.batching.batch.Processes", lambda *_, **__: Inline(compute))
    batch = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--memory", "1GiB"]
    lines = [f"{tmp_path}/in/a.jpg: it is bad", "  Make it good.", f"{tmp_path}/in/b.jpg is empty", "  Fill it."]
    for verb, more in (("failed", ""), ("failed in an earlier run", " (2 in earlier runs: --redo-failed tries again)")):
        assert main(batch) == 3
        out, err = capsys.readouterr()
        assert [line.removeprefix(f"hdmatt: {verb}: ") for line in err.splitlines()] == lines
        assert out == f"0 done, 0 unchanged, 2 failed{more}\n"


def test_remote_files_are_judged_by_their_first_bytes(monkeypatch, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name, width in (("a.png", 6), ("a_trimap.png", 6), ("b.png", 6), ("b_trimap.png", 7)):
        held = io.BytesIO()
        Image.fromarray(np.zeros((4, width), np.uint8)).save(held, "png")
        store.pipe_file(f"/plan/{name}", held.getvalue())
    made = prepared("memory://plan", tmp_path / "out")
    (refused,) = refusals([(one, made.job.task(one).work) for one in made.collected.entries])
    assert refused.name == "b.png" and "memory://plan/b_trimap.png is 7x4 but memory://plan/b.png" in refused.reason
