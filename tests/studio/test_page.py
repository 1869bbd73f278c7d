"""The studio's page in a real browser: Debian's Chromium, driven by Playwright, against the real server."""

import shutil
import time
from collections.abc import Iterator

import numpy as np
import pytest
import studio_scene
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from small_studio import BACKDROP, BEHIND, CENTRE, LONGEST, OBJECT, RADIUS, Window, launched, started
from studio_process import Running

pytestmark = pytest.mark.release
INSIDE, OUTSIDE, EDGE = CENTRE, (60, 60), (CENTRE[0] - RADIUS + 4, CENTRE[1])
STATUS = "document.getElementById('status').textContent"
NEAR = 14  # of 255: JPEG, and the picture's noise
YELLOW, GREEN, BLUE = np.array((255, 214, 0)), np.array((0, 200, 110)), np.array((40, 80, 255))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def address(folder) -> Iterator[str]:
    with started(folder) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = launched(playwright)
        yield found
        found.close()


@pytest.fixture(scope="module")
def shared(browser, address) -> Iterator[Window]:
    window = Window.opened(browser, address)
    yield window
    window.close()


@pytest.fixture
def window(shared) -> Iterator[Window]:
    """The first picture as it was opened, seen as a whole."""
    shared.undo_all()
    shared.show()
    shared.complaints.clear()  # of a test before
    yield shared
    assert shared.complaints == []


def near(colour, wanted) -> bool:
    return bool(np.abs(np.subtract(colour, wanted, dtype=float)).max() <= NEAR)


def shows(window, place, colour) -> bool:
    """Whether a place comes to be seen in a colour."""
    end = time.monotonic() + LONGEST / 1000
    while time.monotonic() < end:
        if near(window.pixel(*place), colour):
            return True
    return False


def towards(before, after, colour) -> bool:
    """Whether a pixel came nearer to a colour."""
    return np.abs(np.subtract(colour, after)).sum() < np.abs(np.subtract(colour, before)).sum() - 20


def test_a_stroke_changes_overlay_and_matte_and_can_be_undone(window):
    place = (60, 200)
    window.press("Digit3")
    before = window.pixel(*place)
    window.stroke((60, 150), (60, 250))
    assert window.label(*place) == 255
    assert towards(before, window.pixel(*place), GREEN)
    window.set("view", "alpha")
    assert shows(window, place, (255, 255, 255))
    window.press("Control+z")
    assert window.label(*place) == 0
    assert shows(window, place, (0, 0, 0))
    window.press("Control+Shift+z")
    assert shows(window, place, (255, 255, 255))
    window.press("Control+z", "Control+y")
    assert window.label(*place) == 255


def test_the_matte_is_computed_again_where_something_became_unknown(window):
    window.set("view", "alpha")
    window.settle(computed=True)
    before = window.ask("/label?y=350&x=500")["alpha"]
    window.stroke((350, 460), (350, 540))  # unknown, inside of the object
    window.settle(computed=True)
    after = window.ask("/label?y=350&x=500")["alpha"]
    assert before == 1
    assert after != 1  # this small network was never trained: any other value is the network's
    window.page.evaluate("studio.view.show([340, 490, 360, 510])")  # each pixel by itself: this matte is noisy
    window.settle()
    assert abs(window.pixel(350, 500)[0] - after * 255) < 40  # JPEG


def test_the_right_button_paints_unknown_or_background(window):
    window.press("Digit3")
    window.stroke((60, 150), (60, 250), button="right")
    assert window.label(60, 200) == 128
    window.press("Digit2")
    window.stroke((350, 480), (350, 520), button="right")
    assert window.label(350, 500) == 0


def test_a_pen_paints_as_wide_as_it_is_pressed(window):
    window.press("Digit3")
    window.set("size", 80)
    pen = window.page.context.new_cdp_session(window.page)
    for y, force in ((60, 0.2), (640, 1.0)):
        x0, at_y = window.at(y, 100)
        send = lambda kind, x, at_y=at_y, force=force: pen.send(  # noqa: E731
            "Input.dispatchMouseEvent",
            {"type": kind, "x": x, "y": at_y, "button": "left", "buttons": 1, "force": force, "pointerType": "pen"},
        )
        send("mousePressed", x0)
        for step in range(1, 6):
            send("mouseMoved", x0 + 10 * step)
        send("mouseReleased", x0 + 50)
        window.settle()
    assert [window.label(60 + off, 130) for off in (0, 5, 14, 30)] == [255, 255, 0, 0]
    assert [window.label(640 - off, 130) for off in (0, 5, 14, 30)] == [255] * 4


