import json
from collections import Counter

import numpy as np
import pytest

from benchmarks import _wide_unknown_drawings as drawings
from benchmarks import wide_unknown
from hdmatt.samples.reserved import BACKGROUNDS


def test_forty_pictures_of_four_kinds_none_drawn_twice():
    scenes = wide_unknown.scenes()
    assert Counter(scene.kind for scene in scenes) == {"mesh": 10, "see-through": 10, "objects": 10, "hair": 10}
    assert len({scene.seed for scene in scenes}) == len({(scene.kind, scene.name) for scene in scenes}) == 40
    assert {scene.drawing for scene in scenes} == set(drawings.DRAWINGS)


def test_behind_hair_is_black_or_white_and_behind_the_rest_what_no_training_sees():
    for scene in wide_unknown.scenes():
        assert scene.background in (("black", "white") if scene.kind == "hair" else BACKGROUNDS)
        assert scene.texture is None if scene.kind != "objects" else scene.texture in BACKGROUNDS
        assert scene.texture != scene.background


def half_square(rng):
    layer = np.zeros((wide_unknown.HEIGHT, wide_unknown.WIDTH, 4), np.float32)
    layer[300:500, 300:500] = (0.5, 0.25, 0, 0.5)  # straight colours 1, 0.5, 0
    layer[400:500, 300:500] = (1, 0.5, 0, 1)
    return drawings.Drawing(layer, layer[..., 3] == 1)


def test_display_values_are_mixed_and_known_pixels_agree_with_alpha(monkeypatch, tmp_path):
    monkeypatch.setitem(wide_unknown.DRAWINGS, "hair", half_square)
    scene = wide_unknown.Scene("hair", "00-hair", "hair", 1, "white")
    picture, trimap, alpha = wide_unknown.composed(scene, tmp_path)
    assert alpha[350, 350] == 128 and alpha[450, 350] == 255 and alpha[0, 0] == 0
    assert picture[350, 350].tolist() == [255, 191, 127]  # 128/255 of (255, 127.5, 0), the rest white
    assert picture[450, 350].tolist() == [255, 128, 0] and picture[0, 0].tolist() == [255] * 3
    assert (alpha[trimap == 0] == 0).all() and (alpha[trimap == 255] == 255).all()
    assert trimap[450, 350] == 255 and trimap[350, 350] == trimap[285, 350] == 128 and trimap[270, 350] == 0


def test_the_gaps_of_a_mesh_are_unknown():
    alpha = np.zeros((300, 300), np.uint8)
    alpha[100:200:30, 100:200] = 255
    trimap = wide_unknown.trimap_of(alpha, None)
    assert (trimap[100:190, 105:195] == 128).all() and trimap[0, 0] == 0 and set(np.unique(trimap)) == {0, 128}


def test_a_mark_is_the_only_known_foreground_of_a_thing():
    alpha = np.zeros((300, 300), np.uint8)
    alpha[100:200, 100:200] = 255
    trimap = wide_unknown.trimap_of(alpha, None)
    assert 0 < (trimap == 255).sum() <= np.pi * wide_unknown.MARK**2 + 10 and (alpha[trimap == 255] == 255).all()
    assert (wide_unknown.trimap_of(np.full((90, 90), 254, np.uint8), None) == 128).all()


def test_what_is_made_is_a_test_set_and_is_not_made_again(monkeypatch, tmp_path):
    monkeypatch.setitem(wide_unknown.DRAWINGS, "hair", half_square)
    scene = wide_unknown.Scene("hair", "00-hair", "hair", 1, "black")
    assert [wide_unknown.make(tmp_path, tmp_path, [scene]) for _ in "ab"] == [1, 0]
    from hdmatt.evaluation.testsets import discover

    (item,) = discover(tmp_path / "hair")
    assert item.name == "00-hair" and item.alpha is not None


@pytest.mark.parametrize("name", ["urchin", "lone_object"])
def test_a_drawing_has_associated_colours_and_follows_from_its_seed(name):
    texture = [np.full((900, 1400, 3), 90, np.uint8)] if name == "lone_object" else []
    one, again = (drawings.DRAWINGS[name](np.random.default_rng(7), *texture).layer for _ in "ab")
    assert (one == again).all() and one[..., 3].max() == 1
    assert (one[..., :3] <= one[..., 3:] + 1 / 255).all()


def test_the_table_has_a_row_for_each_kind_and_method(monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{wide_unknown.BEGIN}\n\nold\n\n{wide_unknown.END}\n\nafter\n")
    monkeypatch.setattr(wide_unknown, "PAGE", page)
    scores = {"sad": 10.04, "mse": 0.02, "grad": 3.0, "conn": 4.0, "pictures": 2}
    summary = [{"dataset": kind, "method": "cf", **scores} for kind in wide_unknown.KINDS]
    (tmp_path / "result.json").write_text(json.dumps({"summary": summary}))
    wide_unknown.main(["--table", str(tmp_path)])
    text = page.read_text()
    assert "old" not in text and text.startswith("before") and text.endswith("after\n")
    assert "| mesh | cf | 2 | 10.0 | 20.0 | 3.0 | 4.0 |" in text and text.count("| cf |") == 4
