"""Compare the mattes of two checkouts: the same pictures, the same machine, fp32 on a CPU.

    python research/same_mattes.py --old OLD --new NEW --work WORK

OLD and NEW are checkouts of this repository. Every case is one run of `hdmatt matte`, or one call of `hdmatt.matte` on
arrays, in a process of its own. WORK keeps the pictures, which are made from OLD's example and from a seed, and the
results of OLD, so that a second run only computes NEW. Of NEW, WORK keeps the results that are not the same bytes. The
table has one line a case, with the largest difference of each output:

    same bytes                   the files are the same, but for time stamps
    same pixels                  only what the file says about the picture differs
    within 1e-5                  every value; alpha and colours are counted from 0 to 1
    within one 16-bit step       every value: 1/65535
    within one step of the file  8 bits and half floats are coarser; no more than 1 value in 200 may differ
    DIFFERENT                    more than that, another size or type, or a run that failed

The exit code is 1 if a case is DIFFERENT. --bytes accepts nothing but the same bytes; --alpha-only judges alpha alone.
An option that has another name in NEW gets one more line in COMMAND_LINE or KEYWORDS. Read top to bottom:

    CASES             what is compared
    COMMAND_LINE, KEYWORDS    how each checkout spells the options
    compare           two arrays -> verdict and difference
    main              runs, compares, prints
    make_pictures     the inputs
"""

import argparse
import hashlib
import inspect
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenImageIO as oiio
from PIL import Image, ImageCms

ALPHA_LIMIT = 1e-5
STEP = 1 / 65535  # of 16 bits
MOST_STEPS = 0.005  # share of values in 8 bits or half floats that may be rounded to the neighbour
LIBRARIES = ("torch", "numpy", "scipy", "opencv-python-headless", "OpenImageIO", "pillow", "pymatting", "numba")
KINDS = ("alpha", "foreground", "cutout", "composite")
Spellings = dict[str, list[tuple[str, dict[str, str]]]]


@dataclass(frozen=True)
class Case:
    """One run.

    Attributes:
        picture: Name in WORK/inputs; the trimap has the same name in front of "-trimap.png".
        options: Option -> value, in the names of COMMAND_LINE and KEYWORDS.
        files: Suffix of each output, in the order of KINDS; "" is not written. Unused for arrays.
        arrays: Call `hdmatt.matte`: "" is the command line, "path" gives it paths, else the arrays' type.
    """

    name: str
    picture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, str, str, str] = (".tif", ".tif", ".tif", "")
    arrays: str = ""