def test_lasso_fill_and_widen(window):
    window.press("Digit3", "KeyL")
    window.stroke((40, 40), (40, 140), (120, 140), (120, 40))
    assert [window.label(80, 90), window.label(80, 160)] == [255, 0]
    window.press("KeyF", "Digit2")
    window.page.mouse.click(*window.at(80, 90))
    window.settle()
    assert [window.label(80, 90), window.label(80, 160)] == [128, 0]
    window.press("KeyW")
    window.set("size", 120)
    window.set("amount", 20)
    window.stroke((80, 140), (82, 140))
    assert [window.label(80, 150), window.label(80, 170)] == [128, 0]  # within 20 pixels, and beyond


def test_shift_click_paints_a_straight_line_from_the_last_place(window):
    window.press("Digit3")
    window.page.mouse.click(*window.at(60, 60))
    window.page.keyboard.down("Shift")
    window.page.mouse.click(*window.at(60, 300))
    window.page.keyboard.up("Shift")
    window.settle()
    assert window.label(60, 180) == 255


def test_a_long_stroke_is_sent_in_pieces(window):
    window.press("Digit3")
    x, y = window.at(60, 60)
    window.page.mouse.move(x, y)
    window.page.mouse.down()
    window.page.evaluate(
        """([x, y]) => { const canvas = document.getElementById("paint");
        for (let n = 0; n < 4500; n++) canvas.dispatchEvent(new PointerEvent("pointermove", {
            pointerId: 1, pointerType: "mouse", clientX: x + n % 200, clientY: y + n % 2, buttons: 1 })); }""",
        [x, y],
    )
    window.page.mouse.up()
    window.settle()
    assert window.label(*(int(value) for value in (60, 150))) == 255
    assert window.ask("")["undo"] == 1  # the later pieces changed nothing any more


def test_the_brush_grows_and_shrinks_from_1_to_5000_pixels(window):
    size = lambda: window.page.evaluate("studio.state.get('size')")  # noqa: E731
    window.page.mouse.move(*window.at(*INSIDE))
    window.set("size", 60)
    window.press("BracketRight")
    assert size() == 75
    window.press("Comma")
    assert size() == 60
    window.page.keyboard.down("Control")
    window.page.mouse.wheel(0, -100)
    window.page.keyboard.up("Control")
    window.wait("studio.state.get('size') === 66")
    window.page.keyboard.down("Alt")
    window.stroke(INSIDE, (INSIDE[0], INSIDE[1] + 200))
    window.page.keyboard.up("Alt")
    assert size() > 150
    window.press(*["BracketLeft"] * 40)
    assert size() == 1
    window.press(*["BracketRight"] * 60)
    assert size() == 5000
    assert window.ask("")["undo"] == 0
    window.set("size", 60)


@pytest.mark.parametrize(
    ("number", "name", "inside", "outside"),
    [
        (2, "alpha", (255, 255, 255), (0, 0, 0)),
        (3, "black", OBJECT, (0, 0, 0)),
        (4, "white", OBJECT, (255, 255, 255)),
        (5, "colour", OBJECT, (216, 210, 200)),
        (6, "checker", OBJECT, None),
        (7, "picture", OBJECT, BACKDROP),
        (8, "foreground", OBJECT, None),
    ],
)
def test_every_view_shows_what_it_says(window, number, name, inside, outside):
    if name == "picture":
        window.page.fill("#background-file", "backdrop.png")
        window.page.keyboard.press("Tab")
        window.wait("studio.state.get('view') === 'picture'")
        window.page.locator("#paint").focus()
    window.press(f"Shift+Digit{number}")
    assert window.page.input_value("#view") == name
    assert shows(window, INSIDE, inside)
    outside_is = window.pixel(*OUTSIDE)
    assert outside is None or near(outside_is, outside)
    assert not near(outside_is, BEHIND)
    window.page.keyboard.down("KeyO")
    window.settle()
    assert shows(window, OUTSIDE, BEHIND)
    window.page.keyboard.up("KeyO")
    window.settle()
    assert not near(window.pixel(*OUTSIDE), BEHIND)


