"""hdmatt.studio.server: strokes, tiles, files and events through requests."""

import inspect
import os
import re
import shutil
import sqlite3
import threading
from dataclasses import fields
from io import BytesIO

import cv2
import numpy as np
import pytest
import small_network
import studio_scene
from PIL import Image
from studio_scene import BLOB, events, running

import hdmatt
from hdmatt.pictures.box import Box
from hdmatt.studio import server
from hdmatt.studio.bodies import ExportBody
from hdmatt.studio.problems import TITLES
from hdmatt.studio.strokes import Stroke
from hdmatt.trimaps import check

ONE = "/api/pictures/1"


@pytest.fixture(scope="module")
def model():
    return small_network.network()


@pytest.fixture(scope="module")
def shared(model, tmp_path_factory):
    """A client of a studio that no test changes."""
    picture, trimap = studio_scene.files(tmp_path_factory.mktemp("shared"))
    with running([picture], model, trimap=trimap) as (client, _):
        yield client


def pixels(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(BytesIO(answer.content)))


def labels(answer):
    """The labels of an overlay's tile, by its colours."""
    assert answer.headers["content-type"] == "image/png"
    rgba = np.asarray(Image.open(BytesIO(answer.content)).convert("RGBA")).astype(int)
    return np.select([rgba[..., 2] > 200, rgba[..., 0] > 200], [0, 128], 255)


def test_a_picture_says_what_a_page_must_know(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path, 520, 90)
    with running([picture], model, trimap=trimap) as (client, _):
        facts = client.get(ONE).json()
        assert (facts["width"], facts["height"], facts["tile"], facts["levels"]) == (90, 520, 512, 2)
        assert facts["known"] and not facts["unsaved"] and facts["trimap_file"] == "trimap.png"
        assert "before" not in facts["views"] and facts["output_folder"] == str(tmp_path)
        assert str(tmp_path) not in client.get("/api/pictures").text
        assert client.get("/api/pictures/2").status_code == 404


def test_a_picture_has_the_same_id_whatever_else_is_open(model, tmp_path):
    picture, _ = studio_scene.files(tmp_path)
    other = shutil.copy(picture, tmp_path / "other.png")
    ids = []
    for names in ([picture, other], [other]):
        with running(names, model) as (client, _):
            ids.append({one["name"]: one["id"] for one in client.get("/api/pictures").json()})
            assert client.get(f"/api/pictures/{ids[0]['other.png']}").json()["name"] == "other.png"
    assert ids[0]["other.png"] == ids[1]["other.png"] != ids[0]["picture.png"]


def test_unknown_pixels_can_be_clear_in_the_overlay(shared):
    for background, opacity in (("checker", 120), ("clear", 0)):
        answer = shared.get(f"{ONE}/tiles/trimap/0/0/0?background={background}")
        rgba = np.asarray(Image.open(BytesIO(answer.content)).convert("RGBA"))
        assert set(rgba[rgba[..., 0] > 200, 3].tolist()) == {opacity} and (rgba[0, 0] == (40, 80, 255, 80)).all()


@pytest.mark.release
def test_tiles_of_every_level_are_those_of_the_session(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path, 520, 90)  # two tiles, few patches
    with running([picture], model, automatic=True, trimap=trimap) as (client, studio):
        session, layers = studio.find("1").session, studio.find("1").layers
        assert studio.worker.wait(100)
        layers.picture.wait()
        whole = Box(0, 0, 520, 90)

        def halved(values):
            return np.rint(values.reshape(260, 2, 45, 2, -1).mean((1, 3)).squeeze())

        colours, alpha = (np.rint(values * 255) for values in (session.picture(whole), session.alpha(whole)))
        found = pixels(client.get(f"{ONE}/tiles/picture/0/1/0")).astype(float)
        assert np.abs(found - colours[512:]).mean() < 3
        found = pixels(client.get(f"{ONE}/tiles/picture/1/0/0")).astype(float)
        assert np.abs(found - halved(colours)).mean() < 3
        assert np.abs(pixels(client.get(f"{ONE}/tiles/alpha/0/0/0")) - alpha[:512]).mean() < 1
        assert np.abs(pixels(client.get(f"{ONE}/tiles/alpha/1/0/0")) - halved(alpha)).mean() < 1
        assert np.array_equal(labels(client.get(f"{ONE}/tiles/trimap/0/0/0")), session.trimap()[:512])
        assert np.array_equal(labels(client.get(f"{ONE}/tiles/trimap/1/0/0")), session.trimap(level=1))
        # without JPEG in between: what smaller views hold is off by their rounding alone
        assert np.abs(layers.picture.tile((1, 0, 0))[0] - halved(colours)).max() <= 1
        assert np.abs(layers.alpha.tile((1, 0, 0)) - halved(alpha)).max() <= 1


