"""`hdmatt studio` as a program: killed in the middle of a stroke it goes on where it was."""

import http.client
import signal
import threading
from contextlib import suppress

import numpy as np
import pytest
import studio_scene
from studio_process import Running

import hdmatt

pytestmark = pytest.mark.release


def stroke(number):
    y, x = (number * 37) % 150, (number * 53) % 130
    return {"kind": "brush", "label": (0, 255)[number % 2], "points": [[y, x, 9], [x, y, 4]], "client": str(number)}


def replayed(picture, count):
    with hdmatt.Session(str(picture)) as session:
        for number in range(count):
            values = {name: value for name, value in stroke(number).items() if name != "client"}
            session.paint(hdmatt.Stroke.of(values))
        return session.trimap()


def test_a_killed_server_goes_on_and_ctrl_c_ends_it_cleanly(tmp_path):
    picture, _ = studio_scene.files(tmp_path)
    with Running(picture) as first:
        answered, error = killed_while_painting(first)
    assert error == ""
    with Running(picture) as again:
        goes_on(again, picture, answered)


def killed_while_painting(first):
    """Paint until it is killed; how many strokes were answered, and what it said."""
    first.json("PUT", "/api/pictures/1/settings", {"automatic": False})
    answered = 0

    def paint():
        nonlocal answered
        with suppress(OSError, http.client.HTTPException, AssertionError):
            while True:
                first.json("POST", "/api/pictures/1/strokes", stroke(answered))
                answered += 1

    painting = threading.Thread(target=paint)
    with first.answer("GET", "/api/pictures/1/events") as events:
        painting.start()
        while not (answered > 20 and b'"tiles"' in events.readline()):
            assert painting.is_alive()
        first.kill()
        painting.join()
    return answered, first.communicate()[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_the_middle_of_an_export_leaves_no_file_and_says_so(tmp_path, number, code):
    picture, trimap = studio_scene.files(tmp_path, 1500, 1400)
    out = tmp_path / "out"
    out.mkdir()
    with Running(picture, "--trimap", trimap, "-o", out) as running:
        running.json("PUT", "/api/pictures/1/settings", {"automatic": False})
        running.json("POST", "/api/pictures/1/export", {"alpha": "a.png", "cutout": "c.png", "trimap": "t.png"})
        while not any(path.name.startswith(".hdmatt-") for path in out.iterdir()):
            assert running.poll() is None
        running.send_signal(number)
        _, error = running.communicate(timeout=300)
    assert running.returncode == code
    assert error == "hdmatt: stopped while picture.png was exported; none of its files was written\n"
    assert list(out.iterdir()) == []


def goes_on(again, picture, answered):
    facts = again.json("GET", "/api/pictures/1")
    again.json("PUT", "/api/pictures/1/settings", {"automatic": False})
    # the stroke whose answer never came may have been kept, too
    assert answered <= facts["undo"] <= answered + 1 and facts["unsaved"]
    assert np.array_equal(again.trimap(), replayed(picture, facts["undo"]))
    again.json("POST", "/api/pictures/1/undo")
    assert np.array_equal(again.trimap(), replayed(picture, facts["undo"] - 1))
    with again.answer("GET", "/api/pictures/1/events"):  # an open stream must not keep it from stopping
        again.send_signal(signal.SIGINT)
        error = again.communicate(timeout=300)[1]
    assert again.returncode == 0 and error == ""
