"""The studio's server as a browser sees it: seconds from a stroke to its overlay and to the first new patch; memory.

    python -m benchmarks.studio --out benchmarks/results/studio/4.json --megapixels 4 [--strokes 30] [--minutes 10]
    python -m benchmarks.studio --table benchmarks/results/studio

A generated picture (tiled TIFF, uncompressed) and its trimap are opened by `hdmatt studio` in a process of its own.
Then strokes of 20 pixels radius are painted at places of the unknown band, one after the other; each is a request, as
the page sends it, and each waits for its tiles:

    start       the process listens
    view        the one tile of the smallest view is there, since it listens
    overlay     the stroke's tiles of the trimap at full size are there, since the stroke was sent
    patch       the tile of the first patch that was computed for it is there, since then

--minutes: strokes go on for so long, as fast as their overlays come; memory and strokes of each minute are kept, so
that growth shows. Memory is that of the process: its peak, and what is neither shared nor from files at the end.
"""

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hdmatt.evaluation.scenes import TILE, Generated
from hdmatt.pictures.trimap import UNKNOWN
from hdmatt.pictures.writer import PictureWriter
from hdmatt.system.files import make_folder, write_text_atomic
from hdmatt.system.memory import MIB

_UNKNOWN = 0.1  # share of the picture
_RADIUS = 20.0
_PATIENCE = 1800.0  # seconds for the first patch, which needs a look at the whole picture