def test_the_overlay_shows_all_labels_and_its_strength(window):
    for place, below, colour in ((INSIDE, OBJECT, GREEN), (OUTSIDE, BEHIND, BLUE), (EDGE, OBJECT, YELLOW)):
        assert towards(below, window.pixel(*place), colour)
    window.set("strength", 0)
    assert shows(window, INSIDE, OBJECT)


def test_v_goes_through_all_views(window):
    window.page.evaluate("studio.server.settings({ background: 'backdrop.png' })")
    window.wait("studio.info.background === 'backdrop.png'")
    names = [window.page.input_value("#view")]
    for _ in range(8):
        window.press("KeyV")
        names.append(window.page.input_value("#view"))
    assert len(set(names)) == 8
    assert names[0] == names[8]


def test_the_split_shows_two_views_and_its_line_can_be_dragged(window):
    left, right = (350, 400), (350, 600)
    window.press("KeyS")
    window.set("view", "white")
    window.set("splitView", "alpha")
    assert shows(window, left, OBJECT)
    assert shows(window, right, (255, 255, 255))
    box = window.page.locator("#split").bounding_box()
    window.page.mouse.move(box["x"] + box["width"] / 2, 200)
    window.page.mouse.down()
    window.page.mouse.move(window.at(350, 700)[0], 200, steps=4)
    window.page.mouse.up()
    assert shows(window, right, OBJECT)
    window.page.locator("#split").focus()
    window.press(*["ArrowLeft"] * 25)
    assert shows(window, left, (255, 255, 255))


def test_a_view_that_changes_while_it_is_loaded_is_shown(window):
    """As when it is chosen while patches are computed: each of them touches its tiles."""
    window.page.evaluate(
        """async () => {
            studio.state.set("view", "white");
            for (let n = 0; n < 40; n++) {
                studio.view.dirty("alpha", [0, 0, 700, 1100]);
                await new Promise((done) => setTimeout(done, 25));
            }
        }"""
    )
    window.wait("studio.view.shown.left === 'white' && studio.view.settled")
    assert window.page.locator("#loading").is_hidden()


def test_the_kept_matte_is_compared_with_the_new_one(window):
    window.press("KeyK")
    window.wait("studio.state.get('split')")
    window.set("splitAt", 0.98)
    window.press("Digit3")
    window.stroke((60, 150), (60, 250))
    assert shows(window, (60, 200), (255, 255, 255))
    window.set("splitAt", 0.02)
    assert shows(window, (60, 200), (0, 0, 0))


def test_space_and_middle_button_move_the_picture_and_the_wheel_zooms(window):
    scale = lambda: window.page.evaluate("studio.view.scale")  # noqa: E731
    x, y = window.at(*INSIDE)
    first = scale()
    window.page.mouse.move(x, y)
    window.page.mouse.wheel(0, -300)
    window.wait(f"studio.view.scale > {1.3 * first}")
    moved = window.at(*INSIDE)
    assert np.allclose(moved, (x, y), atol=2)  # the place under the pointer stays
    window.page.keyboard.down("Space")
    window.stroke(INSIDE, (INSIDE[0] + 40, INSIDE[1] + 50))
    window.page.keyboard.up("Space")
    assert np.allclose(window.at(*INSIDE), (x + 50 * scale(), y + 40 * scale()), atol=3)
    window.stroke(INSIDE, (INSIDE[0] + 40, INSIDE[1] + 50), button="middle")
    assert np.allclose(window.at(*INSIDE), (x + 100 * scale(), y + 80 * scale()), atol=5)
    window.press("Digit0")
    window.wait(f"Math.abs(studio.view.scale - {first}) < 1e-3")
    assert window.ask("")["undo"] == 0