FLOAT = {"bit_depth": "float"}
CASES = [
    # sizes: above 1800 pixels a smaller picture is matted first
    Case("whole example", "photo.jpg", FLOAT, (".tif", ".tif", ".tif", ".tif")),
    Case("2300x1900, 16 bit", "photo-2300.png", {"bit_depth": "16"}, (".png", ".png", ".png", "")),
    Case("2000x900, tiled", "photo-2000.tif", FLOAT),
    Case("2000x900, grid", "photo-2000.tif", FLOAT | {"cover": "grid", "topk": 3}),
    Case("2000x900, low memory", "photo-2000.tif", FLOAT | {"memory": "900MiB"}, (".tif", "", ".tif", "")),
    Case("2000x900, two devices", "photo-2000.tif", FLOAT | {"device": "cpu,cpu", "batch": 2}, (".tif", "", "", "")),
    # strategies, contexts, places of the patches
    Case("default", "head.jpg", FLOAT | {"background": "#d8d2c8"}, (".tif", ".tif", ".tif", ".tif")),
    Case("crop", "head.jpg", FLOAT | {"strategy": "crop"}),
    Case("tiles", "head.jpg", FLOAT | {"strategy": "tiles"}),
    Case("downsample", "head.jpg", FLOAT | {"strategy": "downsample"}),
    Case("all at once", "head.jpg", FLOAT | {"strategy": "whole"}),
    Case("K = 0", "head.jpg", FLOAT | {"topk": 0}),
    Case("K = 0, grid", "head.jpg", FLOAT | {"topk": 0, "cover": "grid"}, (".tif", "", "", "")),
    Case("grid", "head.jpg", FLOAT | {"cover": "grid"}),
    Case("fewest, batch 3", "head.jpg", FLOAT | {"cover": "fewest", "batch": 3}, (".tif", "", "", "")),
    Case("small patches", "head.jpg", FLOAT | {"patch": 256, "overlap": 32, "candidates": 5}, (".tif", "", "", "")),
    Case("torch runtime", "head.jpg", FLOAT | {"runtime": "torch"}, (".tif", "", "", "")),
    Case("onnx runtime", "head.jpg", FLOAT | {"runtime": "onnx"}, (".tif", "", "", "")),
    # files
    Case("8 bit, as the picture", "crop.jpg", {"background": "crop-back.png"}, (".png", ".png", ".webp", ".jpg")),
    Case("EXR half", "scene-half.exr", {"background": "#4080c0"}, (".exr", ".exr", ".exr", ".exr")),
    Case("EXR float", "scene-float.exr", {}, (".exr", ".exr", ".exr", "")),
    Case("EXR float to 16 bit", "scene-float.exr", {"bit_depth": "16"}, (".png", ".tif", ".png", "")),
    Case("16-bit TIFF with profile", "scene-16.tif", {}, (".tif", ".tif", ".png", "")),
    Case("grey", "scene-grey.png", FLOAT),
    Case("grey, 8 bit", "scene-grey.png", {}, (".png", "", ".png", "")),
    Case("with alpha channel", "crop-alpha.png", FLOAT),
    Case("turned by EXIF", "scene-turned.jpg", FLOAT),
    Case("333x257", "scene-small.png", FLOAT),
    Case("no unknown pixel", "scene-known.png", FLOAT),
    Case("trimap of many greys", "scene-soft.png", FLOAT),
    # Python
    Case("Python, uint8", "head.jpg", {"background": "#d8d2c8"}, arrays="uint8"),
    Case("Python, uint16, grid", "crop.jpg", {"cover": "grid", "topk": 3, "batch": 2}, arrays="uint16"),
    Case("Python, linear floats", "crop.jpg", {"linear": True, "background": "#4080c0"}, arrays="float32"),
    Case("Python, paths, small patches", "scene-half.exr", {"patch": 256, "overlap": 32}, arrays="path"),
    Case("Python, whole", "scene-small.png", {"strategy": "whole"}, arrays="uint8"),
    Case("Python, 2000x900, K = 0", "photo-2000.tif", {"topk": 0}, arrays="path"),
]
ALWAYS = {"precision": "fp32", "device": "cpu", "memory": "2GiB"}  # a default limit depends on what else runs

# option -> (spelling, {value: its other name}), the newest first; a checkout gets the first that it has
COMMAND_LINE: Spellings = {
    "alpha": [("--output", {})],
    "foreground": [("--foreground", {})],
    "cutout": [("--cutout", {})],
    "composite": [("--composite", {})],
    "background": [("--background", {})],
    "strategy": [("--strategy", {})],
    "patch": [("--patch", {})],
    "overlap": [("--overlap", {})],
    "topk": [("--topk", {})],
    "candidates": [("--candidates", {})],
    "memory": [("--memory", {})],
    "batch": [("--batch", {})],
    "cover": [("--windows", {}), ("--cover", {})],
    "device": [("--device", {})],
    "runtime": [("--runtime", {})],
    "precision": [("--precision", {})],
    "bit_depth": [("--bit-depth", {})],
}
# the same for Python: keywords of matte(), else fields of the classes in GROUPS
KEYWORDS: Spellings = {
    "strategy": [("strategy", {})],
    "patch": [("patch", {})],
    "overlap": [("overlap", {})],
    "topk": [("topk", {})],
    "candidates": [("candidates", {})],
    "memory": [("memory_limit", {}), ("memory", {})],
    "batch": [("batch", {})],
    "cover": [("windows", {}), ("cover", {})],
    "device": [("device", {})],
    "runtime": [("runtime", {})],
    "precision": [("precision", {})],
    "linear": [("linear", {})],
}
# keyword of matte() -> its class in hdmatt
GROUPS = {"options": "Options", "network": "NetworkChoice", "choice": "NetworkChoice"}


