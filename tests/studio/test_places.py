"""hdmatt.studio.places and cli.studio: where journals lie, what may be read, and what is said at the start."""

import importlib.util
import os
import socket
from pathlib import Path

import pytest
import small_network
import studio_scene
from studio_scene import BLOB, running

from hdmatt.cli.main import main
from hdmatt.cli.studio import _listen_for
from hdmatt.errors import InputError, OutputError
from hdmatt.studio import places
from hdmatt.studio.places import below, journal_of, port_of
from hdmatt.studio.studio import Studio


def test_a_journal_lies_beside_its_picture_or_in_the_user_s_folder(tmp_path, monkeypatch):
    picture, _ = studio_scene.files(tmp_path)
    environment = {"XDG_STATE_HOME": str(tmp_path / "state")}
    assert journal_of(picture, environment) == tmp_path / ".picture.png.hdmatt-journal"
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    elsewhere = journal_of(picture, environment)
    assert elsewhere.parent == tmp_path / "state" / "hdmatt" / "journals" and elsewhere.parent.is_dir()
    (tmp_path / "sub").mkdir()
    assert journal_of(tmp_path / "sub" / "picture.png", environment) != elsewhere


def test_only_files_below_a_folder_are_below_it(tmp_path):
    (tmp_path / "root" / "sub").mkdir(parents=True)
    for name in ("root/a.png", "root/sub/b.png", "c.png"):
        (tmp_path / name).touch()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    root = tmp_path / "root"
    assert below(root, "a.png") == root / "a.png" and below(root, str(root / "sub" / "b.png")) == root / "sub/b.png"
    for path in ("../c.png", "out/c.png", str(tmp_path / "c.png"), "sub", "nothing", "\0"):
        assert below(root, path) is None, path
    assert below(None, "a.png") is None


@pytest.mark.release
def test_strokes_are_there_again_and_a_studio_without_any_leaves_nothing(tmp_path):
    picture, _ = studio_scene.files(tmp_path)
    model = small_network.network()
    with running([picture], model), pytest.raises(InputError, match="another studio"):
        Studio([picture])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["picture.png", "trimap.png"]
    with running([picture], model) as (client, studio):
        client.put("/api/pictures/1/settings", json={"automatic": False})
        client.post("/api/pictures/1/strokes", json={**BLOB, "label": 0})
        painted = studio.find("1").session.trimap()
    with running([picture], model) as (client, studio):
        facts = client.get("/api/pictures/1").json()
        assert (facts["undo"], facts["unsaved"]) == (1, True)
        assert (studio.find("1").session.trimap() == painted).all()


def test_without_its_packages_the_studio_says_what_to_install(tmp_path, monkeypatch, capsys):
    picture, _ = studio_scene.files(tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "uvicorn" else found(name, *a))
    assert main(["studio", str(picture)]) == 2
    said = capsys.readouterr().err
    assert "needs uvicorn" in said and "pip install 'hdmatt[studio]'" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.png"], "nothing.png"),
        (["picture.png", "--root", "nothing"], "is no folder"),
        (["picture.png", "--host", "no.such.host.invalid"], "nothing can listen on"),
        (["picture.png", "--trimap", "picture.png"], "colour picture"),
    ],
)
def test_what_cannot_be_opened_is_said_at_the_start(tmp_path, monkeypatch, capsys, arguments, said):
    studio_scene.files(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["studio", "--no-browser", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_picture_s_server_takes_the_same_port_each_time():
    ports = [port_of(Path(name)) for name in ("/pictures/one.png", "/pictures/two.png", "/pictures/one.png")]
    assert ports[0] == ports[2] != ports[1] and all(30000 <= port < 32000 for port in ports)


def test_where_the_picture_s_own_port_is_taken_its_server_takes_another(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(places, "port_of", lambda _: port)
        with _listen_for(Path("picture.png"), "127.0.0.1", None) as listening:
            assert listening.getsockname()[1] not in (0, port)
        with pytest.raises(OutputError, match="nothing can listen"):
            _listen_for(Path("picture.png"), "127.0.0.1", port)
    with _listen_for(Path("picture.png"), "127.0.0.1", None) as listening:
        assert listening.getsockname()[1] == port
