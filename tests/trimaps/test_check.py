"""Every fault of a trimap is found where it is, a good trimap has none, and bands change nothing."""

import json
from dataclasses import asdict

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import hdmatt
from hdmatt.cli.main import main
from hdmatt.errors import InputError, OutputError
from hdmatt.trimaps import survey
from hdmatt.trimaps.findings import PlaceCounter
from hdmatt.trimaps.fix import fix_trimap, write_fixed
from hdmatt.trimaps.small_regions import largest_small, small_regions

HEIGHT, WIDTH = 200, 260


def good():
    """A disc with a band of 12 pixels to either side."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    radius = np.hypot(y - 100, x - 130)
    return np.where(radius < 48, 255, np.where(radius > 72, 0, 128)).astype(np.uint8)


def alpha():
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return np.clip((60 - np.hypot(y - 100, x - 130)) / 10 + 0.5, 0, 1)


def names(trimap, *more):
    return [finding.name for finding in hdmatt.check_trimap(trimap, *more).findings]


def only(trimap, *more):
    findings = hdmatt.check_trimap(trimap, *more).findings
    assert len(findings) == 1, findings
    return findings[0]


def inside(places, y, x):
    return any(p.y0 <= y < p.y1 and p.x0 <= x < p.x1 for p in places)


def test_nothing_is_found_in_a_good_trimap():
    picture = np.repeat((alpha() * 200 + 20).astype(np.uint8)[..., None], 3, 2)
    found = hdmatt.check_trimap(good(), picture, alpha())
    assert found.findings == () and found.warnings() == () and (found.width, found.height) == (WIDTH, HEIGHT)
    shares = found.background_share, found.unknown_share, found.foreground_share
    assert shares == pytest.approx([np.mean(good() == value) for value in (0, 128, 255)], abs=1e-12)


def test_values_between_the_three_are_counted_and_placed():
    trimap = good()
    trimap[10:12, 18:23] = 7
    trimap[150, 90] = 140
    finding = only(trimap)
    assert (finding.name, finding.severity, finding.count) == ("antialiased", "note", 11)
    assert finding.places[0].count == 10 and inside(finding.places, 10, 20) and inside(finding.places, 150, 90)
    soft = cv2.GaussianBlur(good(), (0, 0), 3)
    assert {f.name: f.severity for f in hdmatt.check_trimap(soft).findings}["antialiased"] == "warning"


@pytest.mark.parametrize("grey", [127, 129, 100])
def test_another_grey_for_unknown_is_a_note_that_names_it(grey):
    trimap = np.where(good() == 128, np.uint8(grey), good())
    finding = only(trimap)
    assert (finding.name, finding.severity, finding.count) == ("antialiased", "note", np.count_nonzero(good() == 128))
    assert f"are {grey}, not 128" in finding.message and "resized" not in finding.message
    trimap[trimap == 0] = 3  # greys of a soft brush
    found = [one for one in hdmatt.check_trimap(trimap).findings if one.name == "antialiased"]
    assert [one.severity for one in found] == ["warning"]


@pytest.mark.parametrize(
    ("trimap", "name"),
    [
        (np.array([255, 128, 0], np.uint8)[np.searchsorted([0, 128, 255], good())], "inverted"),
        (np.where(good() == 128, np.uint8(0), good()), "no-unknown"),
        (np.where(good() == 255, np.uint8(128), good()), "no-foreground"),
        (np.where(good() == 0, np.uint8(128), good()), "no-background"),
        (np.where(np.indices((HEIGHT, WIDTH))[1] < 180, np.uint8(128), good()), "mostly-unknown"),
    ],
)
def test_kinds_that_are_missing_or_swapped_are_warnings(trimap, name):
    found = hdmatt.check_trimap(trimap)
    assert name in [finding.name for finding in found.warnings()]
    assert all(finding.advice and finding.message for finding in found.findings)


def test_an_inverted_trimap_is_the_good_one_inverted():
    trimap = np.array([255, 128, 0], np.uint8)[np.searchsorted([0, 128, 255], good())]
    assert names(trimap) == ["inverted"]
    portrait = good()
    portrait[100:, 30:230] = 255  # reaches the lower border
    assert "inverted" not in names(portrait)
    assert "inverted" in names(255 - np.where(portrait == 128, 127, portrait).astype(np.uint8))


def test_a_band_that_reaches_the_border_is_a_note():
    trimap = good()
    trimap[150:, 100:160] = 128
    finding = only(trimap)
    assert (finding.name, finding.severity, finding.count) == ("border", "note", 60)
    assert inside(finding.places, HEIGHT - 1, 120) and finding.share == pytest.approx(60 / (2 * (HEIGHT + WIDTH) - 4))


def test_pinholes_specks_and_islands_are_told_apart():
    trimap = good()
    trimap[100, 130:133] = 128  # unknown in foreground
    trimap[10:12, 10] = 255  # foreground in background
    trimap[98:101, 70] = 0  # background in unknown
    found = {finding.name: finding for finding in hdmatt.check_trimap(trimap).findings}
    assert set(found) == {"pinholes", "specks", "islands", "contact"}
    assert [found[name].count for name in ("pinholes", "specks", "islands")] == [3, 2, 3]
    assert [found[name].severity for name in ("pinholes", "specks", "islands")] == ["warning", "warning", "note"]
    assert inside(found["pinholes"].places, 100, 131) and inside(found["specks"].places, 10, 10)


def slowly(trimap, largest):
    """Small regions of the whole trimap, by flood fill."""
    height, width = trimap.shape
    padded = np.pad(trimap.astype(int), 1, constant_values=-1)
    seen, found = np.zeros((height, width), bool), {}
    for start in np.ndindex(height, width):
        value, region, stack, around = int(trimap[start]), [], [start], set()
        if seen[start]:
            continue
        seen[start] = True
        while stack:
            y, x = stack.pop()
            region.append((y, x))
            for dy, dx in [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]:
                other = padded[y + dy + 1, x + dx + 1]
                if other == value and (dy * dx == 0 or value == 128) and not seen[y + dy, x + dx]:
                    seen[y + dy, x + dx] = True
                    stack.append((y + dy, x + dx))
                elif other not in (value, -1) and dy * dx == 0:
                    around.add(int(other))
        if len(region) <= largest and len(around) == 1:
            found.setdefault((value, around.pop()), set()).update(region)
    return found


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 9))
def test_small_regions_found_band_by_band_are_those_of_the_whole(seed, largest, rows):
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.random((24, 16)), (0, 0), 0.8)
    trimap = np.array([0, 128, 255], np.uint8)[np.digitize(smooth, [0.46, 0.54])]
    found = {}
    for y0 in range(0, 24, rows):
        top, end = max(0, y0 - 2), min(24, y0 + rows)
        for one in small_regions(trimap[top : end + largest], first=y0 - top, end=end - top, largest=largest):
            points = set(zip((one.ys + top).tolist(), one.xs.tolist(), strict=True))
            known = found.setdefault((one.value, one.around), set())
            assert not known & points  # every region once
            known |= points
    assert found == slowly(trimap, largest)


def test_foreground_beside_background_is_judged_by_the_picture():
    mask = np.where(good() == 128, np.uint8(0), good())
    mask[:3, :40] = 128
    hard = np.where(mask[..., None] == 255, np.uint8(200), np.uint8(40)).repeat(3, 2)
    soft = cv2.GaussianBlur(hard, (0, 0), 6)
    found = {f.name: f for f in hdmatt.check_trimap(mask).findings}
    assert found["contact"].severity == "note" and "soft-contact" not in found
    assert "looks hard" in {f.name: f for f in hdmatt.check_trimap(mask, hard).findings}["contact"].message
    warned = {f.name: f for f in hdmatt.check_trimap(mask, soft).findings}["soft-contact"]
    assert warned.severity == "warning" and warned.share > 0.9 and warned.count <= found["contact"].count
    assert inside(warned.places, 100, 130 - 48)


def test_two_sides_of_one_colour_tell_nothing():
    mask = np.where(good() == 128, np.uint8(0), good())
    assert "soft-contact" not in names(mask, np.full((HEIGHT, WIDTH, 3), 90, np.uint8))


def test_a_thin_band_is_a_warning():
    trimap = np.where(good() == 128, np.uint8(0), good())
    ring = cv2.morphologyEx(trimap, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    trimap[ring] = 128
    found = {finding.name: finding for finding in hdmatt.check_trimap(trimap).findings}
    assert found["thin"].severity == "warning" and found["thin"].share > 0.9
    assert "narrower than 3 pixels" in found["thin"].message


def test_sure_pixels_that_the_matte_contradicts_are_found():
    trimap = good()
    trimap[90:110, 60:80] = 0  # cuts into the object's edge
    finding = next(f for f in hdmatt.check_trimap(trimap, None, alpha()).findings if f.name == "contradicted")
    assert finding.severity == "warning" and inside(finding.places, 100, 75)
    assert names(good(), None, alpha()) == []
    matte = np.where(trimap == 128, alpha(), trimap / np.float32(255)).astype(np.float32)
    beside = next(f for f in hdmatt.check_trimap(trimap, None, matte).findings if f.name == "contradicted")
    assert 0 < beside.count < finding.count  # a matte of ours is exact where the trimap is sure, so its neighbours tell


def test_another_size_is_a_finding_and_nothing_is_compared():
    picture = np.zeros((HEIGHT // 2, WIDTH // 2, 3), np.uint8)
    finding = only(good(), picture, None)
    assert finding.name == "size" and "260x200 but the picture is 130x100" in finding.message
    assert "--fit" in finding.advice and "of the same shape" in finding.message
    assert "of another shape" in only(good(), None, alpha()[:, :100]).message


@pytest.mark.parametrize("rows", [128, 131])
def test_a_survey_in_bands_counts_what_one_band_counts(rows, monkeypatch):
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.random((500, 90)), (0, 0), 1.5)
    trimap = np.array([0, 128, 255], np.uint8)[np.digitize(noise, [0.47, 0.53])]
    picture = rng.integers(0, 255, (500, 90, 3), np.uint8)
    matte = rng.random((500, 90), np.float32)
    whole = hdmatt.check_trimap(trimap, picture, matte)
    monkeypatch.setattr(survey, "_PIXELS", 90 * rows)
    assert asdict(hdmatt.check_trimap(trimap, picture, matte)) == asdict(whole)
    assert {"pinholes", "islands", "contact", "contradicted"} & {finding.name for finding in whole.findings}


def test_places_hold_their_pixels_and_the_fullest_comes_first():
    counter = PlaceCounter(1000, 3000)
    counter.add_points(np.array([5, 6, 999]), np.array([5, 6, 2999]))
    first, second = counter.places()
    assert (first.count, second.count) == (2, 1) and counter.count == 3
    assert inside([first], 5, 5) and inside([second], 999, 2999) and second.x1 == 3000 and second.y1 == 1000
    assert first.x1 - first.x0 <= 24


def test_fixing_snaps_and_fills_and_touches_nothing_else():
    trimap = good()
    trimap[100, 130:133] = 128
    trimap[10, 10:14] = 128
    trimap[20, 20] = 3
    fixed, fixes = fix_trimap(trimap)
    np.testing.assert_array_equal(fixed, good())
    assert (fixes.snapped, fixes.pinholes, fixes.filled) == (1, 2, 7)
    assert fixes.text() == "snapped 1 pixel to 0, 128 and 255 and filled 2 pinholes (7 pixels)"
    again, none = fix_trimap(fixed)
    np.testing.assert_array_equal(again, fixed)
    assert none.text() == "nothing to fix"


def test_a_small_region_is_one_in_fifty_thousand_within_limits():
    assert [largest_small(*size) for size in ((100, 100), (2000, 3000), (10000, 10000))] == [16, 120, 256]


@pytest.fixture
def files(tmp_path):
    trimap = good()
    trimap[100, 130:133] = 128
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(tmp_path / "picture.png")
    return tmp_path


def test_the_command_prints_a_table_and_strict_is_exit_code_3(files, capsys):
    assert main(["trimap", "check", str(files / "trimap.png")]) == 0
    out = capsys.readouterr().out
    assert "260x200" in out and "pinholes" in out and "--fix" in out and "x 129-" in out
    assert main(["trimap", "check", str(files / "trimap.png"), "--strict"]) == 3
    Image.fromarray(good()).save(files / "good.png")
    capsys.readouterr()
    assert main(["trimap", "check", str(files / "good.png"), "--strict"]) == 0
    assert "nothing found" in capsys.readouterr().out


def test_the_command_writes_what_was_asked_for(files, capsys):
    more = ["--marked", str(files / "marked.png"), "--fix", str(files / "fixed.png"), "--json"]
    assert main(["trimap", "check", str(files / "trimap.png"), "--picture", str(files / "picture.png"), *more]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["marked"], record["fixed"]) == (str(files / "marked.png"), str(files / "fixed.png"))
    assert [finding["name"] for finding in record["findings"]] == ["pinholes"]
    assert record["findings"][0]["places"][0]["count"] == 3 and record["fixes"]["filled"] == 3
    np.testing.assert_array_equal(np.asarray(Image.open(files / "fixed.png")), good())
    marked = np.asarray(Image.open(files / "marked.png")).astype(int)
    assert marked.shape == (HEIGHT, WIDTH, 3)
    red = marked[..., 0] - marked[..., 1] > 150
    place = record["findings"][0]["places"][0]
    assert red[place["y0"], place["x0"] : place["x1"]].all() and not red[:, :100].any()
    assert main(["trimap", "check", str(files / "trimap.png"), *more[:-1]]) == 0
    out = capsys.readouterr().out
    assert f"{files}/marked.png: 1 place marked" in out and f"{files}/fixed.png: filled 1 pinhole" in out


def test_the_command_refuses_before_it_reads(files, capsys):
    before = {path.name for path in files.iterdir()}
    trimap = str(files / "trimap.png")
    new = str(files / "new.png")
    for more in (
        ["--fix", trimap],
        ["--marked", trimap],
        ["--fix", str(files / "fixed.jpg")],
        ["--fix", new, "--marked", new],
    ):
        assert main(["trimap", "check", trimap, *more]) == 2
    assert main(["trimap", "check", str(files / "picture.png"), "--picture", str(files / "none.png")]) == 2
    assert {path.name for path in files.iterdir()} == before
    assert "exactly 0, 128 and 255" in capsys.readouterr().err


def test_what_cannot_be_checked_is_refused(files):
    colours = np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8)
    with pytest.raises(InputError, match="looks like a colour picture"):
        hdmatt.check_trimap(colours)
    with pytest.raises(InputError, match="a matte"):
        hdmatt.check_trimap(good(), None, np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(OutputError):
        write_fixed(files / "trimap.png", files / "no" / "fixed.png")
