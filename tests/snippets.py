"""The commands and snippets of the documentation, and the tiny pictures that they are run on.

A comment says what holds for all blocks of code below it, up to the next one:

    <!-- snippets: run -->             run on tiny pictures with a tiny network; of hdmatt batch the plan
    <!-- snippets: release -->         run by processes of their own with the real network, before a release
    <!-- snippets: printed -->         what the command above it prints, to a terminal of 96 columns
    <!-- snippets: form, REASON -->    its form is checked: options are there, the shell and the language read it

    Snippet, snippets    a block of code: page, line, language, mark, text
    commands             the command lines of a block
    make_files           the pictures that the pages name
    painted              a trimap with faults
"""

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")])
UNMARKED = {"README.md": "run", "CONTRIBUTING.md": "form"}  # pages that hold no comments
MARKS = ("run", "release", "printed", "form")
_BLOCK = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^ *```|^<!-- snippets: (\w+)[^\n]*-->", re.DOTALL | re.MULTILINE)
HEIGHT, WIDTH = 72, 96
PLACES = {
    "420 80 1900 1500": "25 13 71 59",
    "420, 80, 1900, 1500": "25, 13, 71, 59",
    "y=500, x=1000": "y=252, x=196",
    "((1200.0, 800.0, 30.0), (1260.0, 910.0, 30.0))": "((36.0, 28.0, 3.0), (40.0, 30.0, 3.0))",
    "near=(1260, 910)": "near=(40, 30)",
}


@dataclass(frozen=True)
class Snippet:
    """A block of code of a page."""

    page: str
    line: int
    language: str
    mark: str | None  # None: the page has none above it
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def snippets(path: Path) -> list[Snippet]:
    """The blocks of code of a page, from top to bottom."""
    text = path.read_text(encoding="utf-8")
    found, mark = [], UNMARKED.get(path.name)
    for match in _BLOCK.finditer(text):
        indent, language, body, said = match.groups()
        if said:
            mark = said
            continue
        line = text.count("\n", 0, match.start()) + 1
        body = re.sub(rf"^{indent}", "", body, flags=re.MULTILINE)
        found.append(Snippet(path.name, line, language, mark, body))
    return found


def commands(snippet: Snippet) -> list[str]:
    """What is typed: of a console the lines behind $, of a shell script all lines."""
    if snippet.language == "console":
        return re.findall(r"^\$ (.*)$", re.sub(r"\\\n", " ", snippet.text), re.MULTILINE)
    if snippet.language == "bash":
        return [line for line in re.sub(r"\\\n", " ", snippet.text).splitlines() if line.strip() and line[0] != "#"]
    return []


def words(line: str) -> list[str]:
    """The words of a command line, without its comment. (shlex takes any # for the start of one.)"""
    return shlex.split(re.sub(r"(^|\s)#\s.*$", "", line))


def tiny(text: str) -> str:
    """A text with the places of a real picture moved into a tiny one."""
    for real, moved in PLACES.items():
        text = text.replace(real, moved)
    return text


def make_files(folder: Path) -> Path:
    """Every picture, trimap and mask that the pages name, tiny."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    picture = np.stack([60 + x, 90 + y, 40 + x + y], -1).astype(np.uint8) + rng.integers(
        0, 9, (HEIGHT, WIDTH, 3), np.uint8
    )
    distance = np.hypot(y - HEIGHT / 2, x - WIDTH / 2)
    picture[distance < 20] = 250 - picture[distance < 20]
    trimap = np.where(distance < 14, 255, np.where(distance < 25, 128, 0)).astype(np.uint8)
    cv2.imwrite(str(folder / "painted.png"), painted())
    mask = np.where(distance < 20, 255, 0).astype(np.uint8)
    green = np.where((distance < 20)[..., None], picture, np.array((40, 200, 30), np.uint8))
    cv2.imwrite(str(folder / "shot.png"), green)
    flat = np.where((distance < 20)[..., None], np.array((30, 60, 220), np.uint8), np.uint8(255))
    cv2.imwrite(str(folder / "logo.png"), flat)
    cv2.imwrite(str(folder / "composed.png"), picture)
    for name in ("portrait", "portrait-small", "photo", "p", "shoe", "beach"):
        cv2.imwrite(str(folder / f"{name}.jpg"), picture)
    for name in ("frame", "scan"):
        cv2.imwrite(str(folder / f"{name}.tif"), picture)
    for name in ("trimap.png", "trimap-small.png"):
        cv2.imwrite(str(folder / name), trimap)
    for name in ("mask.png", "mask-small.png"):
        cv2.imwrite(str(folder / name), mask)
    cv2.imwrite(str(folder / "small-mask.png"), mask[::2, ::2])
    cv2.imwrite(str(folder / "matte.png"), cv2.GaussianBlur(mask, (0, 0), 2))
    cv2.imwrite(str(folder / "photo_alpha.png"), cv2.GaussianBlur(mask, (0, 0), 2))
    cv2.imwrite(str(folder / "truth.png"), cv2.GaussianBlur(mask, (0, 0), 2))
    cv2.imwrite(str(folder / "cutout.png"), np.dstack([picture, mask]))
    cv2.imwrite(str(folder / "deep.png"), picture.astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "trimap.jpg"), trimap, [cv2.IMWRITE_JPEG_QUALITY, 90])
    strokes = picture.copy()
    strokes[30:42, 44:52], strokes[2:6] = (0, 0, 255), (255, 0, 0)
    cv2.imwrite(str(folder / "strokes.png"), strokes)
    light = (picture[..., ::-1] / 255).astype(np.float32) ** 2.2
    _save_exr(folder / "plate.exr", light, ("R", "G", "B"))
    _save_exr(folder / "trimap.exr", (trimap / 255).astype(np.float32)[..., None], ("Y",))
    layers = ("beauty.R", "beauty.G", "beauty.B", "key_light.R", "key_light.G", "key_light.B", "depth.Z")
    _save_exr(folder / "shot.exr", np.dstack([light, light, light[..., :1]]), layers)
    for sub, name in (("blue", "a"), ("red", "shoe"), ("red", "hair")):
        for kind, pixels, suffix in (
            ("photos", picture, ".jpg"),
            ("photos", trimap, "_trimap.png"),
            ("trimaps", trimap, ".png"),
            ("masks", mask, ".png"),
        ):
            (folder / kind / sub).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / kind / sub / f"{name}{suffix}"), pixels)
    (folder / "pairs.csv").write_text("picture,mask,cutout\nphotos/red/shoe.jpg,masks/red/shoe.png,red/shoe.png\n")
    (folder / "shots").mkdir()
    for frame in range(1001, 1004):
        _save_exr(folder / "shots" / f"a.{frame}.exr", light, ("R", "G", "B"))
        cv2.imwrite(str(folder / "shots" / f"a.{frame}.trimap.png"), trimap)
    return folder


def painted() -> np.ndarray:
    """A trimap as a careless hand paints it: anti-aliased in places, with a hole, a speck and missing grey."""
    y, x = np.mgrid[:900, :1200]
    away = np.hypot(y - 520, x - 600)
    trimap = np.where(away < 250, 255, np.where(away < 330, 128, 0)).astype(np.uint8)
    trimap[560:563, 610:614] = 128
    trimap[100:103, 200:203] = 255
    trimap[500:540, 850:930] = np.where(away[500:540, 850:930] < 290, 255, 0)
    trimap[300:340, 400:800] = cv2.GaussianBlur(trimap, (5, 5), 0)[300:340, 400:800]
    return trimap


def copy_of(made: Path, folder: Path) -> Path:
    """A copy of the made files, for one block."""
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder


def _save_exr(path: Path, pixels: np.ndarray, channels: tuple[str, ...]) -> None:
    spec = oiio.ImageSpec(WIDTH, HEIGHT, len(channels), "half")
    spec.channelnames = channels
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec) and output.write_image(np.ascontiguousarray(pixels)) and output.close()
