"""The comparison of two checkouts' mattes: its verdicts, its reading of files, its spelling of options."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import OpenImageIO as oiio
import pytest

SCRIPT = Path(__file__).parents[2] / "research/same_mattes.py"


@pytest.fixture(scope="module")
def same() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("same_mattes", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["same_mattes"] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["same_mattes"]


@pytest.mark.parametrize(
    ("kind", "change", "verdict"),
    [
        ("float32", 0, "same pixels"),
        ("float32", 9e-6, "within 1e-5"),
        ("float32", -9e-6, "within 1e-5"),
        ("float32", 1.4e-5, "within one 16-bit step"),
        ("float32", 1.7e-5, "DIFFERENT"),
        ("float32", np.nan, "DIFFERENT"),
        ("float32", np.inf, "DIFFERENT"),
        ("uint16", 1, "within one 16-bit step"),
        ("uint16", 2, "DIFFERENT"),
        ("uint8", 1, "within one step of the file"),
        ("uint8", 2, "DIFFERENT"),
        ("float16", 2.0**-11, "within one step of the file"),
        ("float16", 2.0**-9, "DIFFERENT"),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_one_changed_value_gives_the_verdict(same, kind, change, verdict, swapped):
    old = np.full((20, 30), 0.5, kind) if kind.startswith("float") else np.full((20, 30), 128, kind)
    new = old.copy()
    new[7, 9] += np.array(change).astype(kind)
    found, largest = same.compare(*((new, old) if swapped else (old, new)))
    assert found.words == verdict
    scale = 1 if kind.startswith("float") else np.iinfo(kind).max
    expected = abs(change) / scale if np.isfinite(change) else np.inf
    assert largest == pytest.approx(expected, rel=0.01)  # 9e-6 beside 0.5 is a multiple of 6e-8 in float32


def test_many_values_rounded_to_the_neighbour_are_different(same):
    old = np.full((20, 30), 128, np.uint8)
    new = old.copy()
    new[0, :3] += 1  # 3 of 600: 1 in 200
    assert same.compare(old, new)[0].words == "within one step of the file"
    new[0, 3] += 1
    assert same.compare(old, new)[0].words == "DIFFERENT"


@pytest.mark.parametrize(
    "new", [np.zeros((4, 5), np.float32), np.zeros((5, 4), np.uint8), np.zeros((5, 4, 1), np.float32)]
)
def test_other_sizes_and_types_are_different(same, new):
    assert same.compare(np.zeros((5, 4), np.float32), new) == (same.Verdict.DIFFERENT, np.inf)


def test_equal_infinities_and_nans_do_not_hide_a_difference(same):
    old = np.array([np.inf, np.nan, 0.5], np.float32)
    assert same.compare(old, old)[0].words == "same pixels"
    assert same.compare(old, old + np.float32([0, 0, 1e-6]))[0].words == "within 1e-5"
    assert same.compare(old, old + np.float32([0, 0, 1e-2]))[0].words == "DIFFERENT"


def test_files_are_the_same_but_for_the_time_and_not_but_for_other_facts(same, tmp_path):
    pixels = np.linspace(0, 1, 60, dtype=np.float32).reshape(4, 5, 3)

    def written(name: str, **facts: str) -> Path:
        spec = oiio.ImageSpec(5, 4, 3, oiio.FLOAT)
        for key, value in facts.items():
            spec.attribute(key, value)
        file = oiio.ImageOutput.create(str(tmp_path / name))
        assert file.open(str(tmp_path / name), spec) and file.write_image(pixels) and file.close()
        return tmp_path / name

    old = written("old.tif", DateTime="2024:01:01 00:00:00")
    assert same.compare_files(old, old)[0].words == "same bytes"
    assert same.compare_files(old, written("later.tif", DateTime="2025:01:01 00:00:00"))[0].words == "same bytes"
    other = written("other.tif", DateTime="2024:01:01 00:00:00", ImageDescription="another")
    assert same.compare_files(old, other)[0].words == "same pixels"


def test_the_worst_output_is_the_verdict_and_a_missing_one_is_different(same, tmp_path):
    folders = []
    for name, colour in (("old", 0.5), ("new", 0.6)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "alpha.npy", np.full((3, 3), 0.25, np.float32))
        np.save(tmp_path / name / "foreground.npy", np.full((3, 3, 3), colour, np.float32))
        folders.append(tmp_path / name)
    found = same._judged(*folders, alpha_only=False)
    assert (found["alpha"], found["foreground"], found["verdict"].words) == ("same", "1.0e-01", "DIFFERENT")
    assert same._judged(*folders, alpha_only=True)["verdict"].words == "same bytes"
    (tmp_path / "new/alpha.npy").unlink()
    assert same._judged(*folders, alpha_only=True)["verdict"].words == "DIFFERENT"


def test_an_option_is_spelled_as_the_checkout_spells_it(same):
    table = {"cover": [("--windows", {"fewest": "few"}), ("--cover", {})]}
    assert same.spelled("cover", "fewest", table, {"--windows", "--cover"}) == ("--windows", "few")
    assert same.spelled("cover", "fewest", table, {"--cover"}) == ("--cover", "fewest")
    with pytest.raises(LookupError, match="none of --windows, --cover: add its name of 'cover'"):
        same.spelled("cover", "fewest", table, {"--places"})


def test_keywords_go_to_matte_or_into_the_options_that_it_takes(same):
    class Options:
        def __init__(self, *, topk: int = 7, cover: str = "fewest") -> None:
            self.given = (topk, cover)

    def matte(picture, trimap, *, options=None, linear=False): ...

    found = same._keywords(SimpleNamespace(matte=matte, Options=Options), {"topk": 3, "linear": True, "cover": "grid"})
    assert (found["linear"], found["options"].given) == (True, (3, "grid"))


def test_every_case_has_a_name_of_its_own_and_options_that_are_in_the_tables(same):
    names = [case.name for case in same.CASES]
    assert len(set(names)) == len(names)
    assert {"hdmatt", "crop", "tiles", "downsample", "whole"} == {
        case.options.get("strategy", "hdmatt") for case in same.CASES
    }
    for case in same.CASES:
        table = same.KEYWORDS if case.arrays else same.COMMAND_LINE
        assert set(case.options) - {"background"} <= set(table)