class Server:
    """`hdmatt studio` in a process of its own, and what it tells."""

    def __init__(self, picture: Path, trimap: Path, options: list[str]) -> None:
        command = [sys.executable, "-m", "hdmatt", "studio", str(picture), "--trimap", str(trimap), "--no-browser"]
        started = time.monotonic()
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", self.process.stdout.readline())
        assert found, "the studio did not start"
        self.start = time.monotonic() - started
        self._port, self._cookie = int(found[1]), f"hdmatt_{found[1]}={found[2]}"
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port)
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body)
        headers = {"cookie": self._cookie, "content-type": "application/json"}
        self._connection.request(method, f"/api/pictures/1{path}", data, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == 200, (answer.status, content[:300])
        return content

    def first_patch(self, since: int) -> list[int] | None:
        """The box of the first patch computed after so many events; None: it did not come in time."""

        def computed() -> list[int] | None:
            patches = (e for _, e in self.events[since:] if e["type"] == "tiles" and e["layer"] == "alpha")
            return next((e["box"] for e in patches if e["client"] == "" and e["box"][2] - e["box"][0] < 1000), None)

        with self.news:
            self.news.wait_for(computed, _PATIENCE)
            return computed()

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
                    self.events.append((time.monotonic(), json.loads(line[5:])))
                    self.news.notify_all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    parser.add_argument("--table", type=Path, help="folder of results, printed as a table")
    parser.add_argument("--megapixels", type=float, default=4.0)
    parser.add_argument("--strokes", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--memory", help="hdmatt's limit, like 2GiB")
    given = parser.parse_args()
    if given.table:
        return print(table(given.table))
    if not given.out:
        parser.error("--out or --table is needed")
    with tempfile.TemporaryDirectory() as folder:
        side = round((given.megapixels * 1e6) ** 0.5)
        places = _write(Generated(side, unknown=_UNKNOWN), Path(folder))
        options = ["--memory", given.memory] if given.memory else []
        server = Server(Path(folder) / "picture.tif", Path(folder) / "trimap.png", options)
        try:
            found = _measure(server, places, given.strokes, given.minutes)
        finally:
            server.close()
    kept = {"megapixels": given.megapixels, "cores": os.cpu_count(), "memory_limit": given.memory, **found}
    make_folder(given.out.parent)
    write_text_atomic(given.out, json.dumps(kept, indent=1) + "\n")
    print(json.dumps(kept, indent=1))


def table(folder: Path) -> str:
    """The results of a folder as a table of Markdown, the smallest picture first."""
    names = "megapixels", "first view", "overlay p50, p95", "first patch p50, p95", "memory: peak, own"
    lines = [f"| {' | '.join(names)} |", f"|{' --: |' * len(names)}"]
    for one in sorted((json.loads(path.read_text()) for path in folder.glob("*.json")), key=lambda r: r["megapixels"]):
        overlay, patch, memory = one["overlay_s"], one["patch_s"], one["memory_mib"]
        cells = (
            f"{one['megapixels']:g}",
            f"{one['view_s']:.2f} s",
            f"{1000 * overlay['p50']:.0f}, {1000 * overlay['p95']:.0f} ms",
            f"{patch['p50']:.1f}, {patch['p95']:.1f} s",
            f"{memory['peak']}, {memory['own']} MiB",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _measure(server: Server, places: np.ndarray, strokes: int, minutes: float) -> dict[str, Any]:
    started = time.monotonic()
    facts = json.loads(server.ask("GET", ""))
    server.ask("GET", f"/tiles/picture/{facts['levels'] - 1}/0/0")
    view = time.monotonic() - started
    server.ask("PUT", "/settings", {"near": places[0].tolist()})
    assert server.first_patch(0) is not None
    first = time.monotonic() - started
    overlays, patches = [], []
    for place in places[:strokes]:
        overlay, patch = _stroke(server, place, follow=True)
        overlays.append(overlay)
        patches.append(patch)
    found = {
        "start_s": round(server.start, 2),
        "view_s": round(view, 2),
        "first_patch_s": round(first, 1),
        "overlay_s": _summary(overlays),
        "patch_s": _summary(patches),
        "memory_mib": server.memory(),
    }
    if minutes:
        found["minutes"] = list(_go_on(server, places, minutes))
    return found


def _stroke(server: Server, place: np.ndarray, *, follow: bool) -> tuple[float, float]:
    """Seconds to the overlay and to the first patch (0 if it is not waited for)."""
    y, x = (float(value) for value in place)
    body = {"kind": "brush", "label": 128, "points": [[y, x, _RADIUS], [y + 15, x + 30, _RADIUS]], "client": "bench"}
    server.ask("PUT", "/settings", {"near": [y, x]})
    with server.news:
        before = len(server.events)
    started = time.monotonic()
    box = json.loads(server.ask("POST", "/strokes", body))["box"]
    for key in _tiles(box) if box else ():
        server.ask("GET", f"/tiles/trimap/{key}?v={started}")
    overlay = time.monotonic() - started
    if not follow or box is None:
        return overlay, 0.0
    patch = server.first_patch(before)
    assert patch is not None
    server.ask("GET", f"/tiles/alpha/{next(_tiles(patch))}?v={started}")
    return overlay, time.monotonic() - started


def _go_on(server: Server, places: np.ndarray, minutes: float) -> Iterator[dict[str, Any]]:
    """Strokes without a rest; strokes and memory of each minute."""
    number = 0
    for _ in range(max(1, round(minutes))):
        end, before = time.monotonic() + 60, number
        while time.monotonic() < end:
            _stroke(server, places[number % len(places)] + number // len(places) * 3, follow=False)
            number += 1
        yield {"strokes": number - before, **server.memory()}


def _tiles(box: list[int]) -> Iterator[str]:
    for row in range(box[0] // 512, -(-box[2] // 512)):
        for column in range(box[1] // 512, -(-box[3] // 512)):
            yield f"0/{row}/{column}"


def _summary(seconds: list[float]) -> dict[str, float]:
    some = [value for value in seconds if value > 0]
    if not some:
        return {}
    return {name: round(float(np.percentile(some, share)), 3) for name, share in (("p50", 50), ("p95", 95))}


def _write(scene: Generated, folder: Path) -> np.ndarray:
    """Picture and trimap; returns places of the outer half of the band, where known pixels are near."""
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


if __name__ == "__main__":
    main()