class Verdict(IntEnum):
    """From the best to the worst."""

    BYTES = 0
    PIXELS = 1
    CLOSE = 2
    ONE_STEP = 3
    FILE_STEP = 4
    DIFFERENT = 5

    @property
    def words(self) -> str:
        names = ["same bytes", "same pixels", "within 1e-5", "within one 16-bit step", "within one step of the file"]
        return [*names, "DIFFERENT"][self]


def compare(old: np.ndarray, new: np.ndarray) -> tuple[Verdict, float]:
    """The verdict on two arrays of values, and their largest difference on the scale from 0 to 1.

    Integers are divided by the largest of their type. The same bits are `Verdict.PIXELS`.
    """
    if old.shape != new.shape or old.dtype != new.dtype:
        return Verdict.DIFFERENT, np.inf
    if old.tobytes() == new.tobytes():
        return Verdict.PIXELS, 0.0
    scale = np.iinfo(old.dtype).max if old.dtype.kind == "u" else 1
    with np.errstate(invalid="ignore"):  # inf - inf
        gap = np.abs(old.astype(np.float64) - new.astype(np.float64)) / scale
    gap[(old == new) | ((old != old) & (new != new))] = 0
    largest = float(gap.max()) if np.isfinite(gap).all() else np.inf
    rounding = 1e-9  # of the difference and the division
    if largest <= ALPHA_LIMIT + rounding:
        return Verdict.CLOSE, largest
    if largest <= STEP + rounding:
        return Verdict.ONE_STEP, largest
    if old.dtype in (np.uint8, np.float16) and np.isfinite(largest):
        both = np.maximum(np.abs(old), np.abs(new))
        steps = 1 / 255 if old.dtype == np.uint8 else np.spacing(both).astype(np.float64)
        if (gap <= steps + rounding).all() and np.count_nonzero(gap) <= MOST_STEPS * gap.size:
            return Verdict.FILE_STEP, largest
    return Verdict.DIFFERENT, largest


def compare_files(old: Path, new: Path) -> tuple[Verdict, float]:
    """The verdict on two pictures or .npy files, and their largest difference on the scale from 0 to 1."""
    if old.read_bytes() == new.read_bytes():
        return Verdict.BYTES, 0.0
    if old.suffix == ".npy":
        return compare(np.load(old), np.load(new))
    (before, facts), (after, other_facts) = _read(old), _read(new)
    verdict, largest = compare(before, after)
    if verdict == Verdict.PIXELS and facts == other_facts:
        return Verdict.BYTES, 0.0
    return verdict, largest


def spelled(name: str, value: Any, table: Spellings, known: Collection[str]) -> tuple[str, Any]:
    """An option's spelling and value in the checkout that knows these spellings.

    Raises:
        LookupError: The table has no spelling that the checkout knows.
    """
    for spelling, values in table[name]:
        if spelling in known:
            return spelling, values.get(str(value), value)
    tried = ", ".join(spelling for spelling, _ in table[name])
    raise LookupError(f"the checkout has none of {tried}: add its name of {name!r} to {Path(__file__).name}")


