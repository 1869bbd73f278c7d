"""The pack in the repository: small, credited file by file, read by a training, and apart from test pictures."""

import csv
from pathlib import Path

import pytest

from hdmatt.samples.packs import discover_assets, read_foreground
from hdmatt.samples.reserved import BACKGROUNDS

PACK = Path(__file__).parents[1] / "assets" / "pack"

pytestmark = pytest.mark.skipif(not PACK.is_dir(), reason="the source archive has no pack")


def rows() -> list[dict[str, str]]:
    with (PACK / "LICENCES.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_file_has_a_source_and_an_open_licence():
    files = {path.relative_to(PACK).as_posix() for path in PACK.rglob("*.webp")}
    assert {row["file"] for row in rows()} == files and len(rows()) == len(files) > 100
    assert all(row["source"] for row in rows())
    assert {row["licence"].split()[0].split("/")[0] for row in rows()} <= {"CC0", "CC-BY", "public"}


def test_it_stays_below_30_megabytes():
    assert sum(path.stat().st_size for path in PACK.rglob("*") if path.is_file()) < 30e6


def test_a_training_finds_all_of_it_and_no_photograph_behind_a_test_picture():
    found = discover_assets(PACK)
    assert len(found.foregrounds) + len(found.backgrounds) == len(rows())
    reserved = {Path(name).stem for name in BACKGROUNDS}
    assert not reserved & {path.stem for path in found.backgrounds}


@pytest.mark.release
def test_every_foreground_has_sure_and_clear_pixels_or_is_soft_all_over():
    for path in sorted((PACK / "foregrounds").iterdir()):
        alpha = read_foreground(path)[..., 3]
        assert alpha.max() > 20 and (alpha < 250).any(), path.name
