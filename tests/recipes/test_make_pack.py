"""recipes/make_pack.sh with a stand-in for Blender: what it asks of it, and what becomes of the pictures."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_training import environment

RUNS = Path(__file__).parents[2] / "recipes"
BLENDER = """#!/bin/bash
while [ "$1" != -- ]; do shift; done; shift
echo "$@" >> "$CALLS"
for ((i = 0; i < $3; i++)); do cp "$PICTURE" "$1/$7_$(($2 + i)).png"; done
echo "Blender says much"
exit $FAILS
"""


def families():
    """The names in the renderer's table; the file itself can be imported inside of Blender only."""
    tree = ast.parse((RUNS / "render_foregrounds.py").read_text())
    table = next(n for n in ast.walk(tree) if isinstance(n, ast.AnnAssign) and n.target.id == "FAMILIES")
    return [key.value for key in table.value.keys]


@pytest.fixture
def make_pack(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/blender").write_text(BLENDER)
    (tmp_path / "bin/blender").chmod(0o755)
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[16:48, 16:48] = 200
    cv2.imwrite(str(tmp_path / "picture.png"), rgba)
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    told = {"PATH": path, "CALLS": str(tmp_path / "calls"), "PICTURE": str(tmp_path / "picture.png")}

    def made(*words, fails=0):
        command = ["bash", str(RUNS / "make_pack.sh"), *words]
        environ = {**environment(), **told, "FAILS": str(fails)}
        return subprocess.run(command, env=environ, capture_output=True, text=True)

    return made


def test_every_family_is_rendered_packed_and_shown(make_pack, tmp_path):
    done = make_pack(str(tmp_path / "pack"), "2", "64", "4")
    assert done.returncode == 0, done.stderr
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert [call[-1] for call in calls] == families() and len(calls) >= 17
    assert all(call[2:5] == ["2", "64", "4"] for call in calls)
    assert len({call[1] for call in calls}) == len(calls) and min(int(call[1]) for call in calls) >= 200_000
    foregrounds = sorted(path.name for path in (tmp_path / "pack/foregrounds").iterdir())
    assert foregrounds == sorted(f"{call[-1]}_{int(call[1]) + i}.webp" for call in calls for i in range(2))
    assert len(list((tmp_path / "pack/sheets").glob("pack-*.jpg"))) == len(calls)


def test_a_pack_beside_another_has_pictures_of_its_own(make_pack, tmp_path):
    assert make_pack(str(tmp_path / "pack"), "1", "64", "4", "300000").returncode == 0
    seeds = [int(line.split()[1]) for line in (tmp_path / "calls").read_text().splitlines()]
    assert seeds[0] == 300_000 and len(set(seeds)) == len(seeds)


def test_a_renderer_that_fails_ends_it(make_pack, tmp_path):
    done = make_pack(str(tmp_path / "pack"), "1", "64", "4", fails=1)
    assert done.returncode != 0 and len((tmp_path / "calls").read_text().splitlines()) == 1
    assert not (tmp_path / "pack/foregrounds").exists()