def test_fingers_move_and_zoom_and_paint_only_where_that_is_on(browser, address):
    window = Window.opened(browser, address, has_touch=True, viewport={"width": 820, "height": 1180})
    touch = window.page.context.new_cdp_session(window.page)

    def fingers(kind, *points):
        found = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": found})

    def drag():
        x, y = window.at(60, 200)
        fingers("touchStart", (x, y))
        for step in range(1, 6):
            fingers("touchMove", (x + 10 * step, y))
        fingers("touchEnd")
        window.settle()
        return x, y

    x, y = drag()
    assert np.allclose(window.at(60, 200), (x + 50, y), atol=3)
    assert window.ask("")["undo"] == 0
    window.page.get_by_label("Finger paints").check()
    window.page.locator("label.foreground").click()
    drag()
    assert window.label(60, 210) == 255
    scale = window.page.evaluate("studio.view.scale")
    x, y = window.at(*INSIDE)
    fingers("touchStart", (x - 40, y))
    fingers("touchMove", (x - 45, y))  # a stroke has begun
    fingers("touchStart", (x - 45, y), (x + 40, y))
    for step in range(1, 6):
        fingers("touchMove", (x - 45 - 10 * step, y), (x + 40 + 10 * step, y))
    fingers("touchEnd")
    window.settle()
    assert window.page.evaluate("studio.view.scale") > 1.5 * scale
    assert window.ask("")["undo"] == 1
    window.undo_all()
    assert window.complaints == []
    window.close()


def test_a_telephone_shows_the_picture_and_every_tool(browser, address):
    window = Window.opened(browser, address, has_touch=True, is_mobile=True, viewport={"width": 360, "height": 740})
    assert window.page.evaluate("document.documentElement.scrollWidth") == 360
    stage, tools = (window.page.locator(name).bounding_box() for name in ("#stage", "#tools"))
    assert stage and stage["width"] == 360 and stage["height"] > 370
    assert tools and tools["y"] >= stage["y"] + stage["height"]
    window.page.get_by_label("Finger paints").tap()
    window.page.locator("label.foreground").tap()
    window.page.touchscreen.tap(*window.at(60, 200))
    window.settle()
    assert window.label(60, 200) == 255
    window.page.locator("#undo").tap()
    window.wait("studio.info.undo === 0")
    for name in ("Panel", "Border…", "Export…"):
        button = window.page.get_by_role("button", name=name)
        button.scroll_into_view_if_needed()
        size = button.bounding_box()
        assert size and size["height"] >= 44 and size["x"] >= 0 and size["x"] + size["width"] <= 360
    window.page.get_by_role("button", name="Panel").tap()
    panel = window.page.locator("#panel").bounding_box()
    assert panel and panel["x"] >= 0 and panel["x"] + panel["width"] <= 360
    assert window.complaints == []
    window.close()


@pytest.fixture
def unfollowed(window) -> Iterator[Window]:
    """A stroke that the matte does not follow: its patch was never computed."""
    window.settle(computed=True)
    window.page.get_by_label("Follow strokes").uncheck()
    window.wait("studio.info.automatic === false")
    window.press("Digit2")
    window.stroke(OUTSIDE, (OUTSIDE[0], OUTSIDE[1] + 30))
    yield window
    window.page.get_by_label("Follow strokes").check()
    window.wait("studio.info.automatic === true")


def test_what_is_not_computed_is_striped_where_a_matte_is_seen(unfollowed):
    window = unfollowed
    assert striped(window, OUTSIDE) == 0  # the overlay shows no matte
    window.press("Shift+Digit2")
    window.wait("studio.waiting.boxes.old.length + studio.waiting.boxes.never.length > 0")
    assert striped(window, OUTSIDE) > 0 and striped(window, INSIDE) == 0
    window.press("KeyR")
    window.settle(computed=True)
    window.wait("studio.waiting.boxes.old.length + studio.waiting.boxes.never.length === 0")
    assert striped(window, OUTSIDE) == 0


def test_a_kept_matte_stays_striped_where_it_was_not_computed(unfollowed):
    window = unfollowed
    window.press("KeyK")  # the kept matte is right of the split
    window.wait("studio.state.get('split')")
    window.press("KeyR")
    window.settle(computed=True)
    window.wait("studio.waiting.boxes.before.never.length > 0 && studio.waiting.boxes.never.length === 0")
    window.set("splitAt", 0.98)
    assert striped(window, OUTSIDE) == 0
    window.set("splitAt", 0.02)
    assert striped(window, OUTSIDE) > 0