@pytest.mark.release
def test_composites_are_those_of_the_session(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    cv2.imwrite(str(tmp_path / "behind.png"), np.full((150, 130, 3), (0, 0, 255), np.uint8))
    with running([picture], model, automatic=True, trimap=trimap, root=tmp_path) as (client, studio):
        assert studio.worker.wait(100)
        session = studio.find("1").session
        red = np.rint(session.composite("#ff0000") * 255)
        over_red = pixels(client.get(f"{ONE}/tiles/composite/0/0/0?background=ff0000")).astype(float)
        assert np.abs(over_red - red).mean() < 4  # JPEG
        assert client.put(f"{ONE}/settings", json={"background": "behind.png"}).status_code == 200
        assert np.array_equal(pixels(client.get(f"{ONE}/tiles/composite/0/0/0?background=picture")), over_red)
        cv2.imwrite(str(tmp_path / "smaller.png"), np.full((40, 90, 3), (0, 0, 255), np.uint8))
        assert client.put(f"{ONE}/settings", json={"background": "smaller.png"}).json()["background"] == "smaller.png"
        assert np.array_equal(pixels(client.get(f"{ONE}/tiles/composite/0/0/0?background=picture")), over_red)
        assert client.put(f"{ONE}/settings", json={"background": "picture.png"}).status_code == 200  # it was named
        checker = pixels(client.get(f"{ONE}/tiles/composite/0/0/0?background=checker"))
        assert abs(int(checker[8, 8, 0]) - 194) < 8 and abs(int(checker[8, 24, 0]) - 224) < 8
        assert pixels(client.get(f"{ONE}/tiles/foreground/0/0/0")).shape == (150, 130, 3)
        assert client.get(f"{ONE}/tiles/composite/0/0/0?background=nocolour").status_code == 400
        assert client.put(f"{ONE}/settings", json={"background": "/etc/passwd"}).status_code == 403


@pytest.mark.parametrize("place", ["0/1/0", "0/0/1", "1/0/0", "-1/0/0", "0/-1/0"])
def test_there_is_no_tile_outside_of_the_picture(shared, place):
    assert shared.get(f"{ONE}/tiles/picture/{place}").status_code == 404
    assert shared.get(f"{ONE}/tiles/nothing/0/0/0").status_code == 404


def test_strokes_undo_and_redo_are_those_of_a_session(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with running([picture], model, trimap=trimap) as (client, _):
        own = hdmatt.Session(str(picture), str(trimap), options=studio_scene.OPTIONS, network=model)
        box = own.paint(Stroke.of(BLOB))
        answer = client.post(f"{ONE}/strokes", json={**BLOB, "client": "one"}).json()
        assert answer["box"] == list(box) and (answer["undo"], answer["redo"]) == (1, 0)
        painted = labels(client.get(f"{ONE}/tiles/trimap/0/0/0"))
        assert np.array_equal(painted, own.trimap())
        undone = client.post(f"{ONE}/undo", json={"client": "one"}).json()
        assert undone["box"] == list(box) and undone["version"] > answer["version"] and undone["redo"] == 1
        assert np.array_equal(labels(client.get(f"{ONE}/tiles/trimap/0/0/0")), cv2.imread(str(trimap), 0))
        assert client.post(f"{ONE}/undo").json()["box"] is None
        client.post(f"{ONE}/redo")
        assert np.array_equal(labels(client.get(f"{ONE}/tiles/trimap/0/0/0")), painted)
        own.close()


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "spray", "label": 0, "points": [[1, 2, 3]]},
        {"kind": "brush", "label": 7, "points": [[1, 2, 3]]},
        {"kind": "brush", "label": 0, "points": []},
        {"kind": "brush", "label": 0, "points": [[1, 2]]},
        {"kind": "brush", "label": 0, "points": [[1, 2, 3]], "else": 1},
        {},
    ],
)
def test_what_is_no_stroke_is_a_mistake_with_a_hint(shared, body):
    answer = shared.post(f"{ONE}/strokes", json=body)
    assert answer.status_code == 400 and answer.json()["message"] and answer.json()["hint"]
    assert shared.post(f"{ONE}/strokes", content=b"{nonsense").status_code == 400
    assert shared.get(ONE).json()["undo"] == 0


