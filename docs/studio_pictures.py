"""The pictures of docs/studio.md: the studio's page in Chromium, from the first question to the matte.

    python docs/studio_pictures.py            # into docs/images

The picture is the portrait of the first page. A server of this tree and Chromium (CHROMIUM, else /usr/bin/chromium)
are started and ended; nothing is kept. Some minutes.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "images"
VIEWPORT = {"width": 1280, "height": 720}
SIZE = 1120, 630  # of the pictures
BOX = (190, 4), (1349, 1116)  # y, x: all but the sky above
WAIT_MS = 900_000
SETTLED = "studio.server.waiting === 0 && studio.view.settled"
COMPUTED = f"{SETTLED} && studio.info.known && studio.info.pending === 0 && !studio.info.stale"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        picture = Path(name) / "portrait.jpg"
        shutil.copy(OUT / "site" / "portrait-small.jpg", picture)
        with opened(picture) as page:
            page.locator("#start-dialog[open]").wait_for()
            save(page, "studio-start")
            page.locator("#start-dialog").get_by_role("button", name="A box").click()
            drag(page, *BOX)
            page.locator("#band-dialog").get_by_role("button", name="Automatic").click()
            until(page, COMPUTED)
            save(page, "studio-trimap")
            page.locator("#view").select_option(label="Over white")
            page.get_by_role("button", name="Split", exact=True).click()
            until(page, COMPUTED)
            save(page, "studio-split")


@contextmanager
def opened(picture: Path) -> Iterator[Page]:
    """The page of a server of its own, once it shows the picture."""
    words = [sys.executable, "-m", "hdmatt", "studio", str(picture), "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            address = next(found[0] for line in server.stdout if (found := re.search(r"http\S+", line)))
            with sync_playwright() as playwright:
                chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
                page = browser.new_page(viewport=VIEWPORT, color_scheme="dark")
                page.set_default_timeout(WAIT_MS)
                page.goto(address)
                page.locator("body[data-ready]").wait_for()
                until(page, SETTLED)
                yield page
                browser.close()
        finally:
            server.terminate()


def drag(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """From one place (y, x) of the picture to another."""
    for place, act in ((start, page.mouse.down), (end, page.mouse.up)):
        left, top = page.evaluate(
            """([y, x]) => { const [left, top] = studio.view.toScreen(y, x),
            around = document.getElementById('paint').getBoundingClientRect();
            return [left + around.left, top + around.top]; }""",
            list(place),
        )
        page.mouse.move(left, top, steps=4)
        act()


def until(page: Page, condition: str) -> None:
    page.wait_for_function(f"() => {condition}", timeout=WAIT_MS)


def save(page: Page, name: str) -> None:
    png = OUT / f"{name}.png"
    page.screenshot(path=str(png))
    picture = cv2.resize(cv2.imread(str(png)), SIZE, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(OUT / f"{name}.webp"), picture, [cv2.IMWRITE_WEBP_QUALITY, 80])
    png.unlink()
    print(f"docs/images/{name}.webp", flush=True)


if __name__ == "__main__":
    main()