def striped(window, place) -> int:
    """How many of the pixels around a place of the picture have a stripe."""
    left, top = window.page.evaluate(f"studio.view.toScreen({place[0]}, {place[1]})")
    window.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return window.page.evaluate(
        """([x, y]) => {
            const copy = new OffscreenCanvas(20, 20).getContext("2d", { willReadFrequently: true });
            copy.drawImage(document.getElementById("waiting"), x - 10, y - 10, 20, 20, 0, 0, 20, 20);
            return copy.getImageData(0, 0, 20, 20).data.filter((value, n) => n % 4 === 3 && value > 0).length;
        }""",
        [left, top],
    )


def test_two_tabs_see_each_others_strokes(window):
    second = window.second()
    place = (60, 200)
    before = second.pixel(*place)
    window.page.bring_to_front()
    window.press("Digit3")
    window.stroke((60, 150), (60, 250))
    second.page.bring_to_front()
    second.wait("studio.info.undo === 1")
    second.settle()
    assert towards(before, second.pixel(*place), GREEN)
    second.press("Control+z")
    window.page.bring_to_front()
    window.wait("studio.info.undo === 0")
    window.settle()
    assert shows(window, place, before)
    second.page.close()


def test_a_killed_server_loses_no_stroke_and_the_page_goes_on(browser, tmp_path):
    picture, trimap = studio_scene.files(tmp_path)
    with Running(picture, "--trimap", trimap) as first:
        window = Window.opened(browser, first.address)
        window.page.get_by_label("Follow strokes").uncheck()
        window.press("Digit3")
        window.set("size", 8)
        window.stroke((10, 20), (10, 60))
        assert window.label(10, 40) == 255
        window.page.mouse.move(*window.at(140, 20))
        window.page.mouse.down()
        window.page.mouse.move(*window.at(140, 40))
        first.kill()
        first.communicate()
    window.page.mouse.move(*window.at(140, 60))
    window.page.mouse.up()
    window.wait(
        "studio.server.waiting === 1 && document.getElementById('note').textContent.includes('does not answer')"
    )
    window.wait(f"{STATUS} === 'No connection to the server; trying again; 1 change waits'")
    other = shutil.copy(picture, tmp_path / "other.png")
    with Running(other, "--port", first.port) as wrong:  # whose first picture is another one
        window.page.context.new_page().goto(wrong.address)
        window.wait("document.getElementById('note').textContent.includes('other pictures')")
        assert wrong.json("GET", "/api/pictures/1")["undo"] == 0
    with Running(picture, "--trimap", trimap) as again:
        assert again.port == first.port  # it is the picture's own
        window.page.context.new_page().goto(again.address)  # its cookie is for all tabs
        window.wait("document.getElementById('note').hidden")
        window.settle()
        window.wait(f"{STATUS}.endsWith('by Update (R)') || {STATUS}.startsWith('Preview')")
        assert [window.label(10, 40), window.label(140, 30), window.label(140, 50)] == [255] * 3
        window.undo_all()
        assert [window.label(10, 40), window.label(140, 30), window.label(140, 50)] == [0] * 3
        window.close()
        again.terminate()
        assert again.communicate()[1] == ""


def test_export_writes_the_files_and_asks_before_it_replaces_them(window, folder):
    for again in (False, True):
        window.page.get_by_role("button", name="Export…").click()
        dialog = window.page.locator("#export-dialog")
        dialog.get_by_label("Photoshop file with the matte as mask", exact=True).check()
        dialog.get_by_role("button", name="Export").click()
        if again:
            window.wait("document.getElementById('export-problem').textContent.includes('already')")
            dialog.get_by_label("Replace the files that are there").check()
            dialog.get_by_role("button", name="Export").click()
        window.wait("document.getElementById('said').textContent.startsWith('Exported: ')")
        window.page.evaluate("studio.notes.say('')")
    written = {path.name for path in (folder / "results").iterdir()}
    assert {"picture_alpha.png", "picture_cutout.png", "picture_trimap.png", "picture.psd"} <= written
    alpha = np.asarray(Image.open(folder / "results" / "picture_alpha.png"))
    assert alpha[INSIDE] == alpha.max()
    assert alpha[OUTSIDE] == 0


