"""What the pages say was measured is what benchmarks/results says."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = json.loads((ROOT / "benchmarks/results/any-size.json").read_text())


def test_the_table_of_layers_is_that_of_the_results():
    section = (ROOT / "docs/runtimes.md").read_text().split("## Where the time goes")[1].split("\n## ")[0]
    shown = [re.split(r" *\| *", row)[1:6] for row in re.findall(r"^\|.*\|$", section, re.MULTILINE)[2:]]
    expected = [
        [
            group["name"],
            f"{1e3 * group['seconds']:.1f}",
            f"{group['flops'] / 1e9:.1f}",
            f"{group['flops'] / group['seconds'] / 1e9:.0f}",
            f"{1e3 * group['lost']:.1f}",
        ]
        for group in LINES["peak"]["runs"]["layers"]["groups"]
    ]
    assert shown == expected


def test_the_readmes_sizes_are_those_of_the_results_and_what_is_required_is_met():
    text = (ROOT / "README.md").read_text()
    hr25, share = LINES["hr25"]["checks"], LINES["peak"]["checks"][0]
    assert f"({hr25[0]['measured']:.1f} times as fast)" in text
    assert f"{100 * hr25[1]['measured']:.0f} % of its\nmemory" in text
    assert f"reaches {100 * share['measured']:.0f} % of a large fp32 convolution" in text
    for megapixels, run in (("36", LINES["36mp"]["runs"]["hdmatt"]), ("400", LINES["400mp"]["runs"]["large"])):
        row = re.search(rf"^\| {megapixels} megapixels.*$", text, re.MULTILINE)
        assert row and f"| {run['peak_memory'] / 2**20:.0f} MiB |" in row[0]
    assert all(check["met"] for line in LINES.values() for check in line["checks"])


def test_every_line_of_the_results_names_its_command_commit_and_machine():
    for line in LINES.values():
        assert line["command"].startswith("python benchmarks/any_size.py ")
        assert re.fullmatch(r"[0-9a-f]{40}\+?", line["commit"])
        assert line["machine"]["cpu"] and line["machine"]["usable_cores"]


def test_the_table_of_runtimes_is_that_of_the_results():
    found = json.loads((ROOT / "benchmarks/results/runtimes.json").read_text())["runtimes"]
    section = (ROOT / "docs/runtimes.md").read_text().split("## The promise")[0]
    rows = re.findall(r"^\| `(\w+)`(?:, (\w+))?[^|]*\| ([^`]*) \|$", section, re.MULTILINE)
    shown = {name + "/bf16" * (half == "bf16"): text.split(" | ") for name, half, text in rows if text[0].isdigit()}
    assert len(found) == len(shown) == 7
    for row in found:
        ratio, *parts, seconds, _ = shown[row["runtime"]]
        assert [float(ratio), *map(float, parts)] == [
            round(row["ratio"], 2),
            *(round(r, 2) for r in row["parts"].values()),
        ]
        assert float(seconds) == round(row["seconds_a_patch"], 3)