def test_the_matte_follows_and_listeners_are_told_where(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with running([picture], model, automatic=True, trimap=trimap) as (client, studio):
        assert studio.worker.wait(100)
        session, before = studio.find("1").session, len(events(studio))
        client.post(f"{ONE}/strokes", json={**BLOB, "client": "one"})
        assert studio.worker.wait(100) and session.pending == 0 and not session.stale
        told = events(studio)[before:]
        assert [told[i]["layer"] for i in (0, 1)] == ["trimap", "alpha"] and told[0]["client"] == "one"
        patches = [event for event in told[2:] if event["type"] == "tiles"]
        assert patches and all(event["layer"] == "alpha" for event in patches)
        versions = [event["version"] for event in told if event["type"] == "tiles"]
        assert versions == sorted(versions)
        assert {"refresh", "matte"} <= {event["what"] for event in told if event["type"] == "progress"}
        assert told[-1]["type"] == "state" and told[-1]["pending"] == 0 and told[-1]["unsaved"]


@pytest.mark.release
def test_when_it_is_not_automatic_nothing_is_computed_until_it_is_asked_for(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with running([picture], model, automatic=True, trimap=trimap) as (client, studio):
        assert studio.worker.wait(100)
        assert not client.put(f"{ONE}/settings", json={"automatic": False, "near": [3, 4]}).json()["automatic"]
        client.post(f"{ONE}/strokes", json=BLOB)
        assert studio.worker.wait(100) and studio.find("1").session.pending > 0
        client.post(f"{ONE}/run")
        assert studio.worker.wait(100) and studio.find("1").session.pending == 0


@pytest.mark.release
def test_a_fault_of_ours_is_said_and_the_next_stroke_is_followed(model, tmp_path, monkeypatch):
    picture, trimap = studio_scene.files(tmp_path)
    monkeypatch.setattr(hdmatt.Session, "update", lambda *_, **__: 1 // 0)
    with running([picture], model, automatic=True, trimap=trimap) as (client, studio):
        assert studio.worker.wait(100)
        monkeypatch.undo()
        (said,) = [event for event in events(studio) if event["type"] == "error"]
        assert said["message"].startswith("internal error: ZeroDivisionError: ") and "report it" in said["hint"]
        client.post(f"{ONE}/strokes", json=BLOB)
        assert studio.find("1").near == (120, 70)  # what is near to it comes first
        assert studio.worker.wait(100) and studio.find("1").session.pending == 0


def test_what_is_still_to_be_computed_is_told_by_boxes(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with running([picture], model, trimap=trimap) as (client, _):
        found = client.get(f"{ONE}/waiting").json()
        assert found["old"] == [] and len(found["never"]) == 3  # one for each row of the grid


def test_a_cancelled_start_leaves_the_trimap_as_it_was(model, tmp_path, monkeypatch):
    picture, trimap = studio_scene.files(tmp_path)

    def rows(session, *, tell, **_):
        tell(0.5)
        begun = client.get(ONE).json()["works"]
        client.post(f"{ONE}/cancel")
        seen.extend([*begun, *client.get(ONE).json()["works"]])
        tell(0.6)
        yield np.zeros((session.height, session.width), np.uint8)

    seen: list[dict] = []
    monkeypatch.setattr(server, "mask_rows", rows)
    with running([picture], model, trimap=trimap) as (client, studio):
        answer = client.post(f"{ONE}/start", json={"alpha": True, "client": "one"})
        assert answer.status_code == 409 and answer.json()["message"] == "cancelled"
        assert studio.find("1").session.steps() == (0, 0)
        told = [(one["done"], one["of"]) for one in events(studio) if one.get("what") == "start"]
        assert told == [(0, 1), (0, 100), (50, 100), (50, 100)]
        half = {"what": "start", "client": "one", "done": 50, "of": 100}
        assert [{**work, "seconds_left": None} for work in seen] == [
            {**half, "seconds_left": None, "cancelled": cancelled} for cancelled in (False, True)
        ]
        assert client.get(ONE).json()["works"] == []
        monkeypatch.undo()
        assert client.post(f"{ONE}/band", json={"inside": 3, "outside": 3}).status_code == 200  # the next one runs
        assert {50, 99} & {one["done"] for one in events(studio) if one.get("what") == "band"}


def test_a_refusal_has_its_status_in_the_body_where_that_is_asked_for(shared):
    plain = shared.post(f"{ONE}/strokes", json={})
    asked = shared.post(f"{ONE}/strokes", json={}, headers={"x-status-in-body": "1"})
    assert (plain.status_code, asked.status_code) == (400, 200)
    assert asked.json() == {"refused": 400, **plain.json()}
    assert shared.get("/api/pictures/99", headers={"x-status-in-body": "1"}).json()["refused"] == 404


def test_facts_say_which_event_they_have_and_what_follows_can_be_asked_for(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with running([picture], model, trimap=trimap) as (client, studio):
        facts = client.get(ONE).json()
        client.post(f"{ONE}/strokes", json=BLOB)
        found = studio.find("1").events
        assert [number for number, _ in found.after(facts["event"])] == list(range(facts["event"] + 1, found.last + 1))
        found.close()
        told = client.get(f"{ONE}/events?after={facts['event']}").text
        assert f"id: {facts['event'] + 1}" in told and f"id: {found.last}" in told


def test_another_picture_is_opened_when_it_is_asked_for(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    (tmp_path / "other.png").write_bytes(b"no picture yet")
    with running([picture, tmp_path / "other.png"], model, trimap=trimap) as (client, studio):
        assert [one["name"] for one in client.get("/api/pictures").json()] == ["picture.png", "other.png"]
        assert len(studio.pictures()) == 1
        assert client.get("/api/pictures/2").status_code == 400
        shutil.copy(picture, tmp_path / "other.png")
        other = client.get("/api/pictures/2").json()
        assert other["name"] == "other.png" and len(studio.pictures()) == 2
        again = client.get(f"/api/pictures/{other['id']}").json()
        assert again["id"] == other["id"] and len(studio.pictures()) == 2, "it was opened twice"


def test_two_clients_see_the_same(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with running([picture], model, trimap=trimap) as (client, studio):
        client.post(f"{ONE}/strokes", json={**BLOB, "client": "one"})
        client.post(f"{ONE}/strokes", json={"kind": "fill", "label": 0, "points": [[75, 65, 0]], "client": "two"})
        told = [event["client"] for event in events(studio) if event.get("layer") == "trimap"]
        assert told == ["one", "two"]
        client.post(f"{ONE}/undo", json={"client": "one"})  # of whoever painted last
        assert client.get(f"{ONE}/label?y=75&x=65").json() == {"label": 255, "alpha": 1.0}
        assert client.get(f"{ONE}/label?y=150&x=65").status_code == 404


@pytest.mark.release
def test_the_old_matte_stays_beside_the_new_one(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path, 700, 600)
    with running([picture], model, automatic=True, trimap=trimap) as (client, studio):
        assert studio.worker.wait(100)
        old = [pixels(client.get(f"{ONE}/tiles/alpha/{level}/0/0")) for level in (0, 1)]
        client.post(f"{ONE}/mark")
        assert "before" in client.get(ONE).json()["views"]
        client.post(f"{ONE}/strokes", json={"kind": "brush", "label": 0, "points": [[350, 150, 40], [350, 450, 40]]})
        assert studio.worker.wait(100)
        for level in (0, 1):
            assert np.array_equal(pixels(client.get(f"{ONE}/tiles/before/{level}/0/0")), old[level])
            assert not np.array_equal(pixels(client.get(f"{ONE}/tiles/alpha/{level}/0/0")), old[level])


def test_an_export_can_have_every_option_of_outputs():
    assert {field.name for field in fields(hdmatt.Outputs)} <= set(ExportBody.model_fields)


@pytest.mark.release
def test_an_export_has_the_bytes_of_the_session_s(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    (tmp_path / "out").mkdir()
    with running([picture], model, trimap=trimap, output=tmp_path / "out") as (client, studio):
        client.post(f"{ONE}/strokes", json=BLOB)
        names = {"alpha": "a.png", "cutout": "c.png", "composite": "k.png", "psd": "l.psd", "layered": "l.exr"}
        how = {"matte_range": (0.1, 0.9), "invert": True, "clean": True, "plate": True}
        how |= {"despill": 1.0, "matte_for": "display"}  # the ground of the scene is blue
        body = {**names, **how, "background": "#ff0000", "trimap": "t.png", "foreground": "f.png"}
        assert client.post(f"{ONE}/export", json=body).status_code == 200
        assert studio.worker.wait(200)
        assert {"type": "exported", "files": ["a.png", "f.png", "c.png", "k.png", "l.psd", "l.exr", "t.png"]} in events(
            studio
        )
        assert not client.get(ONE).json()["unsaved"]
        own = tmp_path / "own"
        own.mkdir()
        wanted = {name: own / file for name, file in names.items()} | {"foreground": own / "f.png"}
        studio.find("1").session.export(hdmatt.Outputs(**wanted, **how, background="#ff0000"))
        for file in own.iterdir():
            assert file.read_bytes() == (tmp_path / "out" / file.name).read_bytes(), file.name
        assert np.array_equal(cv2.imread(str(tmp_path / "out" / "t.png"), 0), studio.find("1").session.trimap())
        answer = client.post(f"{ONE}/export", json={"alpha": "a.png"})
        assert answer.status_code == 400 and "exists already" in answer.json()["message"]
        assert client.post(f"{ONE}/export", json={"alpha": "a.png", "overwrite": True}).status_code == 200


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "sub/a.png", ".a.png", "", "a.xyz", "C:\\a.png"])
def test_files_are_written_into_the_folder_of_results_only(shared, name):
    assert shared.post(f"{ONE}/export", json={"alpha": name}).status_code == 400
    assert shared.post(f"{ONE}/save", json={"name": name}).status_code == 400


def test_the_picture_is_never_written_over(shared):
    assert shared.post(f"{ONE}/save", json={"name": "picture.png"}).status_code == 400
    assert shared.post(f"{ONE}/export", json={"alpha": "picture.png", "overwrite": True}).status_code == 400


@pytest.fixture
def exporting(model, tmp_path, monkeypatch):
    """A client, its studio and a folder of results; instead of a matte is written what is asked for."""

    def export(self, outputs, *, progress):
        progress(0, 2)
        for path in outputs.paths():
            path.write_bytes(b"made")
        progress(2, 2)

    monkeypatch.setattr("hdmatt.studio.session.Session.export", export)
    picture, trimap = studio_scene.files(tmp_path)
    (tmp_path / "out").mkdir()
    with running([picture], model, trimap=trimap, output=tmp_path / "out") as (client, studio):
        yield client, studio, tmp_path / "out"


def test_the_trimap_that_was_saved_here_is_replaced_and_no_other_file(exporting):
    client, studio, out = exporting
    assert client.post(f"{ONE}/save", json={"name": "mine.png", "overwrite": False}).status_code == 200
    assert client.post(f"{ONE}/save", json={"name": "mine.png", "overwrite": False}).status_code == 200
    assert client.post(f"{ONE}/export", json={"alpha": "a.png", "trimap": "mine.png"}).status_code == 200
    assert studio.worker.wait(60)
    (out / "mine.png").write_bytes(b"of somebody else")
    answer = client.post(f"{ONE}/export", json={"alpha": "a.png", "trimap": "mine.png"})
    assert answer.status_code == 400 and answer.json()["message"] == "a.png, mine.png exist already"
    assert "tick: Replace" in answer.json()["hint"]
    assert (out / "mine.png").read_bytes() == b"of somebody else"
    assert client.post(f"{ONE}/save", json={"name": "mine.png", "overwrite": False}).status_code == 400


def test_a_picture_that_changed_on_disk_is_neither_exported_nor_begun_with(exporting):
    client, studio, out = exporting
    path = studio.find("1").path
    old = path.stat()
    os.utime(path, (1, 1))
    for what, body in (("export", {"alpha": "a.png"}), ("band", {"inside": 3, "outside": 3})):
        answer = client.post(f"{ONE}/{what}", json=body)
        assert answer.status_code == 400 and "has changed on disk" in answer.json()["message"]
    assert not list(out.iterdir())
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))  # the old file is back
    assert client.post(f"{ONE}/export", json={"alpha": "a.png"}).status_code == 200
    assert studio.worker.wait(60)


def test_a_picture_that_changes_while_it_is_exported_leaves_no_trimap_and_says_so(exporting, monkeypatch):
    def export(self, outputs, *, progress):
        os.utime(self.path, (1, 1))
        progress(2, 2)

    monkeypatch.setattr("hdmatt.studio.session.Session.export", export)
    client, studio, out = exporting
    assert client.post(f"{ONE}/export", json={"alpha": "a.png", "trimap": "t.png"}).status_code == 200
    assert studio.worker.wait(60)
    said = [event["message"] for event in events(studio) if event["type"] == "error"]
    assert len(said) == 1 and "has changed on disk" in said[0]
    assert not list(out.iterdir()) and client.get(ONE).json()["works"] == []


def test_an_export_that_closing_cuts_off_is_named(exporting, monkeypatch):
    def export(self, outputs, *, progress):
        begun.set()
        while True:
            progress(0, 2)

    begun = threading.Event()
    monkeypatch.setattr("hdmatt.studio.session.Session.export", export)
    client, studio, out = exporting
    client.post(f"{ONE}/export", json={"alpha": "a.png", "trimap": "t.png"})
    assert begun.wait(60)
    assert studio.close() and studio.cut_off == ["picture.png"]
    assert not list(out.iterdir())


def test_an_export_that_ends_while_the_studio_closes_is_not_called_cut_off(exporting, monkeypatch):
    def export(self, outputs, *, progress):
        begun.set()
        assert go_on.wait(60)  # files are written: nobody looks any more whether it is to end
        for path in outputs.paths():
            path.write_bytes(b"made")

    begun, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr("hdmatt.studio.session.Session.export", export)
    client, studio, out = exporting
    client.post(f"{ONE}/export", json={"alpha": "a.png"})
    assert begun.wait(60)
    join = studio.worker.close
    monkeypatch.setattr(studio.worker, "close", lambda **given: (go_on.set(), join(**given))[1])
    assert studio.close() and studio.cut_off == [] and (out / "a.png").exists()


def test_a_file_that_comes_while_an_export_is_computed_is_not_replaced(exporting, monkeypatch):
    def export(self, outputs, *, progress):
        (out / "a.png").write_bytes(b"of somebody else")
        progress(2, 2)

    monkeypatch.setattr("hdmatt.studio.session.Session.export", export)
    client, studio, out = exporting
    assert client.post(f"{ONE}/export", json={"alpha": "a.png", "trimap": "t.png"}).status_code == 200
    assert studio.worker.wait(60)
    assert [event["message"] for event in events(studio) if event["type"] == "error"] == ["a.png exists already"]
    assert [path.name for path in out.iterdir()] == ["a.png"]


def test_what_of_a_kept_matte_was_not_computed_is_known(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with running([picture], model, trimap=trimap) as (client, _):
        client.post(f"{ONE}/mark")
        waiting = client.get(f"{ONE}/waiting").json()
        assert waiting["never"] and waiting["before"]["never"] == waiting["never"]


def test_a_saved_trimap_is_the_painted_one(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with running([picture], model, trimap=trimap) as (client, studio):
        client.post(f"{ONE}/strokes", json=BLOB)
        assert client.get(ONE).json()["unsaved"]
        assert client.post(f"{ONE}/save", json={"name": "painted.png"}).json() == {"file": "painted.png"}
        facts = client.get(ONE).json()
        assert not facts["unsaved"] and facts["trimap_file"] == "painted.png"
        assert np.array_equal(cv2.imread(str(tmp_path / "painted.png"), 0), studio.find("1").session.trimap())


def test_a_full_disk_is_said_and_the_trimap_is_as_it_was(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with running([picture], model, trimap=trimap) as (client, studio):
        session = studio.find("1").session
        base: sqlite3.Connection = session._journal._base
        base.execute(f"pragma max_page_count = {base.execute('pragma page_count').fetchone()[0]}")
        rng = np.random.default_rng(0)  # many small strokes fill the pages that there are
        for _ in range(30):
            before, path = session.trimap(), rng.uniform(0, 150, (200, 3)).tolist()
            body = {"kind": "brush", "label": int(rng.choice([0, 128, 255])), "points": [[y, x, 2] for y, x, _ in path]}
            answer = client.post(f"{ONE}/strokes", json=body)
            if answer.status_code != 200:
                break
        assert answer.status_code == 507 and "room on the disk" in answer.json()["hint"]
        assert np.array_equal(session.trimap(), before)


def test_a_disk_that_is_nearly_full_is_said_once(model, tmp_path, monkeypatch):
    picture, _ = studio_scene.files(tmp_path)
    with running([picture], model) as (_, studio):
        monkeypatch.setattr("hdmatt.studio.opened.free_bytes", lambda _: 3 * 2**20)
        for _ in range(2):
            studio.find("1").look()
        (said,) = [event for event in events(studio) if event["type"] == "error"]
        assert said["message"].startswith("only 3 MiB are left") and "Make room" in said["hint"]


def test_problems_are_boxes_to_jump_to(model, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with running([picture], model, trimap=trimap) as (client, _):
        client.post(f"{ONE}/strokes", json={"kind": "brush", "label": 128, "points": [[10, 10, 1]]})
        found = client.get(f"{ONE}/problems").json()
        (hole,) = [problem for problem in found if problem["name"] == "pinholes"]
        y0, x0, y1, x1 = hole["box"]
        assert y0 <= 9 < y1 and x0 <= 9 < x1 and hole["severity"] == "warning" and hole["text"]
        assert (hole["title"], hole["where"]) == ("a small unknown hole", "top left, 4 pixels")


def test_every_finding_with_a_place_has_words_for_it():
    source = inspect.getsource(check)
    names = set(re.findall(r'Finding\(\s*"([a-z-]+)"', source)) | {"pinholes", "specks", "islands"}
    without = {"inverted", "no-unknown", "no-foreground", "no-background", "mostly-unknown", "size"}
    assert names - without == set(TITLES)


def test_a_picture_that_changed_on_disk_is_noticed_once(model, tmp_path):
    picture, _ = studio_scene.files(tmp_path)
    with running([picture], model) as (_, studio):
        one = studio.find("1")
        one.look()
        assert {"type": "changed"} not in events(studio)
        picture.write_bytes(picture.read_bytes() + b"more")
        one.look()
        one.look()
        assert events(studio).count({"type": "changed"}) == 1
