"""Outputs of a batch: names by template, collisions, manifests, sequences, shards."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from small_batch import pairs, prepared, put, results

from hdmatt.batching.find import Found
from hdmatt.batching.sequences import frame_ranges, missing_frames, numbered, parse_frames, pattern_of
from hdmatt.batching.shard import Shard, parse_shard
from hdmatt.batching.templates import check_template, filled
from hdmatt.errors import InputError, OutputError
from hdmatt.inference.outputs import OUTPUT_FILES, Outputs


def outputs(made, out):
    return {path.removeprefix(f"{out}/") for one in made.collected.entries for path in one.outputs.values()}


def test_folders_are_kept_and_the_matte_is_called_after_its_picture(tmp_path):
    pairs(tmp_path / "in", "a", "sub/deep/a")
    made = prepared(tmp_path / "in", tmp_path / "out")
    assert outputs(made, tmp_path / "out") == {"a_alpha.png", "sub/deep/a_alpha.png"}


def test_every_output_of_a_matte_has_a_template(tmp_path):
    pairs(tmp_path / "in", "s/a")
    wanted = Outputs(cutout="{dir}/{stem}.{ext}.png", foreground="fg/{stem}.tif")
    made = prepared(tmp_path / "in", tmp_path / "out", outputs=wanted)
    assert made.collected.entries[0].outputs == {
        "cutout": str(tmp_path / "out/s/a.jpg.png"),
        "foreground": str(tmp_path / "out/fg/a.tif"),
    }


def test_every_path_of_the_outputs_is_one_of_the_files_that_are_written():
    paths = {one.name for one in fields(Outputs) if one.type == str | Path | None}
    assert paths - {"background"} == set(OUTPUT_FILES)


def test_braces_in_a_files_name_are_no_fields(tmp_path):
    found = Found(tmp_path, "{dir}", tmp_path / "{dir}" / "{x}.jpg")
    assert filled("{dir}/{stem}_{{a}}.png", found, tmp_path) == str(tmp_path / "{dir}/{x}_{a}.png")


@pytest.mark.parametrize("template", ["a.png", "{dir}/a.png", "{stem}{other}.png", "{stem!r}.png", "{stem:5}.png", "{"])
def test_a_template_that_cannot_name_outputs_is_refused(template):
    with pytest.raises(InputError, match="template"):
        check_template(template)


def test_a_format_that_cannot_be_written_is_refused_before_anything_runs(tmp_path):
    pairs(tmp_path, "a")
    with pytest.raises(OutputError, match="gif"):
        prepared(tmp_path, tmp_path / "out", outputs=Outputs("{stem}.gif"))
    with pytest.raises(InputError, match="background"):
        prepared(tmp_path, tmp_path / "out", outputs=Outputs(composite="{stem}.png"))


def test_options_that_no_picture_could_have_are_refused_before_anything_runs(tmp_path):
    pairs(tmp_path, "a")
    for wrong, message in (
        (Outputs(despill=1), "--despill changes foreground colours"),
        (Outputs(psd="{stem}.psd", trim=True), "--trim does not go with --psd"),
        (Outputs("{stem}.png", quality=90), "a quality is for JPEG and WebP"),
    ):
        with pytest.raises(InputError, match=message):
            prepared(tmp_path, tmp_path / "out", outputs=wrong)
    prepared(tmp_path, tmp_path / "out", outputs=Outputs(invert=True))  # of the matte, which is the default


def test_pictures_that_would_write_one_file_are_listed(tmp_path):
    pairs(tmp_path, "x/a", "y/a")
    with pytest.raises(InputError, match="would be written by several pictures") as caught:
        prepared(tmp_path, tmp_path / "out", outputs=Outputs("{stem}.png"))
    assert "x/a.jpg" in caught.value.message and "y/a.jpg" in caught.value.message and "{dir}" in caught.value.hint


def test_an_output_that_is_an_input_is_refused(tmp_path):
    put(tmp_path, "a.png", "a_trimap.png")
    with pytest.raises(InputError, match="it is read"):
        prepared(tmp_path, tmp_path, outputs=Outputs("{stem}_trimap.png"))


def test_a_file_that_no_batch_wrote_is_not_replaced_unless_asked(tmp_path):
    pairs(tmp_path / "in", "a")
    put(tmp_path / "out", "a_alpha.png")
    with pytest.raises(InputError, match="is there, and not by a batch"):
        prepared(tmp_path / "in", tmp_path / "out")
    assert results(tmp_path / "in", tmp_path / "out", overwrite=True) == {"a.jpg": "done"}


def test_a_name_that_would_be_too_long_is_told_before_anything_runs(tmp_path):
    pairs(tmp_path, "a" * 240)
    with pytest.raises(InputError, match="more than 255 bytes"):
        prepared(tmp_path, tmp_path / "out", outputs=Outputs("{stem}_a_long_ending.png"))


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        (Outputs("{stem}.png", cutout="{stem}.png"), r"a.png would be written more than once for \S*a.jpg"),
        (Outputs(psd="{stem}.png"), "cannot write .png"),
        (Outputs(layered="{stem}.png"), "cannot write .png"),
        (Outputs(composite="{stem}.png", background="sky.png"), "sky.png does not exist"),
    ],
)
def test_outputs_that_no_picture_could_have_are_told_before_anything_runs(tmp_path, outputs, says):
    pairs(tmp_path, "a", "b")
    with pytest.raises(InputError, match=says):
        prepared(tmp_path, tmp_path / "out", outputs=outputs)


def test_mattes_as_jpeg_are_told_once(tmp_path):
    pairs(tmp_path, "a", "b")
    (note,) = prepared(tmp_path, tmp_path / "out", outputs=Outputs("{stem}.jpg")).collected.notes
    assert "no longer exactly 0 or 1" in note


def test_a_folder_of_trimaps_or_masks_that_is_not_there_is_told_once(tmp_path):
    pairs(tmp_path, "a", "b")
    for name in ("trimaps", "masks"):
        with pytest.raises(InputError, match=f"--{name} nowhere is no folder"):
            prepared(tmp_path, tmp_path / "out", **{name: "nowhere"})


@pytest.mark.parametrize("where", [".", "out"])
def test_outputs_are_never_taken_for_pictures(tmp_path, where):
    pairs(tmp_path, "a", "b")
    wanted = Outputs("{dir}/{stem}_alpha.png", cutout="{dir}/{stem}.png")
    out = tmp_path / where
    assert results(tmp_path, out, outputs=wanted) == {"a.jpg": "done", "b.jpg": "done"}
    assert results(tmp_path, out, outputs=wanted) == {"a.jpg": "unchanged", "b.jpg": "unchanged"}
    # the ledger knows them, also when their picture is gone or the templates are others
    (tmp_path / "a.jpg").unlink()
    assert results(tmp_path, out, outputs=Outputs("{stem}_x.png")) == {"b.jpg": "done"}


def test_a_csv_manifest_names_pictures_trimaps_outputs_and_options(tmp_path):
    put(tmp_path, "p/a, b.jpg", "t.png", "p/c.jpg")
    (tmp_path / "m.csv").write_text(
        'picture,trimap,alpha,topk,small_first,matte_range\n"p/a, b.jpg",t.png,x/{stem}.png,5,no,0 0.9\n'
        "p/c.jpg,t.png,,,,\n"
    )
    made = prepared([], tmp_path / "out", manifest=tmp_path / "m.csv")
    first, second = made.collected.entries
    assert first.name == "p/a, b.jpg" and first.settings == {"topk": 5, "small_first": False, "matte_range": [0, 0.9]}
    assert outputs(made, tmp_path / "out") == {"x/a, b.png", "p/c_alpha.png"}
    assert made.job.task(first).work["options"]["topk"] == 5 and made.job.task(second).work["options"]["topk"] == 7


def test_masks_have_a_band_that_is_checked_and_that_a_manifest_may_change(tmp_path):
    put(tmp_path, "a.jpg", "m.png")
    (tmp_path / "m.csv").write_text("picture,mask,band,outside\na.jpg,m.png,3%,4%\n")
    made = prepared([], tmp_path / "out", manifest=tmp_path / "m.csv", band=20, inside=5)
    task = made.job.task(made.collected.entries[0])
    assert made.job.work["mask"] == {"band": "20", "inside": "5", "outside": None, "fit": False}
    assert task.work["mask"] == {"band": "3%", "inside": "5", "outside": "4%", "fit": False} and task.mask
    with pytest.raises(InputError, match="not a band's width"):
        prepared([], tmp_path / "out", manifest=tmp_path / "m.csv", band="wide")
    with pytest.raises(InputError, match="not a band's width"):
        prepared([], tmp_path / "out", manifest=tmp_path / "m.csv", outside="wide")


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("topk", "-1", "topk is -1"),
        ("strategy", "best", "no strategy 'best'"),
        ("alpha", "a.doc", "we cannot write .doc"),
        ("band", "wide", "not a band's width"),
        ("background", "white", "needs both a background and"),
    ],
)
def test_options_of_a_manifest_that_cannot_be_used_are_told_before_anything_runs(tmp_path, column, value, says):
    put(tmp_path, "a.jpg", "m.png")
    (tmp_path / "m.csv").write_text(f"picture,mask,{column}\na.jpg,m.png,{value}\n")
    with pytest.raises(InputError, match=says) as raised:
        prepared([], tmp_path / "out", manifest=tmp_path / "m.csv")
    assert f"{tmp_path}/a.jpg: " in str(raised.value)


def test_a_manifest_of_json_lines_keeps_every_name(tmp_path):
    name = b"n\xff\n.jpg".decode("utf-8", "surrogateescape")
    put(tmp_path, name, "t.png")
    (tmp_path / "m.jsonl").write_text(json.dumps({"picture": name, "trimap": "t.png", "strategy": "crop"}) + "\n\n")
    (entry,) = prepared([], tmp_path / "out", manifest=tmp_path / "m.jsonl").collected.entries
    assert entry.name == name and entry.settings == {"strategy": "crop"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("picture,trimap,colour\na.jpg,t.png,red\n", "'colour' is not one of"),
        ("picture,trimap\na.jpg,\n", "either a trimap or a mask"),
        ("picture,trimap\n,t.png\n", "names no picture"),
        ("picture,trimap\nnone.jpg,t.png\n", "is no file"),
        ("picture,trimap,topk\na.jpg,t.png,many\n", "topk is 'many', it must be a whole number"),
        ("picture,trimap,matte_range\na.jpg,t.png,wide\n", "matte_range is 'wide', it must be two numbers"),
        ("picture,trimap\na.jpg\n", "not as many cells"),
        ('{"picture": "a.jpg"\n', "line 1"),
        ("{}\n[1]\n", "line 2 is no object"),
        ('{"picture": "a.jpg", "trimap": "t.png", "topk": 3.5}', "topk is 3.5, it must be a whole number"),
        ('{"picture": "a.jpg", "trimap": "t.png", "topk": true}', "topk is True, it must be a whole number"),
        ('{"picture": ["a.jpg"], "trimap": "t.png"}', "picture is ['a.jpg'], it must be a text"),
        ("picture,trimap,alpha\na.jpg,t.png,{dir}/{nme}.png\n", "has {nme}"),
    ],
)
def test_a_line_of_a_manifest_that_cannot_be_used_is_told_by_its_number(tmp_path, text, says):
    put(tmp_path, "a.jpg", "t.png")
    (tmp_path / "m").write_text(text)
    with pytest.raises(InputError, match="m, line") as caught:
        prepared([], tmp_path / "out", manifest=tmp_path / "m")
    assert says in caught.value.message


@pytest.mark.parametrize(("text", "says"), [("", "is empty"), ('[{"picture": "a.jpg"}]', "is a JSON array")])
def test_a_file_that_is_no_manifest_is_no_empty_one(tmp_path, text, says):
    (tmp_path / "m").write_text(text)
    with pytest.raises(InputError, match=says):
        prepared([], tmp_path / "out", manifest=tmp_path / "m")


def test_a_manifest_may_be_separated_by_semicolons_or_tabs_and_begin_with_a_mark(tmp_path):
    put(tmp_path, "a.jpg", "t;,.png")
    for separator in ";\t":
        rows = f'\ufeffpicture{separator}trimap\r\na.jpg{separator}"t;,.png"\r\n'
        (tmp_path / "m").write_text(rows)
        (entry,) = prepared([], tmp_path / "out", manifest=tmp_path / "m").collected.entries
        assert entry.trimap == str(tmp_path / "t;,.png")


def test_a_column_that_we_do_not_know_is_told_once(tmp_path):
    (tmp_path / "m").write_text("picture,trimap,colour\n" + "a.jpg,t.png,red\n" * 9)
    with pytest.raises(InputError, match="nothing was computed: 1 problem\n"):
        prepared([], tmp_path / "out", manifest=tmp_path / "m")


def test_a_list_or_manifest_without_pictures_is_told_and_no_error(tmp_path):
    (tmp_path / "m").write_text("picture,trimap\n")
    for options in ({"manifest": tmp_path / "m"}, {"listed": True}):
        (note,) = prepared([], tmp_path / "out", **options).collected.notes
        assert note.endswith("names no picture")


def test_a_stem_is_its_parts_joined():
    for stem in ("shot.0012", "shot_v2.0012", "0007", "a", "a1", "a-", "x.y.10"):
        parts = numbered(stem)
        assert parts.base + parts.separator + parts.frame == stem
    assert numbered("shot_v2.0012") == ("shot_v2", ".", "0012")


def test_frame_patterns_and_ranges():
    assert pattern_of("a.####.exr") == "a.[0-9][0-9][0-9][0-9].exr" and pattern_of("a.%d.exr") == "a.[0-9]*.exr"
    assert pattern_of("a.exr") is None
    assert parse_frames("1001-1005x2, 7") == [1001, 1003, 1005, 7]
    assert frame_ranges([3, 9, 8, 7, 12]) == "3, 7-9, 12"
    assert missing_frames(["s/a.0001", "s/a.0004", "b1", "still"]) == {"s/a.####": [2, 3]}
    for wrong in ("", "5-3", "a", "1-2x0"):
        with pytest.raises(InputError, match="names no frames"):
            parse_frames(wrong)


def test_a_sequence_keeps_numbers_and_padding_and_its_gaps_are_named(tmp_path):
    pairs(tmp_path, *(f"shot.{number:04d}" for number in (9, 10, 13)))
    made = prepared(tmp_path, tmp_path / "out", sequence=True)
    assert outputs(made, tmp_path / "out") == {f"shot_alpha.{number:04d}.png" for number in (9, 10, 13)}
    assert made.collected.notes == ["shot.#### lacks 2 frames: 11-12"]


def test_frames_that_were_asked_for_must_be_there(tmp_path):
    pairs(tmp_path, *(f"shot.{number:04d}" for number in (9, 10, 13)))
    assert len(prepared(tmp_path, tmp_path / "out", frames="9-10").collected.entries) == 2
    with pytest.raises(InputError, match=r"shot.#### lacks 1 frame: 11") as raised:
        prepared(tmp_path, tmp_path / "out", frames="9-11")
    assert raised.value.hint == "Add these frames, or leave them out of --frames."


def test_shards_share_all_pictures_out_and_none_twice(tmp_path):
    pairs(tmp_path, *(f"p{number}" for number in range(40)))
    parts = [prepared(tmp_path, tmp_path / "out", shard=f"{index}/3").collected.entries for index in (1, 2, 3)]
    named = [entry.name for part in parts for entry in part]
    assert len(named) == len(set(named)) == 40 and all(parts)


def test_auto_is_the_part_that_slurm_or_kubernetes_names():
    slurm = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_MAX": "9"}
    assert parse_shard("auto", slurm | {"SLURM_ARRAY_TASK_COUNT": "5"}) == Shard(3, 5)
    assert parse_shard("auto", {"JOB_COMPLETION_INDEX": "0", "JOB_COMPLETIONS": "4"}) == Shard(1, 4)
    with pytest.raises(InputError, match="parts would be left out"):
        parse_shard("auto", slurm | {"SLURM_ARRAY_TASK_COUNT": "3"})
    with pytest.raises(InputError, match="JOB_COMPLETION_INDEX"):
        parse_shard("auto", {})
    with pytest.raises(InputError, match="part 5 of 4"):
        parse_shard("auto", {"JOB_COMPLETION_INDEX": "4", "JOB_COMPLETIONS": "4"})
    for wrong in ("0/3", "4/3", "1", "a/b"):
        with pytest.raises(InputError, match="--shard is"):
            parse_shard(wrong)
