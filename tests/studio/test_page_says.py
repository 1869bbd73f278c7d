"""The studio's page in a real browser: what it says, where that lies, and what is seen while it waits."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright
from small_studio import BACKDROP, BEHIND, CENTRE, HEIGHT, OBJECT, WIDTH, Window, launched, started

from hdmatt.studio import opened, server

pytestmark = pytest.mark.release
INSIDE, OUTSIDE = CENTRE, (60, 60)
STATUS = "document.getElementById('status').textContent"
NOTE, SAID = (f"document.getElementById('{name}')" for name in ("note", "said"))
REST = "Preview; export computes the final matte"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = launched(playwright)
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(folder) -> Iterator[str]:
    with started(folder) as found:
        yield found


@pytest.fixture(scope="module")
def shared(browser, address) -> Iterator[Window]:
    window = Window.opened(browser, address)
    yield window
    window.close()


@pytest.fixture
def window(shared) -> Iterator[Window]:
    shared.undo_all()
    shared.page.evaluate("studio.server.settings({ background: '' })")
    shared.show()
    shared.settle(computed=True)
    yield shared
    assert shared.complaints == []


def near(colour, wanted) -> bool:
    return bool(np.abs(np.subtract(colour, wanted, dtype=float)).max() <= 14)  # JPEG, and the picture's noise


class Held:
    """A work of the server that goes on until it is told to end, or cancelled."""

    def __init__(self, monkeypatch):
        self._over = threading.Event()
        monkeypatch.setattr(server, "mask_rows", self._rows)
        monkeypatch.setattr(opened, "run_export", self._export)

    def end(self):
        self._over.set()

    def _rows(self, session, *, tell, **_):
        tell(0.42)
        while not self._over.wait(0.01):
            tell(0.42)  # raises once it is cancelled
        yield np.zeros((session.height, session.width), np.uint8)

    def _export(self, session, export, progress):
        progress(3, 12)
        while not self._over.wait(0.01):
            progress(3, 12)


@pytest.fixture
def held(monkeypatch) -> Iterator[Held]:
    found = Held(monkeypatch)
    yield found
    found.end()


def test_every_window_says_what_runs_and_each_can_cancel_it(window, held):
    before = window.second()
    window.page.evaluate(
        "void studio.server.start({ alpha: true }).catch((error) => { window.refused = error.status; })"
    )
    later = window.second()  # opened in the middle of it
    for one in (window, before, later):
        one.wait(f"{STATUS}.startsWith('Finding the object: 42 %')")
        assert one.page.locator("#cancel-work").is_visible() and one.page.locator("#progress").is_visible()
    later.page.bring_to_front()
    later.page.locator("#cancel-work").click()
    for one in (window, before, later):
        one.wait(f"{STATUS} === '{REST}'")
        assert one.page.locator("#cancel-work").is_hidden() and one.page.locator("#progress").is_hidden()
    window.wait("window.refused === 409")
    before.page.close()
    later.page.close()


def test_an_export_is_what_the_line_says_until_it_is_over(window, held):
    window.page.get_by_label("Follow strokes").uncheck()
    window.press("Digit2")
    window.stroke((60, 150), (60, 250))  # patches wait
    window.wait(f"{STATUS}.endsWith('by Update (R)')")
    window.page.evaluate("studio.server.export({ alpha: 'held.png' })")
    window.wait(f"{STATUS}.startsWith('Export: 3 of 12 patches')")
    window.page.locator("#cancel-work").click()
    window.wait(f"{SAID}.textContent === 'The export was cancelled. No file was written.'")
    window.wait(f"{STATUS}.endsWith('by Update (R)')")
    window.page.get_by_label("Follow strokes").check()
    window.settle(computed=True)
    window.wait(f"{STATUS} === '{REST}'")


def test_notes_leave_by_themselves_and_let_the_pointer_through(window):
    window.page.evaluate("studio.view.zoomAtCentre(2)")
    window.page.evaluate("studio.notes.say('Something that was done.')")
    box = window.page.locator("#said").bounding_box()
    assert box
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    y, x = window.page.evaluate(
        """([x, y]) => { const { left, top } = document.getElementById("paint").getBoundingClientRect();
        return studio.view.toPicture(x - left, y - top); }""",
        list(middle),
    )
    window.press("Digit1")
    window.stroke((y, x), (y, x + 60))
    assert window.ask("")["undo"] == 1
    assert window.page.evaluate("String(getSelection())") == ""
    assert window.page.locator("#said").get_attribute("role") == "status"
    window.wait(f"{SAID}.hidden")


def test_a_warning_lies_outside_of_the_picture_which_stays_where_it_is(window):
    place, stage = window.at(*INSIDE), window.page.locator("#stage").bounding_box()
    window.page.evaluate("studio.notes.warn('action', 'Something could not be done.', 'Do it in another way.')")
    window.settle()
    note, smaller = (window.page.locator(name).bounding_box() for name in ("#note", "#stage"))
    assert note and smaller and stage
    assert note["y"] >= smaller["y"] + smaller["height"] and smaller["height"] < stage["height"]
    window.wait(f"Math.abs(studio.view.toScreen({INSIDE[0]}, {INSIDE[1]})[1] - {place[1] - stage['y']}) < 1")
    assert np.allclose(window.at(*INSIDE), place, atol=1)
    window.page.locator("#note-close").click()
    assert window.page.locator("#note").is_hidden()
    window.wait(f"Math.abs(studio.view.toScreen({INSIDE[0]}, {INSIDE[1]})[1] - {place[1] - stage['y']}) < 1")


def test_the_picture_stays_where_it_is_when_progress_or_the_panel_comes(window, held):
    place, stage = window.at(*INSIDE), window.page.locator("#stage").bounding_box()
    window.page.evaluate("studio.server.export({ alpha: 'held.png' })")
    window.wait(f"{STATUS}.startsWith('Export: 3 of 12 patches')")
    assert window.page.locator("#stage").bounding_box() == stage
    held.end()
    window.wait(f"{STATUS} === 'Exported: held.png'")  # until the next stroke
    window.press("KeyP")
    window.wait(f"document.getElementById('stage').clientWidth > {stage['width']}")
    window.settle()
    assert np.allclose(window.at(*INSIDE), place, atol=1)


def test_a_view_stays_until_all_of_the_next_one_is_there(window):
    page, waiting = window.page, []
    before = window.pixel(*OUTSIDE)
    page.route("**/tiles/alpha/**", lambda route: waiting.append(route))
    page.keyboard.press("Shift+Digit2")
    page.wait_for_selector("#loading:not([hidden])")
    assert page.locator("#loading").inner_text() == "Alpha: loading…"
    assert near(window.pixel(*OUTSIDE), before)
    while waiting:
        assert near(window.pixel(*OUTSIDE), before)
        waiting.pop().continue_()
        window.pixel(*INSIDE)  # whatever came is drawn
    page.unroute("**/tiles/alpha/**")
    window.settle()
    assert page.locator("#loading").is_hidden()
    assert near(window.pixel(*OUTSIDE), (0, 0, 0)) and near(window.pixel(*INSIDE), (255, 255, 255))


def test_the_split_line_shows_nothing_grey_where_it_is_dragged(window):
    window.set("view", "white")
    window.set("splitView", "black")
    window.press("KeyS")
    for at in (0.9, 0.1):
        window.page.evaluate(f"studio.state.set('splitAt', {at})")
        seen = window.pixel(*OUTSIDE), window.pixel(60, WIDTH - 60)  # at once, without waiting for tiles
        x = [window.at(*place)[0] / 1280 for place in (OUTSIDE, (60, WIDTH - 60))]
        assert x[0] < x[1]
        assert near(seen[0], (255, 255, 255)) or near(seen[0], (0, 0, 0))
        assert near(seen[1], (0, 0, 0)) or near(seen[1], (255, 255, 255))
    window.set("splitAt", 0.5)


def test_over_a_picture_asks_for_one_and_a_refused_one_changes_nothing(window):
    page = window.page
    window.set("view", "white")
    page.evaluate("document.dispatchEvent(new PointerEvent('pointerdown'))")  # as by mouse
    page.locator("#view").focus()
    page.select_option("#view", "picture")
    assert page.evaluate("document.activeElement.id") == "background-file"
    page.locator("#paint").focus()
    window.press("Shift+Digit7")
    assert page.input_value("#view") == "white"
    assert page.evaluate("document.activeElement.id") == "background-file"
    page.keyboard.type("nothing.png")
    page.keyboard.press("Enter")
    window.wait("document.getElementById('background-problem').textContent.includes('nothing.png may not be read')")
    assert page.input_value("#background-file") == "" and page.input_value("#view") == "white"
    assert near(window.pixel(*OUTSIDE), (255, 255, 255))
    page.fill("#background-file", "small.png")
    page.keyboard.press("Enter")
    window.wait("studio.state.get('view') === 'picture'")
    window.settle()
    assert page.locator("#background-problem").is_hidden()
    for place in (OUTSIDE, (HEIGHT - 40, WIDTH - 40)):
        assert near(window.pixel(*place), BACKDROP)
    assert near(window.pixel(*INSIDE), OBJECT)
    second = window.second()  # it is the server's: other windows know it
    assert second.page.input_value("#background-file") == "small.png"
    second.page.close()


def test_a_stroke_that_waits_ends_at_the_picture_s_rim(window):
    page, waiting = window.page, []
    window.set("strength", 60)
    beside = window.pixel(-20, 300)
    page.route("**/strokes", lambda route: waiting.append(route))
    page.keyboard.press("Digit3")
    page.mouse.move(*window.at(10, 200))
    page.mouse.down()
    page.mouse.move(*window.at(-10, 300), steps=4)
    page.mouse.move(*window.at(10, 400), steps=4)
    page.mouse.up()
    assert near(window.pixel(-20, 300), beside)
    assert not near(window.pixel(8, 300), BEHIND)
    waiting.pop().continue_()
    page.unroute("**/strokes")
    window.settle()


@pytest.mark.parametrize("size", [(1280, 720), (1280, 500), (390, 844)])
def test_the_buttons_of_a_dialog_are_always_seen(browser, address, size):
    window = Window.opened(browser, address, viewport={"width": size[0], "height": size[1]})
    window.page.evaluate("document.getElementById('export-dialog').querySelector('details').open = true")
    window.page.evaluate("void studio.export.open('picture', 'folder')")
    for name in ("#export-go", "#export-dialog button[value=cancel]"):
        box = window.page.locator(name).bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= size[1] and box["x"] + box["width"] <= size[0]
    window.page.locator("#export-low").scroll_into_view_if_needed()
    window.close()


def test_a_telephone_s_rows_say_that_there_is_more(browser, address):
    window = Window.opened(browser, address, has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    for row in ("header", "#tools"):
        before, after = (window.page.locator(f"{row} > .arrow").nth(n) for n in (0, 1))
        assert before.is_hidden() and after.is_visible()
        end = f"document.querySelector('{row}')"
        for _ in range(4):  # smoothly, as a finger would
            start = window.page.evaluate(f"{end}.scrollLeft")
            after.dispatch_event("click")
            window.wait(f"{end}.scrollLeft > {start} || {end}.scrollLeft + {end}.clientWidth > {end}.scrollWidth - 2")
        window.page.evaluate(f"{end}.scrollLeft = {end}.scrollWidth")
        window.wait(f"{end}.lastElementChild.hidden")
        assert before.is_visible()
    window.close()


def test_dialogs_keep_the_focus_and_give_it_back(window):
    for name in ("Start…", "Border…", "Export…", "Help: all keys"):
        button = window.page.get_by_role("button", name=name)
        button.focus()
        window.page.keyboard.press("Enter")
        window.wait("document.querySelector('dialog[open]')")
        for _ in range(40):
            window.page.keyboard.press("Tab")
            assert window.page.evaluate(
                "document.activeElement === document.body || Boolean(document.activeElement.closest('dialog[open]'))"
            )
        window.page.keyboard.press("Escape")
        assert button.evaluate("(element) => element === document.activeElement")


def test_the_list_of_keys_can_be_read_to_its_end(browser, address):
    for width, height in ((1280, 720), (390, 844)):
        window = Window.opened(browser, address, viewport={"width": width, "height": height})
        window.page.locator("#paint").focus()
        window.page.keyboard.press("?")
        last = window.page.locator("#help-list tr").last
        last.scroll_into_view_if_needed()
        box = last.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= height
        window.close()


def test_every_other_key_does_what_the_list_says(window):
    page = window.page
    state = lambda name: page.evaluate(f"studio.state.get('{name}')")  # noqa: E731
    place = lambda: np.array(window.at(*INSIDE))  # noqa: E731
    scale = lambda: page.evaluate("studio.view.scale")  # noqa: E731
    page.locator("#paint").focus()
    whole, first = scale(), place()
    window.press("Equal")
    window.wait(f"Math.abs(studio.view.scale - {1.5 * whole}) < 0.01")
    window.press("Minus")
    window.wait(f"Math.abs(studio.view.scale - {whole}) < 0.01")
    for key, moved in (("ArrowLeft", (80, 0)), ("ArrowRight", (0, 0)), ("ArrowUp", (0, 80)), ("ArrowDown", (0, 0))):
        window.press(key)
        assert np.allclose(place(), first + moved, atol=2), key
    window.press("Digit9")
    window.wait("Math.abs(studio.view.scale - 1) < 0.01")
    window.press("Digit0")
    window.wait(f"Math.abs(studio.view.scale - {whole}) < 0.01")
    for key, name in (("KeyT", "trimap"), ("KeyS", "split"), ("KeyP", "panel"), ("KeyA", "automatic")):
        before = str(state(name)).lower()
        window.press(key)
        window.wait(f"String(studio.state.get('{name}')) !== '{before}'")
        window.press(key)
        window.wait(f"String(studio.state.get('{name}')) === '{before}'")
    window.press("KeyV", "Shift+KeyV")
    assert state("view") == "overlay"
    page.mouse.move(*window.at(60, 150))
    page.mouse.down()
    page.mouse.move(*window.at(60, 250), steps=4)
    window.press("Escape")
    page.mouse.up()
    window.settle()
    assert window.ask("")["undo"] == 0
    window.press("Control+e")
    assert page.locator("#export-dialog").is_visible()
    window.press("Escape")


def test_the_other_end_of_a_pen_paints_as_the_right_button(window):
    window.press("Digit3")
    x, y = window.at(60, 200)
    window.page.evaluate(
        """([x, y]) => { const canvas = document.getElementById("paint");
        const { left, top } = canvas.getBoundingClientRect();
        canvas.setPointerCapture = () => {};
        for (const [kind, dx] of [["pointerdown", 0], ["pointermove", 20], ["pointerup", 20]]) {
            canvas.dispatchEvent(new PointerEvent(kind, { pointerId: 7, pointerType: "pen", button: 5, buttons: 32,
                pressure: 1, clientX: x + dx, clientY: y, bubbles: true })); } }""",
        [x, y],
    )
    window.settle()
    assert window.label(60, 205) == 128
