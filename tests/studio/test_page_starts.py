"""The studio's page in a real browser: beginning without a trimap, and what is said before work is lost."""

import os
import sqlite3
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright
from small_studio import BEHIND, CENTRE, HEIGHT, OBJECT, RADIUS, WIDTH, Window, launched, started

from hdmatt.pictures.box import Box
from hdmatt.studio import server

pytestmark = pytest.mark.release
INSIDE, OUTSIDE, EDGE = CENTRE, (60, 60), (CENTRE[0] - RADIUS + 4, CENTRE[1])
YELLOW, GREEN, BLUE = (255, 214, 0), (0, 200, 110), (40, 80, 255)
PLAIN, CUT = "1", "2"
FRAMES = "async () => { for (let n = 0; n < 9; n++) await new Promise((done) => requestAnimationFrame(done)); }"
NOTE = "document.getElementById('note').textContent"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def shared(folder) -> Iterator[Window]:
    with started(folder, ("plain.png", "cut.png")) as address, sync_playwright() as playwright:
        browser: Browser = launched(playwright)
        window = Window.opened(browser, address)
        yield window
        window.close()
        browser.close()


@pytest.fixture
def window(shared) -> Iterator[Window]:
    """The picture without a trimap, as it is first opened: the page asks where the object is."""
    yield from anew(shared, PLAIN)


def anew(shared: Window, picture: str) -> Iterator[Window]:
    shared.show(picture)
    shared.undo_all()
    if shared.page.locator("#start-dialog").is_hidden():  # what was undone could be done again
        shared.page.get_by_role("button", name="Start…").click()
    shared.complaints.clear()
    yield shared
    assert shared.complaints == []


def has(window: Window, place: tuple[int, int], label: int) -> bool:
    """Whether the server has a label at a place, and the page shows it: over grey the overlay is its colour."""
    below, colour = (OBJECT if place != OUTSIDE else BEHIND), {0: BLUE, 128: YELLOW, 255: GREEN}[label]
    seen = window.pixel(*place)
    away, nearer = (np.abs(np.subtract(colour, other)).sum() for other in (below, seen))
    return window.label(*place) == label and bool(nearer < away - 20)


def begin(window: Window, name: str) -> None:
    window.page.locator("#start-dialog").get_by_role("button", name=name).click()


def widen(window: Window, name: str, steps: int) -> None:
    """Answer what the page asks next: how wide the border is."""
    window.page.locator("#band-dialog").get_by_role("button", name=name).click()
    window.wait(f"studio.info.undo === {steps}")
    window.settle()


def is_cut_out(window: Window) -> bool:
    return has(window, INSIDE, 255) and has(window, OUTSIDE, 0) and has(window, EDGE, 128)


def test_from_a_box(window):
    begin(window, "A box")
    top, left = CENTRE[0] - RADIUS - 30, CENTRE[1] - RADIUS - 30
    window.stroke((top, left), (top + 2 * RADIUS + 60, left + 2 * RADIUS + 60))
    widen(window, "Use pixels", 2)
    assert is_cut_out(window)
    window.press("Control+z")
    assert not has(window, EDGE, 128)


def test_from_two_scribbles_and_the_automatic_border(window):
    begin(window, "Scribbles")
    find = window.page.get_by_role("button", name="Find the object")
    window.press("Digit3")
    window.stroke((CENTRE[0], CENTRE[1] - 60), (CENTRE[0], CENTRE[1] + 60))
    find.click()
    window.wait(f"{NOTE}.includes('strokes on both are needed')")
    window.page.locator("#note-close").click()
    window.press("Digit1")
    window.stroke((40, 100), (40, 900))
    find.click()
    window.page.locator("#band-dialog[open]").wait_for()
    assert window.label(*INSIDE) == 255 and window.label(*OUTSIDE) == 0
    assert window.label(CENTRE[0] + 100, CENTRE[1]) == 255  # beyond the strokes
    widen(window, "Automatic", 4)
    assert is_cut_out(window)
    assert window.page.locator("#scribbles").is_hidden()


def scribble_after_a_mask(window: Window) -> None:
    window.page.get_by_label("A mask file").fill("mask.png")
    begin(window, "Use")
    widen(window, "Not now", 1)
    window.page.get_by_role("button", name="Start…").click()
    begin(window, "Scribbles")
    window.wait("studio.info.undo === 2")  # what was found is taken away as one step


def test_scribbles_are_a_second_try_in_which_only_what_was_painted_counts(window):
    scribble_after_a_mask(window)
    assert window.label(*INSIDE) == window.label(*OUTSIDE) == 128
    window.press("Digit3")
    window.stroke((CENTRE[0], CENTRE[1] - 60), (CENTRE[0], CENTRE[1] + 60))
    window.press("Digit1")
    window.stroke((40, 100), (40, 900))
    window.page.get_by_role("button", name="Find the object").click()
    widen(window, "Not now", 5)
    assert has(window, INSIDE, 255) and has(window, OUTSIDE, 0)


def test_scribbles_that_are_cancelled_bring_the_trimap_back(window):
    scribble_after_a_mask(window)
    window.press("Digit1")
    window.stroke((40, 100), (40, 900))
    window.page.locator("#scribbles").get_by_role("button", name="Cancel").click()
    window.wait("studio.info.undo === 1")
    window.settle()
    assert has(window, INSIDE, 255) and has(window, OUTSIDE, 0)


