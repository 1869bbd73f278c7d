"""The studio's server as a browser sees it: seconds from a stroke to its overlay and to its new matte; memory.

    python -m benchmarks.studio --megapixels 4 [--page] [--minutes 10]    # one size: about three minutes, and ten
    python -m benchmarks.studio --megapixels 36 [--page]
    python -m benchmarks.studio --megapixels 400 [--page]
    python -m benchmarks.studio --table                                   # docs/studio.md's table

Each size is a run of its own and writes results/studio/SIZE.json; what another run of the size measured stays there, so
that `--only page` can come later. A generated picture (tiled TIFF, uncompressed) and its trimap are made once, in
--scene, and opened by `hdmatt studio` in a process of its own. Then strokes of 20 pixels radius are painted at places
of the unknown band, one after the other; each is a request, as the page sends it, and each waits for its tiles:

    start       the process listens
    view        the one tile of the smallest view is there, since it listens
    first       the first patch of all is there, since then: the whole picture was looked at
    overlay     the stroke's tiles of the trimap at full size are there, since the stroke was sent
    patch       the tile of the first patch that was computed for it is there, since then
    last        all patches that the stroke touched are there, since then
    refresh     seconds to the first patch of strokes that come while contexts and colours are refreshed

Other patches are still computed while the first half is painted; the strokes of "refresh" come when all are there. No
stroke is begun later than --seconds after the start, which a size keeps to but for the picture's first look.

--minutes: strokes go on for so long, ten and then a pause of a second; memory and strokes of each minute are kept, so
that growth shows. --page: the same picture in Chromium, by Playwright: strokes until they are on the screen, and the
page's memory, after a look at the picture from near and far. --automatic: seconds of the automatic border, with all
patches there. Memory of the server is that of the process: its peak, and what is neither shared nor from files at the
end.
"""

import argparse
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._shared import command_of
from benchmarks.readme_table import put
from hdmatt.evaluation.methods import Settings
from hdmatt.evaluation.provenance import facts
from hdmatt.evaluation.scenes import TILE, Generated
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.pictures.writer import PictureWriter
from hdmatt.system.files import make_folder, write_text_atomic
from hdmatt.system.memory import MIB

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "studio"
PAGE = ROOT / "docs" / "studio.md"
BEGIN, END = "<!-- seconds: made by python -m benchmarks.studio --table -->", "<!-- end of seconds -->"
_UNKNOWN, _MOST_UNKNOWN = 0.1, 4.0  # share of the picture; megapixels, so that the first look at all patches ends
_RADIUS = 20.0
_PATIENCE = 900.0  # seconds for the first patch, which needs a look at the whole picture
_IDLE = 120.0  # seconds until all patches are there
_LEAST = 3  # strokes that are painted, also when the time is over
_REFRESHES = 3  # strokes that come during a refresh
_INTO = 0.7  # seconds into it
_FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
_SHOWN = "studio.server.waiting === 0 && studio.view.settled"


