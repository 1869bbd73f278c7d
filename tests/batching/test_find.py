"""Which files are pictures of a batch, and which trimap belongs to which."""

import os
from collections import Counter

import pytest
from small_batch import pairs, prepared, put

from hdmatt.batching.find import find, find_listed, read_list
from hdmatt.batching.pairs import pair
from hdmatt.errors import InputError


def names(found):
    return [one.name for one in found]


def test_a_folder_gives_its_pictures_with_those_of_all_folders_below_in_natural_order(tmp_path):
    put(tmp_path, "b/a10.jpg", "b/a2.jpg", "z.tif", "notes.txt", ".hidden.jpg", ".cache/x.jpg", "b/UP.JPG")
    found, problems = find([str(tmp_path)])
    assert names(found) == ["z.tif", "b/a2.jpg", "b/a10.jpg", "b/UP.JPG"] and not problems


def test_working_files_are_left_out_of_folders_and_told_and_patterns_take_them(tmp_path):
    put(tmp_path, "a.heic", "b.AVIF", "c.psd", "d/e.PSD", "f.cr3", "notes.txt", "g.jpg", "c_trimap.psd")
    passed = Counter()
    assert names(find([str(tmp_path)], passed=passed)[0]) == ["a.heic", "b.AVIF", "g.jpg"]
    assert passed == {".psd": 3, ".cr3": 1}
    assert names(find([str(tmp_path / "**/*.psd")])[0]) == ["c.psd"]
    assert names(find([str(tmp_path / "**/*.PSD")])[0]) == ["d/e.PSD"]
    assert names(find([str(tmp_path / "c*")])[0]) == [] and names(find([str(tmp_path / "f.cr3")])[0]) == ["f.cr3"]
    put(tmp_path, "a_trimap.png", "b_trimap.jxl", "g_trimap.png")
    (note,) = prepared(tmp_path, tmp_path / "out").collected.notes
    assert note == "left out: 4 files of kinds that are not sought in folders: .cr3 .psd"


def test_trimaps_are_no_pictures_by_name_and_by_folder(tmp_path):
    put(tmp_path, "a.jpg", "a_trimap.png", "b.trimap.png", "c-trimap.tif", "Trimaps/a.png", "AlphaHint/a.png")
    assert names(find([str(tmp_path)])[0]) == ["a.jpg"]


def test_a_link_in_a_circle_is_walked_once(tmp_path):
    put(tmp_path, "a/x.jpg")
    os.symlink(tmp_path, tmp_path / "a" / "again")
    assert names(find([str(tmp_path)])[0]) == ["a/x.jpg"]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("*.jpg", ["a.jpg", "ab.jpg"]),
        ("?.jpg", ["a.jpg"]),
        ("**/*.jpg", ["a.jpg", "ab.jpg", "sub/c.jpg", "sub/deep/d.jpg"]),
        ("sub/*.jpg", ["c.jpg"]),
        ("*/*.jpg", ["sub/c.jpg"]),
        ("f.##.exr", ["f.01.exr"]),
        ("f.%04d.exr", ["f.0001.exr"]),
    ],
)
def test_patterns_match_part_by_part_below_their_first_plain_folders(tmp_path, pattern, wanted):
    put(tmp_path, "a.jpg", "ab.jpg", "sub/c.jpg", "sub/deep/d.jpg", "f.01.exr", "f.0001.exr")
    assert names(find([str(tmp_path / pattern)])[0]) == wanted


def test_a_file_that_is_there_is_no_pattern(tmp_path):
    put(tmp_path, "a[1].jpg", "a1.jpg", "#.jpg")
    assert names(find([str(tmp_path / "a[1].jpg"), str(tmp_path / "#.jpg")])[0]) == ["a[1].jpg", "#.jpg"]


def test_what_is_not_there_or_holds_nothing_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    put(tmp_path, "a.jpg")
    inputs = [str(tmp_path / name) for name in ("empty", "nothing", "*.tif", "a.jpg")]
    found, problems = find(inputs)
    assert names(found) == ["a.jpg"] and len(problems) == 3


def test_a_picture_that_two_inputs_name_counts_once(tmp_path):
    put(tmp_path, "a.jpg")
    assert len(find([str(tmp_path), str(tmp_path / "a.jpg"), str(tmp_path / "*.jpg")])[0]) == 1


