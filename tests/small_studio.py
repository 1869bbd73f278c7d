"""A studio for the tests of the page: a small network, small pictures, a server in a thread, and a browser.

started      a studio with pictures on a port of its own
Window       a page in the browser: strokes, pixels of its screenshots, what the server says
"""

import io
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright
from small_network import network

from hdmatt.inference.options import Options
from hdmatt.studio.opened import Choice
from hdmatt.studio.security import Access
from hdmatt.studio.server import app
from hdmatt.studio.studio import Studio

HEIGHT, WIDTH = 700, 1100  # two rows of three tiles
CENTRE, RADIUS, BAND = (350, 500), 200, 25
OBJECT, BEHIND, BACKDROP = (200, 90, 60), (70, 110, 150), (20, 160, 60)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
KNOWN_COMPLAINTS = ("Ignoring tile",)
LONGEST = 60_000  # milliseconds that anything is waited for
SETTLED = "studio.server.waiting === 0 && studio.view.settled"
# the server's word, and that the page has heard all of it
COMPUTED = """await studio.server.info().then(({ pending, stale, version }) =>
    !pending && !stale && studio.info.version >= version) && studio.view.settled"""


def disc() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(y - CENTRE[0], x - CENTRE[1])


def write_pictures(folder: Path) -> None:
    """picture.png with trimap.png; plain.png, mask.png and cut.png to begin without one; backdrop.png to lie behind."""
    inside = disc()[..., None] < RADIUS
    noise = np.random.default_rng(0).integers(-6, 7, (HEIGHT, WIDTH, 3))
    picture = np.where(inside, OBJECT, BEHIND) + noise
    Image.fromarray(picture.astype(np.uint8)).save(folder / "picture.png")
    mask = np.where(inside, 255, 0).astype(np.uint8)
    Image.fromarray(mask[..., 0]).save(folder / "mask.png")
    Image.fromarray(np.concatenate([picture.astype(np.uint8), mask], axis=2)).save(folder / "cut.png")
    shutil.copy(folder / "picture.png", folder / "plain.png")
    distance = disc()
    trimap = np.where(distance < RADIUS - BAND, 255, np.where(distance < RADIUS + BAND, 128, 0))
    Image.fromarray(trimap.astype(np.uint8)).save(folder / "trimap.png")
    Image.new("RGB", (WIDTH, HEIGHT), BACKDROP).save(folder / "backdrop.png")
    Image.new("RGB", (90, 200), BACKDROP).save(folder / "small.png")


@contextmanager
def started(folder: Path, names: Sequence[str] = ("picture.png", "plain.png")) -> Iterator[str]:
    """The address, with its token."""
    write_pictures(folder)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        studio = Studio(
            [folder / name for name in names],
            trimap=folder / "trimap.png" if names[0] == "picture.png" else None,
            output=folder / "results",
            root=folder,
            choice=Choice(options=Options(patch=128, overlap=32, candidates=6), network=network()),
            pause=0.05,
            rest=0.2,
        )
        access = Access(port=listening.getsockname()[1])
        config = uvicorn.Config(app(studio, access), log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield access.address
        finally:
            for picture in studio.pictures():
                picture.events.close()
            server.should_exit = True
            thread.join()
            studio.close()


def launched(playwright: Playwright) -> Browser:
    """Debian's Chromium."""
    found = shutil.which("chromium")
    assert found, "install Chromium: apt-get install chromium"
    return playwright.chromium.launch(executable_path=found, headless=True, args=list(FLAGS))


@dataclass
class Window:
    """A page of the studio. Places are (y, x) in the picture."""

    page: Page
    complaints: list[str]

    @classmethod
    def opened(cls, browser: Browser, address: str, *, picture: str = "1", **context: Any) -> "Window":
        page = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **context}).new_page()
        page.set_default_timeout(LONGEST)
        window = cls(page, [])
        page.on("console", lambda message: window._hear(message.type, f"{message.text} {message.location}"))
        page.on("pageerror", lambda error: window._hear("error", str(error)))
        page.goto(address)
        window.show(picture)
        return window

    def show(self, picture: str = "1") -> None:
        """Open one of the pictures, anew."""
        address = self.page.url.split("#")[0]
        self.page.goto("about:blank")  # another number alone makes the page reload itself
        self.page.goto(f"{address}#{picture}")
        self.page.wait_for_selector("body[data-ready]")
        self.settle()

    def second(self) -> "Window":
        """Another tab of the same browser."""
        window = Window(self.page.context.new_page(), [])
        window.page.set_default_timeout(LONGEST)
        window.page.goto(self.page.url)
        window.page.wait_for_selector("body[data-ready]")
        window.settle()
        return window

    def close(self) -> None:
        self.page.context.close()

    def settle(self, *, computed: bool = False) -> None:
        """Wait until everything is on the screen; `computed`: the matte, too."""
        self.wait(COMPUTED if computed else SETTLED)

    def wait(self, condition: str) -> None:
        """Wait until a condition in JavaScript holds. Playwright's own way needs eval, which the page forbids."""
        self.page.evaluate(
            """async () => {
                const start = performance.now();
                while (!(CONDITION)) {
                    if (performance.now() - start > LONGEST) throw new Error("never came");
                    await new Promise((done) => setTimeout(done, 10));
                }
            }""".replace("CONDITION", condition).replace("LONGEST", str(LONGEST))
        )

    def at(self, y: float, x: float) -> tuple[float, float]:
        """Where a place of the picture is in the window: x, y."""
        left, top = self.page.evaluate(f"studio.view.toScreen({y}, {x})")
        box = self.page.locator("#paint").bounding_box()
        assert box is not None
        return box["x"] + left, box["y"] + top

    def pixel(self, y: float, x: float) -> tuple[int, ...]:
        """The colour that is seen there, without the pointer's circle."""
        self.page.mouse.move(640, 5)
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        at_x, at_y = self.at(y, x)
        return shot.getpixel((int(at_x), int(at_y)))  # pyright: ignore[reportReturnType]

    def stroke(self, *places: tuple[float, float], button: Any = "left") -> None:
        """Drag from place to place."""
        self.page.mouse.move(*self.at(*places[0]))
        self.page.mouse.down(button=button)
        for place in places[1:]:
            self.page.mouse.move(*self.at(*place), steps=4)
        self.page.mouse.up(button=button)
        self.settle()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def ask(self, path: str) -> Any:
        """What the server says of the picture."""
        return self.page.evaluate(
            """async (path) => { const answer = await fetch(`/api/pictures/${studio.info.id}${path}`);
            if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`); return answer.json(); }""",
            path,
        )

    def label(self, y: int, x: int) -> int:
        return self.ask(f"/label?y={y}&x={x}")["label"]

    def set(self, name: str, value: Any) -> None:
        self.page.evaluate("([name, value]) => studio.state.set(name, value)", [name, value])
        self.settle()

    def undo_all(self) -> None:
        """Back to the first trimap."""
        while self.ask("")["undo"]:
            self.page.evaluate("studio.server.undo()")  # whatever has the focus
        self.settle()

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(known in text for known in KNOWN_COMPLAINTS):
            self.complaints.append(text)
