"""hdmatt.studio.starts: a first trimap, each as one step for undo."""

import cv2
import numpy as np
import pytest
import small_network
import studio_scene
from studio_scene import running

import hdmatt

ONE = "/api/pictures/1"


@pytest.fixture(scope="module")
def model():
    return small_network.network()


def shares(trimap):
    inside = np.hypot(*(np.mgrid[:150, :130] - np.array([75, 65])[:, None, None])) / 130 < 0.25
    return (trimap[inside] == 255).mean(), (trimap[~inside] == 0).mean()


@pytest.mark.release
def test_a_box_finds_the_object(model, tmp_path):
    picture, _ = studio_scene.files(tmp_path)
    with running([picture], model) as (client, studio):
        answer = client.post(f"{ONE}/start", json={"box": [30, 20, 120, 110]}).json()
        assert answer["undo"] == 1
        assert min(shares(studio.find("1").session.trimap())) > 0.9
        client.post(f"{ONE}/undo")
        assert (studio.find("1").session.trimap() == 128).all()
        assert client.post(f"{ONE}/start", json={"box": [-30, -20, 900, 110]}).status_code == 200  # over the border
        assert client.post(f"{ONE}/start", json={"box": [30, 200, 90, 300]}).status_code == 400


@pytest.mark.release
def test_strokes_on_both_find_the_object_and_stay(model, tmp_path):
    picture, _ = studio_scene.files(tmp_path)
    with running([picture], model) as (client, studio):
        client.post(f"{ONE}/strokes", json={"kind": "brush", "label": 255, "points": [[75, 65, 6]]})
        answer = client.post(f"{ONE}/start", json={"scribbles": True})
        assert answer.status_code == 400 and "strokes on both" in answer.json()["message"]
        client.post(f"{ONE}/strokes", json={"kind": "brush", "label": 0, "points": [[5, 5, 4], [5, 120, 4]]})
        assert client.post(f"{ONE}/start", json={"scribbles": True}).json()["undo"] == 3
        trimap = studio.find("1").session.trimap()
        assert min(shares(trimap)) > 0.9 and (trimap[72:78, 62:68] == 255).all() and (trimap[4, 5:120] == 0).all()


def test_a_mask_and_a_band_are_what_trimap_make_gives(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    mask = np.where(cv2.imread(str(trimap), 0) == 255, 255, 0).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    with running([picture], model, root=tmp_path) as (client, studio):
        session = studio.find("1").session
        assert client.post(f"{ONE}/start", json={"mask": "mask.png"}).status_code == 200
        assert np.array_equal(session.trimap(), mask)
        assert client.post(f"{ONE}/band", json={"inside": 5, "outside": "3px"}).json()["undo"] == 2
        assert np.array_equal(session.trimap(), hdmatt.make_trimap(mask, inside=5, outside=3))
        client.post(f"{ONE}/undo")
        assert np.array_equal(session.trimap(), mask)
        answer = client.post(f"{ONE}/band", json={"inside": 500})
        assert answer.status_code == 400 and "no sure foreground" in answer.json()["message"]
        assert client.post(f"{ONE}/start", json={"mask": "/etc/passwd"}).status_code == 403


@pytest.mark.release
def test_the_automatic_band_is_what_trimap_make_gives(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with running([picture], model, trimap=trimap) as (client, studio):
        session = studio.find("1").session
        mask = session.trimap()
        assert client.post(f"{ONE}/band", json={"automatic": True}).status_code == 200
        expected = hdmatt.make_trimap(mask, cv2.imread(str(picture))[..., ::-1].copy(), network=model)
        assert np.array_equal(session.trimap(), expected)


def test_the_alpha_of_the_picture_is_a_mask(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    mask = np.where(cv2.imread(str(trimap), 0) == 255, 255, 0).astype(np.uint8)
    cutout = tmp_path / "cutout.png"
    cv2.imwrite(str(cutout), np.dstack([cv2.imread(str(picture)), mask]))
    with running([cutout, picture], model) as (client, studio):
        assert client.get(ONE).json()["has_alpha"]
        assert client.post(f"{ONE}/start", json={"alpha": True}).status_code == 200
        assert np.array_equal(studio.find("1").session.trimap(), mask)
        assert client.post("/api/pictures/2/start", json={"alpha": True}).status_code == 400
        assert client.post(f"{ONE}/start", json={"alpha": True, "scribbles": True}).status_code == 400
        assert client.post(f"{ONE}/start", json={}).status_code == 400


def test_scribbles_after_a_bad_start_have_only_what_was_painted(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    cv2.imwrite(str(tmp_path / "mask.png"), np.where(cv2.imread(str(trimap), 0) == 255, 255, 0).astype(np.uint8))
    with running([picture], model, root=tmp_path) as (client, studio):
        session = studio.find("1").session
        client.post(f"{ONE}/strokes", json={"kind": "brush", "label": 255, "points": [[75, 65, 6]]})
        client.post(f"{ONE}/start", json={"mask": "mask.png"})
        client.post(f"{ONE}/strokes", json={"kind": "fill", "label": 0, "points": [[75, 65, 0]]})
        client.post(
            f"{ONE}/strokes", json={"kind": "lasso", "label": 255, "points": [[5, 5, 0], [5, 20, 0], [20, 5, 0]]}
        )
        before = session.trimap()
        assert client.post(f"{ONE}/start", json={"painted": True}).status_code == 200
        found = session.trimap()
        assert found[75, 65] == 255 and found[6, 7] == 255 and (found == 128).mean() > 0.9
        client.post(f"{ONE}/undo")
        assert np.array_equal(session.trimap(), before)
