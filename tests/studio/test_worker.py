"""hdmatt.studio.worker: what it tells of a long work, and how it ends in the middle of one."""

import threading

import pytest

from hdmatt.errors import InputError
from hdmatt.studio import worker
from hdmatt.studio.worker import Worker, _Phases


def test_a_refresh_is_told_as_one_share_of_its_phases():
    told = []
    phases = _Phases(lambda *values: told.append(values[:3]), 3)
    for step in ((1, 3), (3, 3), (1, 3), (3, 3), (3, 6), (6, 6)):
        phases.progress(*step)
    assert told == [("refresh", share, 100) for share in (11, 33, 44, 66, 83, 99)]


def test_nobody_waits_for_a_work_that_goes_on_when_the_studio_ends(monkeypatch):
    monkeypatch.setattr(worker, "_JOIN", 0.01)
    monkeypatch.setattr(worker, "_STEP", 0.01)
    one, began, go_on, ended = Worker(), threading.Event(), threading.Event(), threading.Event()

    def ask():
        with pytest.raises(InputError, match="the studio ends"):
            one.result(lambda: began.set() or go_on.wait(60))
        ended.set()

    threading.Thread(target=ask, daemon=True).start()
    assert began.wait(60)
    assert not one.close()
    assert ended.wait(60)
    go_on.set()
    monkeypatch.setattr(worker, "_JOIN", 60)
    assert one.close()
    with pytest.raises(InputError, match="the studio ends"):
        one.result(lambda: 1)


class _Patches:
    """A picture and its session, of patches that take as long as a stroke that comes in the middle of each."""

    def __init__(self, follow: Worker, strokes: int) -> None:
        self.session, self.automatic, self.near, self.ready = self, True, None, True
        self.known = self.refreshed = True
        self.stale, self.pending, self.log = False, 2, list[str]()
        self._follow, self._strokes = follow, strokes

    def update(self, near, *, stopped):
        while self.pending:
            if self._strokes:
                self._strokes -= 1
                self._follow.edited(self)
            if stopped():
                self.log.append("given up")
                return
            self.pending -= 1
            self.log.append("patch")
            yield near

    def computed(self, box): ...
    def progress(self, *values): ...
    def paused(self): ...
    def failed(self, error):
        raise error

    def look(self): ...


def test_a_patch_is_given_up_for_a_stroke_but_never_two_in_a_row():
    one = Worker(pause=0, rest=0)
    picture = _Patches(one, strokes=3)
    one.add(picture)
    assert one.wait(60)
    assert one.close()
    assert picture.log == ["given up", "patch", "given up", "patch"]


class _Followed(_Patches):
    """A picture that is switched off in the middle of its first patch."""

    def update(self, near, *, stopped):
        if self.automatic:
            self.automatic = False
            self._follow.stop(self)
        yield from super().update(near, stopped=stopped)


def test_a_picture_that_is_followed_no_more_is_let_be_until_somebody_asks():
    one = Worker(pause=0, rest=0)
    picture = _Followed(one, strokes=0)
    one.add(picture)
    assert one.wait(60)
    assert picture.log == ["given up"] and picture.pending == 2
    one.edited(picture)
    assert one.wait(60) and picture.pending == 2
    one.ask(picture)
    assert one.wait(60)
    assert one.close()
    assert picture.log == ["given up", "patch", "patch"]