def test_a_box_that_ends_near_the_picture_s_edge_ends_at_it(window, monkeypatch):
    def rows(session, *, box, **_):
        boxes.append(box)
        yield np.zeros((session.height, session.width), np.uint8)

    boxes: list[Box] = []
    monkeypatch.setattr(server, "mask_rows", rows)
    begin(window, "A box")
    stage = window.page.locator("#stage").bounding_box()
    assert stage["y"] <= window.at(0, 0)[1] and window.at(HEIGHT, 0)[1] <= stage["y"] + stage["height"]  # all is seen
    left, right = window.at(0, 0)[0] - stage["x"], stage["x"] + stage["width"] - window.at(0, WIDTH)[0]
    assert abs(left - right) < 2  # in the middle
    window.settle()
    window.page.evaluate(FRAMES)  # whatever follows the new size of the stage
    assert abs(window.at(0, 0)[0] - stage["x"] - left) < 1
    window.stroke((5, 250), (HEIGHT - 5, 750))
    widen(window, "Not now", 1)
    [(top, left, bottom, right)] = boxes
    assert (top, bottom) == (0, HEIGHT) and abs(left - 250) < 3 and abs(right - 750) < 3


def test_a_doubtful_object_is_said_where_the_next_step_is_asked(window, monkeypatch):
    def rows(session, *, tell, doubt, **_):
        doubt("it fills the whole box")
        yield np.zeros((session.height, session.width), np.uint8)

    monkeypatch.setattr(server, "mask_rows", rows)
    begin(window, "A box")
    window.stroke((100, 250), (600, 750))
    said = window.page.locator("#band-doubt")
    said.wait_for()
    assert said.text_content().startswith("The object may be wrong: it fills the whole box. Look at it first.")
    widen(window, "Not now", 1)
    window.wait(f"{NOTE}.includes('The object may be wrong: it fills the whole box')")


def test_a_start_says_how_far_it_is_and_can_be_cancelled(window, monkeypatch):
    def rows(session, *, tell, **_):
        tell(0.42)
        while not ended.wait(0.01):
            tell(0.42)  # raises once it is cancelled
        yield np.zeros((session.height, session.width), np.uint8)

    ended = threading.Event()
    monkeypatch.setattr(server, "mask_rows", rows)
    begin(window, "A box")
    window.page.mouse.move(*window.at(100, 250))
    window.page.mouse.down()
    window.page.mouse.move(*window.at(600, 750), steps=4)
    window.page.mouse.up()
    try:
        window.wait("document.getElementById('status').textContent.startsWith('Finding the object: 42 %')")
        window.page.get_by_role("button", name="Cancel", exact=True).click()
        window.wait("document.getElementById('said').textContent.includes('Cancelled')")
    finally:
        ended.set()
    assert window.ask("")["undo"] == 0
    assert window.page.locator("#cancel-work").is_hidden()


def test_from_a_mask_file(window):
    window.page.get_by_label("A mask file").fill("mask.png")
    begin(window, "Use")
    widen(window, "Not now", 1)
    assert has(window, EDGE, 255) and has(window, INSIDE, 255) and has(window, OUTSIDE, 0)


def test_a_mask_that_is_not_below_the_root_is_refused(window):
    window.page.get_by_label("A mask file").fill("/etc/hostname")
    begin(window, "Use")
    window.wait(f"{NOTE}.includes('may not be read')")
    assert window.ask("")["undo"] == 0


def test_from_the_picture_s_own_transparency(shared):
    for window in anew(shared, CUT):
        begin(window, "The picture's transparency")
        widen(window, "Use pixels", 2)
        assert is_cut_out(window)


def test_a_picture_without_transparency_does_not_offer_it(window):
    assert window.page.get_by_role("button", name="The picture's transparency").is_disabled()
    begin(window, "Nothing")


def test_from_nothing(window):
    begin(window, "Nothing")
    assert window.ask("")["known"] is False
    window.press("Digit3")
    window.stroke((CENTRE[0], CENTRE[1] - 60), (CENTRE[0], CENTRE[1] + 60))
    window.press("Digit1")
    window.stroke((60, 40), (60, 300))
    assert has(window, INSIDE, 255) and has(window, OUTSIDE, 0) and has(window, EDGE, 128)


def test_a_full_disk_is_said_and_the_stroke_waits_for_room(window, monkeypatch):
    begin(window, "Nothing")

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("hdmatt.studio.opened.free_bytes", lambda _: 3 * 2**20)
        window.wait(f"{NOTE}.includes('only 3 MiB are left on the disk')")
        window.page.locator("#note-close").click()
        patch.setattr("hdmatt.studio.journal.Journal._keep", full)
        window.press("Digit1")
        stroke_on_a_full_disk(window)
        assert window.label(60, 60) == 128
    window.wait(f"studio.server.waiting === 0 && {NOTE}.trim() === 'Close'")
    window.settle()
    assert has(window, OUTSIDE, 0)


def stroke_on_a_full_disk(window: Window) -> None:
    window.page.mouse.move(*window.at(60, 40))
    window.page.mouse.down()
    window.page.mouse.move(*window.at(60, 90), steps=4)
    window.page.mouse.up()
    window.wait(f"{NOTE}.includes('is full') && {NOTE}.includes('waits in this window')")


def test_a_picture_that_changed_on_disk_is_noticed(window, folder):
    begin(window, "Nothing")
    os.utime(folder / "plain.png", (1, 1))
    window.wait(f"{NOTE}.includes('The picture file changed on disk')")