def test_lists_are_lines_or_nul_separated_and_keep_every_byte():
    assert read_list(b"a b.jpg\r\n\n c\nd") == ["a b.jpg", " c", "d"]
    strange = [b"new\nline", b"\xff", b"-dash"]
    assert [os.fsencode(name) for name in read_list(b"\0".join(strange) + b"\0")] == strange


def test_listed_names_keep_their_folders_if_they_are_relative(tmp_path, monkeypatch):
    put(tmp_path, "in/sub/a.jpg")
    monkeypatch.chdir(tmp_path)
    absolute = str(tmp_path / "in/sub/a.jpg")
    assert names(find_listed(["./in/sub/a.jpg"])[0]) == ["in/sub/a.jpg"]
    assert names(find_listed([absolute])[0]) == ["a.jpg"]
    assert names(find_listed([absolute], tmp_path / "in")[0]) == ["sub/a.jpg"]
    assert len(find_listed([absolute, "none.jpg"], tmp_path / "other")[1]) == 2


@pytest.mark.parametrize(
    "trimap",
    [
        *("s/a.trimap.png", "s/a_trimap.png", "s/a-trimap.tif", "s/trimap/a.png", "s/trimaps/a_trimap.png"),
        *("AlphaHint/a.png", "trimaps/s/a.png", "s/TRIMAP/a.png"),
    ],
)
def test_a_trimap_is_found_by_its_name(tmp_path, trimap):
    put(tmp_path, "s/a.jpg", trimap)
    found, problems = pair(find([str(tmp_path)])[0])
    assert [one.trimap for one in found] == [tmp_path / trimap] and not problems


def test_a_folder_of_trimaps_is_the_only_place_to_look(tmp_path):
    put(tmp_path, "in/s/a.jpg", "in/s/a_trimap.png", "other/s/a.tif", "in/b.jpg", "in/b_trimap.png")
    found, problems = pair(find([str(tmp_path / "in")])[0], trimaps=tmp_path / "other")
    assert [one.trimap for one in found] == [tmp_path / "other/s/a.tif"]
    assert [problem.kind for problem in problems] == ["unmatched"]


def test_masks_are_taken_where_there_is_no_trimap(tmp_path):
    put(tmp_path, "in/a.jpg", "in/a_trimap.png", "in/b.jpg", "masks/a.png", "masks/b_mask.png")
    found, problems = pair(find([str(tmp_path / "in")])[0], masks=tmp_path / "masks")
    assert [(one.trimap, one.mask) for one in found] == [
        (tmp_path / "in/a_trimap.png", None),
        (None, tmp_path / "masks/b_mask.png"),
    ]
    assert not problems


def test_two_trimaps_of_a_picture_and_two_pictures_of_a_trimap_are_ambiguous(tmp_path):
    put(tmp_path, "a.jpg", "a_trimap.png", "trimaps/a.png", "b.jpg", "b.tif", "b_trimap.png")
    problems = pair(find([str(tmp_path)])[0])[1]
    assert [problem.kind for problem in problems] == ["ambiguous", "ambiguous"]
    assert "a_trimap.png" in problems[0].text and "trimaps/a.png" in problems[0].text
    assert len(problems[1].pictures) == 2


def test_all_that_is_wrong_is_listed_before_anything_runs(tmp_path):
    pairs(tmp_path, "good")
    put(tmp_path, "lost.jpg", "a.jpg", "a_trimap.png", "a.trimap.png", "sub/c.jpg", "sub/c_trimap.png", "c/c.png")
    with pytest.raises(InputError) as caught:
        prepared([tmp_path, str(tmp_path / "nothing")], tmp_path / "out")
    for text in ("lost.jpg has no trimap", "a.jpg has several trimaps", "no such file", "4 problems"):
        assert text in caught.value.message
    assert not (tmp_path / "out").exists()


def test_pictures_without_trimaps_can_be_left_out_and_are_told(tmp_path):
    pairs(tmp_path, "a")
    put(tmp_path, "b.jpg")
    collected = prepared(tmp_path, tmp_path / "out", skip_unmatched=True).collected
    assert names(collected.entries) == ["a.jpg"] and "b.jpg" in collected.notes[0]


def test_the_folder_of_trimaps_cannot_be_that_of_the_pictures(tmp_path):
    pairs(tmp_path, "a")
    with pytest.raises(InputError, match="is the folder of the pictures"):
        prepared(tmp_path, tmp_path / "out", trimaps=tmp_path)