def test_the_trimap_is_saved_as_it_is_painted(window, folder):
    window.press("Digit3")
    window.stroke((60, 150), (60, 250))
    (folder / "results" / "mine.png").write_bytes(b"somebody else's")
    said = "document.getElementById('note-message').textContent"
    window.press("Control+s")
    window.page.keyboard.type("mine.png")
    window.page.keyboard.press("Enter")
    window.wait(f"{said} === 'mine.png exists already.'")
    assert (folder / "results" / "mine.png").read_bytes() == b"somebody else's"
    window.page.keyboard.press("Enter")
    window.wait("document.getElementById('said').textContent === 'The trimap is saved: mine.png'")
    assert np.asarray(Image.open(folder / "results" / "mine.png"))[60, 200] == 255


def test_closing_with_unsaved_work_asks(window):
    second = window.second()
    second.press("Digit3")
    second.stroke((60, 150), (60, 250))
    second.wait("studio.info.unsaved")
    asked = []

    def leave(dialog):
        asked.append(dialog.type)
        dialog.accept()

    second.page.on("dialog", leave)
    with second.page.expect_event("close"):
        second.page.close(run_before_unload=True)
    assert asked == ["beforeunload"]


def test_problems_are_listed_and_jumped_to(window):
    window.press("Digit2")
    window.set("size", 4)
    window.page.mouse.click(*window.at(60, 60))  # an island of unknown in the background
    window.settle()
    window.page.select_option("#problem-kind", "pinholes")
    window.page.locator("#paint").focus()
    window.page.keyboard.press("KeyN")
    window.wait("document.getElementById('problem-count').textContent.startsWith('1 of ')")
    box = window.page.locator("#paint").bounding_box()
    x, y = window.at(60, 60)
    assert abs(x - box["x"] - box["width"] / 2) < 90
    assert abs(y - box["y"] - box["height"] / 2) < 90
    window.set("size", 60)


def test_the_help_lists_the_keys(window):
    window.page.keyboard.press("?")
    shown = window.page.locator("#help-dialog")
    shown.wait_for(state="visible", timeout=LONGEST)
    assert "Ctrl+Shift+Z" in shown.inner_text()
    assert "Shift+8" in shown.inner_text()
    window.page.keyboard.press("Escape")
    assert not window.page.locator("#help-dialog").is_visible()


CONTRASTS = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parts(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(":disabled")) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
    found.push([element.textContent.trim().slice(0, 30), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_has_contrast_and_fits_the_window(browser, address, scheme):
    window = Window.opened(browser, address, color_scheme=scheme)
    for dialog in (None, "start-dialog", "band-dialog", "export-dialog", "help-dialog"):
        if dialog:
            window.page.evaluate(f"document.getElementById('{dialog}').showModal()")
        found = window.page.evaluate(CONTRASTS)
        assert len(found) > 20
        assert [text for text, contrast in found if contrast < 4.5] == []
        if dialog:
            window.page.evaluate(f"document.getElementById('{dialog}').close()")
    assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert window.page.evaluate("document.querySelector('header').clientHeight < 60")
    window.close()


def focused(page: Page) -> str:
    return page.evaluate(
        "(({ id, textContent, name, dataset }) => (id || textContent || name || dataset.state).trim())"
        "(document.activeElement)"
    )


def test_the_keyboard_reaches_everything_in_the_order_it_is_seen(window):
    window.page.locator("a.skip").focus()
    order = []
    while (name := focused(window.page)) not in order and len(order) < 80:
        order.append(name)
        seen = window.page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e.matches('.choice input') ?"
            " e.nextElementSibling : e); return e === document.body || s.outlineStyle !== 'none'; })()"
        )
        assert seen, f"the focus does not show on {name}"
        window.page.keyboard.press("Tab")
    wanted = ["pictures", "view", "Trimap", "Export…", "label", "tool", "size", "paint", "problem-kind", "save-name"]
    assert [name for name in order if name in wanted] == wanted


def test_every_control_has_a_name(window):
    nameless = window.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [tabindex='0']")].filter((e) => !(
        e.getAttribute("aria-label") || e.textContent.trim() || [...(e.labels ?? [])].some((l) => l.textContent.trim())
        )).map((e) => e.outerHTML)"""
    )
    assert nameless == []