class Checkout:
    """One of the two trees: its key, its environment and its options."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder = folder.resolve()
        source = self.folder / "src"
        digest = hashlib.sha256("".join([sys.version, platform.processor(), *map(version, LIBRARIES)]).encode())
        for path in sorted((source / "hdmatt").rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(source)).encode() + path.read_bytes())
        git = ["git", "-C", str(self.folder), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "no-commit"
        self.key = f"{commit}-{digest.hexdigest()[:12]}"
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.graphs = work / "graphs" / self.key  # each tree runs those that it exported
        shown = {"COLUMNS": "200", "NO_COLOR": "1"}
        self.environment = {
            **os.environ,
            **threads,
            **shown,
            "PYTHONPATH": str(source),
            "HDMATT_CACHE": str(self.graphs),
        }
        where = self._ask(["-c", "import hdmatt; print(hdmatt.__file__)"])
        if source not in Path(where.strip()).resolve().parents:
            raise SystemExit(f"{self.folder} is not what Python imports, but {where.strip()}")
        self.flags = set(self._ask(["-m", "hdmatt", "matte", "--help"]).replace(",", " ").split())

    def command(self, case: Case, inputs: Path, out: Path) -> list[str]:
        """What runs the case; writes its outputs into the folder `out`."""
        picture = inputs / case.picture
        trimap = inputs / f"{picture.stem}-trimap.png"
        options = {**ALWAYS, **case.options}
        if case.arrays:
            call = {"picture": str(picture), "trimap": str(trimap), "arrays": case.arrays, "options": options}
            (out / "call.json").write_text(json.dumps(call))
            return [sys.executable, "-P", str(Path(__file__).resolve()), "--call", str(out)]
        for kind, suffix in zip(KINDS, case.files, strict=True):
            if suffix:
                options[kind] = out / f"{kind}{suffix}"
        if "composite" in options and "background" not in options:
            options["background"] = "#336699"
        if (inputs / str(options.get("background"))).is_file():
            options["background"] = inputs / options["background"]
        if "composite" not in options:
            options.pop("background", None)
        words = [spelled(name, value, COMMAND_LINE, self.flags) for name, value in options.items()]
        flags = [str(part) for pair in words for part in pair]
        return [sys.executable, "-P", "-m", "hdmatt", "matte", str(picture), str(trimap), *flags]

    def run(self, case: Case, inputs: Path, folder: Path) -> float:
        """Runs the case into the folder; seconds. The folder is there only if the run succeeded.

        Raises:
            RuntimeError: The run failed; its last lines.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            out = Path(made) / "out"
            out.mkdir()
            try:
                command = self.command(case, inputs, out)
            except LookupError as error:
                raise RuntimeError(str(error.args[0])) from None
            started = time.monotonic()
            done = subprocess.run(command, env=self.environment, cwd=made, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()[-2000:]}")
            seconds = time.monotonic() - started
            (out / "call.json").unlink(missing_ok=True)
            (out / "seconds").write_text(f"{seconds:.1f}")
            out.rename(folder)
        return seconds

    def _ask(self, arguments: Sequence[str]) -> str:
        command = [sys.executable, "-P", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout


def call(folder: Path) -> None:
    """One call of `hdmatt.matte`, in a process of its own: folder/call.json -> folder/*.npy."""
    import hdmatt

    told = json.loads((folder / "call.json").read_text())
    options: dict[str, Any] = told["options"]
    background = options.pop("background", None)
    picture, trimap = told["picture"], told["trimap"]
    if told["arrays"] != "path":
        pixels, marks = cv2.imread(picture, cv2.IMREAD_COLOR), cv2.imread(trimap, cv2.IMREAD_GRAYSCALE)
        picture, trimap = pixels[..., ::-1], marks
        picture = _as_type(picture, np.dtype(told["arrays"]))
    result = hdmatt.matte(picture, trimap, **_keywords(hdmatt, options))
    np.save(folder / "alpha.npy", result.alpha)
    np.save(folder / "foreground.npy", result.foreground())
    np.save(folder / "cutout.npy", result.cutout())
    if background:
        np.save(folder / "composite.npy", result.composite(background))


def main() -> int:
    """0: no case differs; 1: one does."""
    asked = _asked()
    if asked.call:
        call(asked.call)
        return 0
    work = asked.work.resolve()
    old, new = Checkout(asked.old, work), Checkout(asked.new, work)
    inputs = make_pictures(old.folder / "examples", work / "inputs")
    cases = [case for case in CASES if not asked.cases or any(part in case.name for part in asked.cases)]
    results = work / "new" / new.key
    shutil.rmtree(results, ignore_errors=True)

    def one(case: Case) -> dict[str, Any]:
        name = _name(case, inputs)
        before, after = work / "old" / old.key / name, results / name
        if not before.is_dir():
            try:
                old.run(case, inputs, before)
            except RuntimeError as error:
                raise SystemExit(f"{case.name}: {old.folder} has no matte to compare with: {error}") from None
        row: dict[str, Any] = {"case": case.name, "old_seconds": float((before / "seconds").read_text())}
        try:
            row["new_seconds"] = new.run(case, inputs, after)
        except RuntimeError as error:
            return {**row, "verdict": Verdict.DIFFERENT, "failed": str(error)}
        row |= _judged(before, after, alpha_only=asked.alpha_only)
        if row["verdict"] == Verdict.BYTES:
            shutil.rmtree(after)
        return row

    print(f"old {old.key}, new {new.key}, {len(cases)} cases")
    print(_line("case", "alpha", "foreground", "cutout", "composite", "seconds", "verdict"))
    rows = []
    with ThreadPoolExecutor(asked.jobs) as pool:
        for row in pool.map(one, cases):
            rows.append(row)
            _show(row)
    if new.key != old.key:
        shutil.rmtree(new.graphs, ignore_errors=True)
    worst = max((row["verdict"] for row in rows), default=Verdict.BYTES)
    print(f"worst: {Verdict(worst).words}")
    if asked.json:
        told = {"old": old.key, "new": new.key, "rows": [row | {"verdict": row["verdict"].words} for row in rows]}
        asked.json.write_text(json.dumps(told, indent=1) + "\n")
    return int(worst > (Verdict.BYTES if asked.bytes else Verdict.FILE_STEP))


def make_pictures(examples: Path, folder: Path) -> Path:
    """Writes all pictures and trimaps into a new folder inside this one, unless they are there: its path."""
    source = (examples / "hair.jpg").read_bytes() + (examples / "hair-trimap.png").read_bytes()
    drawn_by = "".join(inspect.getsource(one) for one in (make_pictures, _photos, _scenes, _scene, _write))
    inputs = folder / hashlib.sha256(source + drawn_by.encode()).hexdigest()[:12]
    if inputs.is_dir():
        return inputs
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        out = Path(made) / "out"
        out.mkdir()
        shutil.copy(examples / "hair.jpg", out / "photo.jpg")
        shutil.copy(examples / "hair-trimap.png", out / "photo-trimap.png")
        _photos(out)
        _scenes(out)
        out.rename(inputs)
    return inputs


def _photos(out: Path) -> None:
    """Parts of the example, and the example at a quarter of its size."""
    random = np.random.default_rng(1)
    photo = np.asarray(Image.open(out / "photo.jpg"))
    marks = np.asarray(Image.open(out / "photo-trimap.png").convert("L"))
    deep = photo.astype(np.int64) * 257 + random.integers(-128, 129, photo.shape)  # 16 bits, all in use
    deep = np.clip(deep, 0, 65535).astype(np.uint16)
    crops = {"photo-2300": (500, 1900, 700, 2300), "photo-2000": (1500, 900, 500, 2000), "crop": (1350, 480, 450, 640)}
    for name, (y, height, x, width) in crops.items():
        Image.fromarray(marks[y : y + height, x : x + width]).save(out / f"{name}-trimap.png")
    inside = {name: (slice(y, y + h), slice(x, x + w)) for name, (y, h, x, w) in crops.items()}
    _write(out / "photo-2300.png", deep[inside["photo-2300"]])
    _write(out / "photo-2000.tif", deep[inside["photo-2000"]], tile=128)
    crop = photo[inside["crop"]]
    Image.fromarray(crop).save(out / "crop.jpg", quality=97, subsampling=0)
    Image.fromarray(np.ascontiguousarray(crop[::-1, ::-1])).save(out / "crop-back.png")
    cover = random.integers(1, 256, (*crop.shape[:2], 1), dtype=np.uint8)
    Image.fromarray(np.concatenate([crop, cover], axis=2)).save(out / "crop-alpha.png")
    shutil.copy(out / "crop-trimap.png", out / "crop-alpha-trimap.png")
    small = cv2.resize(photo, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    Image.fromarray(small).save(out / "head.jpg", quality=97, subsampling=0)
    Image.fromarray(marks[2::4, 2::4]).save(out / "head-trimap.png")


def _scenes(out: Path) -> None:
    """Drawn pictures: linear colours above 1, 16 bits with a profile, grey, turned, small, and odd trimaps."""
    colours, trimap = _scene(420, 560, seed=2)
    linear = colours**2.2 * 3
    _write(out / "scene-half.exr", linear.astype(np.float16))
    _write(out / "scene-float.exr", linear)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    _write(out / "scene-16.tif", (colours * 65535).round().astype(np.uint16), profile=profile)
    for name in ("scene-half", "scene-float", "scene-16"):
        Image.fromarray(trimap).save(out / f"{name}-trimap.png")
    colours, trimap = _scene(257, 333, seed=3)
    eight = (colours * 255).round().astype(np.uint8)
    Image.fromarray(eight).save(out / "scene-small.png")
    Image.fromarray(eight).convert("L").save(out / "scene-grey.png")
    for name in ("scene-small", "scene-grey"):
        Image.fromarray(trimap).save(out / f"{name}-trimap.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn clockwise to look at it
    Image.fromarray(eight).save(out / "scene-turned.jpg", quality=97, subsampling=0, exif=exif)
    Image.fromarray(np.rot90(trimap, -1).copy()).save(out / "scene-turned-trimap.png")
    Image.fromarray(eight).save(out / "scene-known.png")
    Image.fromarray(np.where(trimap > 127, 255, 0).astype(np.uint8)).save(out / "scene-known-trimap.png")
    Image.fromarray(eight).save(out / "scene-soft.png")
    Image.fromarray(cv2.GaussianBlur(trimap, (0, 0), 4)).save(out / "scene-soft-trimap.png")


def _scene(height: int, width: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A blob with a ragged edge in front of soft colours: H x W x 3 float32 in [0, 1], and its trimap."""
    random = np.random.default_rng(seed)

    def soft(cells: int, channels: int) -> np.ndarray:
        noise = random.random((cells, cells, channels), np.float32)
        large = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.clip(large.reshape(height, width, channels), 0, 1)

    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    inside = 0.65 - np.hypot(y, x) + 0.3 * (soft(24, 1)[..., 0] - 0.5) + 0.15 * (soft(90, 1)[..., 0] - 0.5)
    alpha = np.clip(inside * 12 + 0.5, 0, 1)[..., None].astype(np.float32)
    colours = alpha * soft(9, 3) + (1 - alpha) * soft(5, 3)
    colours = np.clip(colours + random.normal(0, 0.01, colours.shape), 0, 1).astype(np.float32)
    unknown = cv2.dilate(((alpha[..., 0] > 0) & (alpha[..., 0] < 1)).astype(np.uint8), np.ones((9, 9), np.uint8))
    return colours, np.where(unknown, 128, np.where(alpha[..., 0] > 0.5, 255, 0)).astype(np.uint8)


def _write(path: Path, pixels: np.ndarray, *, tile: int = 0, profile: bytes = b"") -> None:
    height, width, channels = pixels.shape
    types = {"uint16": oiio.UINT16, "float16": oiio.HALF, "float32": oiio.FLOAT}
    spec = oiio.ImageSpec(width, height, channels, types[pixels.dtype.name])
    if tile:
        spec.tile_width = spec.tile_height = tile
    if profile:
        kind = oiio.TypeDesc(oiio.UINT8, oiio.SCALAR, oiio.NOSEMANTICS, len(profile))
        spec.attribute("ICCProfile", kind, np.frombuffer(profile, np.uint8))
        spec.attribute("XResolution", 300.0)
        spec.attribute("YResolution", 300.0)
        spec.attribute("ResolutionUnit", "in")
    file = oiio.ImageOutput.create(str(path))
    if not file or not file.open(str(path), spec) or not file.write_image(pixels) or not file.close():
        raise OSError(f"{path} cannot be written: {file.geterror() if file else oiio.geterror()}")


def _read(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Stored values as they are, and what the file says about them, without time stamps."""
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    file = oiio.ImageInput.open(str(path), config)
    if not file:
        raise OSError(f"{path} cannot be read: {oiio.geterror()}")
    spec = file.spec()
    pixels = file.read_image(spec.format)
    file.close()
    facts = {
        one.name: one.value.tobytes() if isinstance(one.value, np.ndarray) else one.value
        for one in spec.extra_attribs
        if one.name not in {"DateTime", "capDate"}
    }
    return pixels, facts | {"channels": tuple(spec.channelnames), "tile": (spec.tile_width, spec.tile_height)}


def _as_type(pixels: np.ndarray, kind: np.dtype[Any]) -> np.ndarray:
    if kind == np.uint8:
        return np.ascontiguousarray(pixels)
    return pixels.astype(np.uint16) * 257 if kind == np.uint16 else (pixels / 255).astype(kind)


def _keywords(hdmatt: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `hdmatt.matte`; what it takes as an object is made."""
    own = inspect.signature(hdmatt.matte).parameters
    groups = {name: getattr(hdmatt, kind) for name, kind in GROUPS.items() if name in own and hasattr(hdmatt, kind)}
    inside = {one: name for name, kind in groups.items() for one in inspect.signature(kind).parameters}
    found: dict[str, Any] = {}
    grouped: dict[str, dict[str, Any]] = {name: {} for name in groups}
    for name, value in options.items():
        keyword, value = spelled(name, value, KEYWORDS, {*own, *inside})
        (found if keyword in own else grouped[inside[keyword]])[keyword] = value
    return found | {name: groups[name](**given) for name, given in grouped.items() if given}


def _name(case: Case, inputs: Path) -> str:
    """Folder of a case: another one when the case or its pictures change."""
    digest = hashlib.sha256(json.dumps([asdict(case), ALWAYS], sort_keys=True).encode())
    digest.update(inspect.getsource(call).encode() + inspect.getsource(_as_type).encode())
    for path in (inputs / case.picture, inputs / f"{Path(case.picture).stem}-trimap.png"):
        digest.update(path.read_bytes())
    words = "".join(letter if letter.isalnum() else "-" for letter in case.name.lower())
    return f"{words}-{digest.hexdigest()[:8]}"


def _judged(before: Path, after: Path, *, alpha_only: bool) -> dict[str, Any]:
    """Largest difference of each output, and the worst of their verdicts."""
    found: dict[str, Any] = {}
    verdicts = []
    for path in sorted(before.iterdir()):
        if path.name == "seconds":
            continue
        there = (after / path.name).is_file()
        verdict, largest = compare_files(path, after / path.name) if there else (Verdict.DIFFERENT, np.inf)
        found[path.stem] = "same" if verdict <= Verdict.PIXELS else f"{largest:.1e}"
        if path.stem == "alpha" or not alpha_only:
            verdicts.append(verdict)
    return {**found, "verdict": max(verdicts)}


def _show(row: dict[str, Any]) -> None:
    shown = dict(row)
    for kind in KINDS[1:]:  # colours in steps of 16 bits
        if kind in row and row[kind] != "same":
            shown[kind] = f"{float(row[kind]) / STEP:.3g} steps"
    seconds = f"{row['old_seconds']:.0f} -> {row['new_seconds']:.0f}" if "new_seconds" in row else "failed"
    print(_line(row["case"], *(shown.get(kind, "-") for kind in KINDS), seconds, row["verdict"].words), flush=True)
    if "failed" in row:
        print("    " + row["failed"].replace("\n", "\n    "), flush=True)


def _line(*cells: str) -> str:
    widths = (30, 8, 12, 12, 12, 10, 0)
    return " | ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--old", type=Path, help="checkout whose mattes are right")
    parser.add_argument("--new", type=Path, help="checkout to compare with it")
    parser.add_argument("--work", type=Path, help="folder of the pictures and of what OLD gave")
    names = ", ".join(case.name for case in CASES)
    parser.add_argument(
        "--cases", nargs="+", metavar="WORDS", help=f"only names with one of WORDS in them, of: {names}"
    )
    parser.add_argument("--jobs", type=int, default=2, help="cases at once, each on one core (default: 2)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="the table as JSON")
    parser.add_argument("--bytes", action="store_true", help="accept nothing but the same bytes")
    parser.add_argument("--alpha-only", action="store_true", help="judge alpha alone; colours are shown")
    parser.add_argument("--call", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not asked.call and not (asked.old and asked.new and asked.work):
        parser.error("--old, --new and --work are needed")
    return asked


if __name__ == "__main__":
    sys.exit(main())