class Server:
    """`hdmatt studio` in a process of its own, and what it tells."""

    def __init__(self, picture: Path, trimap: Path, options: list[str]) -> None:
        command = [sys.executable, "-m", "hdmatt", "studio", str(picture), "--trimap", str(trimap), "--no-browser"]
        started = time.monotonic()
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        found = re.search(r"(http://127\.0\.0\.1:(\d+)/\?token=(\S+))", self.process.stdout.readline())
        assert found, "the studio did not start"
        self.start = time.monotonic() - started
        self.address, self._port, self._cookie = found[1], int(found[2]), f"hdmatt_{found[2]}={found[3]}"
        self.events: list[dict[str, Any]] = []
        self.news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body)
        headers = {"cookie": self._cookie, "content-type": "application/json"}
        # one for each: the server closes those that were idle
        with closing(http.client.HTTPConnection("127.0.0.1", self._port)) as connection:
            connection.request(method, f"/api/pictures/1{path}", data, headers)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200, (answer.status, content[:300])
            return content

    def event(self, since: int, wanted: Any, patience: float = _PATIENCE) -> dict[str, Any]:
        """The first of some events after so many others."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [event for event in self.events[since:] if event["type"] == "error" or wanted(event)][:1]
            return bool(found)

        with self.news:
            assert self.news.wait_for(there, patience), f"nothing came in {patience:.0f} s"
        assert found[0]["type"] != "error", found[0]
        return found[0]

    def idle(self, patience: float = _IDLE) -> bool:
        """Wait until all patches are there; whether that came in time."""
        end = time.monotonic() + patience
        while json.loads(self.ask("GET", ""))["pending"]:
            if time.monotonic() > end:
                return False
            time.sleep(0.5)
        return True

    def memory(self) -> dict[str, int]:
        """MiB: the peak, and what is the process's own now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        peak, own = (int(re.search(rf"{name}:\s*(\d+)", status)[1]) for name in ("VmHWM", "RssAnon"))  # type: ignore
        return {"peak": peak * 1024 // MIB, "own": own * 1024 // MIB}

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()

    def _listen(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("GET", "/api/pictures/1/events", headers={"cookie": self._cookie})
        for line in connection.getresponse():
            if line.startswith(b"data:"):
                with self.news:
                    self.events.append(json.loads(line[5:]))
                    self.news.notify_all()


def main(arguments: list[str]) -> None:
    given = _parsed(arguments)
    if given.table:
        found = [json.loads(path.read_text(encoding="utf-8")) for path in given.results.glob("*.json")]
        print(table(found))
        return write_text_atomic(PAGE, with_table(PAGE.read_text(encoding="utf-8"), found))
    out = given.results / f"{given.megapixels:g}.json"
    kept = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    share = min(_UNKNOWN, _MOST_UNKNOWN / given.megapixels)
    folder = given.scene or Path(tempfile.gettempdir()) / f"hdmatt-studio-{given.megapixels:g}"
    places = _write(Generated(round((given.megapixels * 1e6) ** 0.5), unknown=share), folder)
    _say(f"the picture is there: {folder}")
    with ExitStack() as stack:
        options = ["--memory", given.memory] if given.memory else []
        server = Server(folder / "picture.tif", folder / "trimap.png", options)
        stack.callback(server.close)
        for name in given.parts:
            about = {**facts(Settings(), command_of(__file__, arguments)), "memory_limit": given.memory}
            kept |= {"megapixels": given.megapixels, "unknown": share}
            kept[name] = {**about, **PARTS[name](server, places, given)}
            make_folder(out.parent)
            write_text_atomic(out, json.dumps(kept, indent=1) + "\n")
    print(json.dumps(kept, indent=1))


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--table", action="store_true", help="print the table of the results, and put it into the page")
    parser.add_argument("--megapixels", type=float, default=4.0)
    parser.add_argument("--strokes", type=int, default=30, help="at most")
    parser.add_argument("--seconds", type=float, default=240.0, help="no stroke is begun later")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--automatic", action="store_true", help="also the automatic border")
    parser.add_argument("--page", action="store_true", help="also in Chromium")
    parser.add_argument("--only", choices=PARTS, help="only this part; the others stay as they were measured")
    parser.add_argument("--scene", type=Path, help="folder that keeps the picture for the next time")
    parser.add_argument("--memory", default="2GiB", help="hdmatt's limit; empty: none")
    given = parser.parse_args(arguments)
    wanted = {"strokes": True, "page": given.page, "automatic": given.automatic, "minutes": given.minutes}
    given.parts = [given.only] if given.only else [name for name, on in wanted.items() if on]
    return given


def table(records: list[dict[str, Any]]) -> str:
    """The results of all sizes as a table of Markdown, the smallest picture first."""
    names = (
        *("megapixels", "first view", "overlay", "first patch", "all its patches", "during a refresh"),
        *("server's peak memory", "page: stroke on the screen", "page's memory"),
    )
    lines = [f"| {' | '.join(names)} |", f"|{' --: |' * len(names)}"]
    for one in sorted(records, key=lambda record: record["megapixels"]):
        strokes, page = one["strokes"], one.get("page")
        limit = f" of {strokes['memory_limit']}" if strokes["memory_limit"] else ""
        cells = (
            f"{one['megapixels']:g}",
            f"{strokes['view_s']:.2f} s",
            _shown(strokes["overlay_s"], 1000, "ms", 0),
            _shown(strokes["patch_s"], 1, "s", 2),
            _shown(strokes["last_s"], 1, "s", 2),
            _shown(strokes["refresh_s"], 1, "s", 2),
            f"{strokes['memory_mib']['peak']} MiB{limit}",
            _shown(page["stroke_s"], 1000, "ms", 0) if page else "",
            f"{page['renderer_mib']} MiB" if page else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(page: str, records: list[dict[str, Any]]) -> str:
    """The page with the table between its markers."""
    machines = [one["strokes"]["machine"] for one in records]
    where = " and ".join(sorted({f"{machine['usable_cores']} cores of {machine['cpu']}" for machine in machines}))
    said = [f"Half of the strokes took up to the first number, 95 % up to the second; on {where}."]
    for one in sorted((one for one in records if "minutes" in one), key=lambda record: record["megapixels"]):
        each = one["minutes"]["each"]
        said.append(
            f"{len(each)} minutes of strokes at {one['megapixels']:g} megapixels, {sum(m['strokes'] for m in each)} in "
            f"all: {each[0]['own']} MiB of the server's own memory after the first minute, {each[-1]['own']} MiB after "
            "the last."
        )
    return put(page, "\n\n".join([table(records), *said]), BEGIN, END)


def _shown(found: dict[str, float], scale: int, unit: str, digits: int) -> str:
    return f"{scale * found['p50']:.{digits}f}, {scale * found['p95']:.{digits}f} {unit}" if found else ""


def _strokes(server: Server, places: np.ndarray, given: argparse.Namespace) -> dict[str, Any]:
    """The strokes as they are sent, and what each waits for."""
    started = time.monotonic()
    levels = json.loads(server.ask("GET", ""))["levels"]
    server.ask("GET", f"/tiles/picture/{levels - 1}/0/0")
    view = time.monotonic() - started
    _say(f"first view {view:.2f} s")
    server.ask("PUT", "/settings", {"near": places[0].tolist()})
    server.event(0, _is_patch)
    first = time.monotonic() - started
    _say(f"first patch {first:.1f} s")
    taken: list[tuple[float, float, float]] = []
    for place in places[: given.strokes]:
        if time.monotonic() > started + given.seconds and len(taken) >= _LEAST:
            break
        taken.append(_stroke(server, place))
        _say("overlay {:.3f} s, first patch {:.2f} s, last patch {:.2f} s".format(*taken[-1]))
    overlays, patches, last = zip(*taken, strict=True)
    return {
        "start_s": round(server.start, 2),
        "view_s": round(view, 2),
        "first_patch_s": round(first, 1),
        "painted": len(taken),
        "overlay_s": _summary(overlays),
        "patch_s": _summary(patches),
        "last_s": _summary(last),
        "refresh_s": _summary(list(_during_refreshes(server, places[-_REFRESHES:], started + given.seconds))),
        "memory_mib": server.memory(),
    }


def _during_refreshes(server: Server, places: np.ndarray, end: float) -> Iterator[float]:
    """Seconds to the first patch of strokes that come while contexts and colours are refreshed."""
    for place in places:
        if not server.idle(min(end - time.monotonic(), _IDLE)):
            return
        server.event(len(server.events), lambda event: event["type"] == "progress" and event["what"] == "refresh")
        time.sleep(_INTO)
        yield _stroke(server, place)[1]


def _is_patch(event: dict[str, Any]) -> bool:
    """Whether an event says that a patch was computed; others name the whole picture, or who painted."""
    is_tile = event["type"] == "tiles" and event["layer"] == "alpha" and event["client"] == ""
    return is_tile and event["box"][2] - event["box"][0] < 1000


def _stroke(server: Server, place: np.ndarray, *, follow: bool = True) -> tuple[float, float, float]:
    """Seconds to the overlay, to the first patch and to the last (0 if they are not waited for)."""
    y, x = (float(value) for value in place)
    body = {"kind": "brush", "label": 128, "points": [[y, x, _RADIUS], [y + 15, x + 30, _RADIUS]], "client": "bench"}
    since = len(server.events)
    started = time.monotonic()
    box = json.loads(server.ask("POST", "/strokes", body))["box"]
    for key in _tiles(box) if box else ():
        server.ask("GET", f"/tiles/trimap/{key}?v={started}")
    overlay = time.monotonic() - started
    if not follow or box is None:
        return overlay, 0.0, 0.0

    def is_new(event: dict[str, Any]) -> bool:
        return _is_patch(event) and _meet(event["box"], box)

    seconds, left = [], True
    while left:
        event = server.event(since, is_new)
        since = 1 + next(n for n in range(since, len(server.events)) if server.events[n] is event)
        server.ask("GET", f"/tiles/alpha/{next(_tiles(event['box']))}?v={started}")
        seconds.append(time.monotonic() - started)
        waiting = json.loads(server.ask("GET", "/waiting"))
        left = any(_meet(other, box) for other in waiting["never"] + waiting["old"])
    return overlay, seconds[0], seconds[-1]


def _meet(one: list[int], other: list[int]) -> bool:
    return all(one[axis] < other[axis + 2] and other[axis] < one[axis + 2] for axis in (0, 1))


def _minutes(server: Server, places: np.ndarray, given: argparse.Namespace) -> dict[str, Any]:
    """Ten strokes, a second of rest, ten strokes; strokes and memory of each minute."""
    number, each = 0, []
    for _ in range(max(1, round(given.minutes))):
        end, before = time.monotonic() + 60, number
        while time.monotonic() < end:
            _stroke(server, places[number % len(places)] + number // len(places) * 3, follow=False)
            number += 1
            if number % 10 == 0:
                time.sleep(1)
        each.append({"strokes": number - before, **server.memory()})
        _say(str(each[-1]))
    return {"each": each}


def _automatic(server: Server, places: np.ndarray, given: argparse.Namespace) -> dict[str, Any]:
    """Seconds that the automatic border takes, with all patches there, so that nothing else is computed."""
    server.idle()
    server.ask("PUT", "/settings", {"automatic": False})
    started = time.monotonic()
    server.ask("POST", "/band", {"automatic": True})
    seconds = time.monotonic() - started
    _say(f"automatic border {seconds:.1f} s")
    server.ask("POST", "/undo", {})
    server.ask("PUT", "/settings", {"automatic": True})
    return {"seconds": round(seconds, 1)}


def _page(server: Server, places: np.ndarray, given: argparse.Namespace) -> dict[str, Any]:
    """Strokes until they are on the screen, and memory: of JavaScript's objects, and of the process that draws."""
    from playwright.sync_api import sync_playwright

    seconds = []
    with sync_playwright() as playwright:
        flags = [*_FLAGS, "--enable-precise-memory-info"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(server.address)
        page.wait_for_selector("body[data-ready]", timeout=120_000)
        stage = page.locator("#paint").bounding_box()
        assert stage
        end = time.monotonic() + given.seconds / 2
        for y, x in places[given.strokes :][:10].tolist():
            if seconds and time.monotonic() > end:
                break
            for look in (f"studio.view.show([{y - 200}, {x - 200}, {y + 200}, {x + 200}])", "studio.view.home(true)"):
                page.evaluate(look)
                for view in ("alpha", "white", "foreground", "overlay"):
                    page.evaluate(f"studio.state.set('view', '{view}')")
                    page.evaluate(_until(_SHOWN))
            page.evaluate(f"studio.view.show([{y - 200}, {x - 200}, {y + 200}, {x + 200}])")
            for number in range(4):
                page.evaluate(_until(_SHOWN))
                at_x, at_y = stage["x"] + stage["width"] / 2 + 40 * number, stage["y"] + stage["height"] / 2
                page.mouse.move(at_x, at_y)
                page.mouse.down()
                page.mouse.move(at_x + 30, at_y + 15, steps=4)
                started = time.monotonic()
                page.mouse.up()
                page.evaluate(_until(_SHOWN))
                seconds.append(time.monotonic() - started)
        heap = page.evaluate("performance.memory.usedJSHeapSize")
        processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
        own = [_own_bytes(process["id"]) for process in processes if process["type"] == "renderer"]
        browser.close()
    return {"stroke_s": _summary(seconds), "heap_mib": heap // MIB, "renderer_mib": max(own) // MIB}


def _until(condition: str) -> str:
    wait = "await new Promise((done) => requestAnimationFrame(done))"
    return f"async () => {{ while (!({condition})) {wait}; {wait}; }}"


def _own_bytes(process: int) -> int:
    found = re.search(r"RssAnon:\s*(\d+)", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _tiles(box: list[int]) -> Iterator[str]:
    for row in range(box[0] // 512, -(-box[2] // 512)):
        for column in range(box[1] // 512, -(-box[3] // 512)):
            yield f"0/{row}/{column}"


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    some = [value for value in seconds if value > 0]
    if not some:
        return {}
    return {name: round(float(np.percentile(some, share)), 3) for name, share in (("p50", 50), ("p95", 95))}


def _write(scene: Generated, folder: Path) -> np.ndarray:
    """Picture and trimap, if they are not there yet; places of the band's borders, where known pixels are near."""
    places = folder / "places.npy"
    for journal in folder.glob(".*.hdmatt-journal*"):
        journal.unlink()
    if not places.exists():
        make_folder(folder)
        np.save(places, _write_scene(scene, folder))
    return np.load(places)


def _write_scene(scene: Generated, folder: Path) -> np.ndarray:
    import OpenImageIO as oiio

    spec = oiio.ImageSpec(scene.width, scene.height, 3, "uint8")
    spec.attribute("compression", "none")
    spec.tile_width = spec.tile_height = TILE
    output, places, rng = oiio.ImageOutput.create("x.tif"), [], np.random.default_rng(0)
    assert output.open(str(folder / "picture.tif"), spec)
    with PictureWriter(folder / "trimap.png", scene.height, scene.width, channels=1, bit_depth="8") as writer:
        for y in range(0, scene.height, TILE):
            colours, marks = scene.rows(y, min(y + TILE, scene.height))
            assert output.write_tiles(0, scene.width, y, y + len(marks), 0, 1, np.ascontiguousarray(colours))
            writer.write(marks / np.float32(255))
            edge = np.argwhere((marks[:, :-1] == UNKNOWN) != (marks[:, 1:] == UNKNOWN))
            some = edge[rng.permutation(len(edge))[:50]]
            places.append(some + [y, 0])
    output.close()
    every = np.concatenate(places)
    return every[rng.permutation(len(every))]


PARTS = {"strokes": _strokes, "page": _page, "automatic": _automatic, "minutes": _minutes}

if __name__ == "__main__":
    main(sys.argv[1:])
