"""What works on this machine, tried out: for `hdmatt info --check` and reports of faults.

Everything is tried on tiny pictures in a temporary folder. Nothing that fails ends the others, but for a package that
cannot be imported. So this module imports none of them at its top.

    Check            one thing that was tried, and what came of it
    check_machine    system, memory, packages, formats, models, devices with a tiny matte each, extras
"""

import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING

from hdmatt.errors import HDMattError
from hdmatt.system import memory

if TYPE_CHECKING:
    import numpy as np

WORKS, ABSENT, FAILS = "works", "absent", "fails"
_NEEDED = {  # packages, and what is imported of them
    "torch": "torch",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "OpenImageIO": "OpenImageIO",
    "pillow": "PIL",
    "scipy": "scipy",
    "safetensors": "safetensors",
}
_SIDE = 96  # pixels of the picture that is matted
_FAR = 2 / 255  # that a device's matte may be from the CPU's


@dataclass(frozen=True)
class Check:
    """One thing that was tried.

    Attributes:
        part: "system", "memory", "package", "format", "model", "device" or "extra".
        state: "works", "absent" (an optional part that is not installed) or "fails".
        detail: What was found, or the error in a line.
    """

    part: str
    name: str
    state: str
    detail: str


def check_machine() -> Iterator[Check]:
    """Everything, one after the other, as it is tried."""
    yield Check("system", platform.system(), WORKS, f"{platform.platform()}, Python {platform.python_version()}")
    most, _ = memory.container()
    limit = f"{memory.show(memory.default_limit())} of {memory.show(_all_memory())} without --memory"
    yield Check("memory", "limit", WORKS, limit + (f", container {memory.show(most)}" if most else ""))
    packages = [_tried("package", name, lambda name=name: _imported(name)) for name in _NEEDED]
    yield from packages
    if any(one.state == FAILS for one in packages):
        return
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as folder:
        for path, depth in _written(Path(folder)):
            name = f"{path.suffix[1:]} {depth}"
            yield _tried("format", name, lambda path=path, depth=depth: _written_and_read(path, depth))
    yield from _read_only()
    yield from _models()
    yield from _devices()
    yield from _extras()


def _tried(part: str, name: str, what: Callable[[], str]) -> Check:
    """What a function says, or how it failed."""
    try:
        return Check(part, name, WORKS, what())
    except HDMattError as error:
        return Check(part, name, FAILS, error.message)
    except Exception as error:  # whatever a broken installation throws is what we are asked to report
        return Check(part, name, FAILS, f"{type(error).__name__}: {error}".partition("\n")[0])


def _imported(name: str) -> str:
    import_module(_NEEDED[name])
    return metadata.version(name)


def _all_memory() -> int:
    import psutil

    return psutil.virtual_memory().total


def _written(folder: Path) -> Iterator[tuple[Path, str]]:
    """A path for every format and depth that we write."""
    from hdmatt.pictures.files.formats import FORMATS

    for suffix, kind in FORMATS.items():
        if suffix not in (".jpeg", ".tiff"):  # other names of formats that are there
            yield from ((folder / f"{depth}{suffix}", depth) for depth in kind.depths)


def _written_and_read(path: Path, depth: str) -> str:
    import numpy as np

    from hdmatt.pictures.files.formats import DEPTHS
    from hdmatt.pictures.info import WHITE
    from hdmatt.pictures.reader import open_picture
    from hdmatt.pictures.writer import PictureWriter

    y, x = np.mgrid[:16, :24]
    pixels = np.stack([y / 15, x / 23, (y + x) / 38], -1).astype(np.float32)
    with PictureWriter(path, 16, 24, channels=3, bit_depth=depth) as writer:
        writer.write(pixels)
    with open_picture(path) as picture:
        read = picture.rows(0, 16)
    white = WHITE.get(np.dtype(DEPTHS[depth]).name, 1)
    error = float(np.abs(read / white - pixels).max())
    if error > (0.06 if path.suffix == ".jpg" else 1 / 255):
        raise RuntimeError(f"written and read again, colours are off by {error:.3f}")
    return "written and read again"


def _read_only() -> Iterator[Check]:
    """Formats that only some installations read."""
    import OpenImageIO
    from PIL import features

    known = str(OpenImageIO.get_string_attribute("format_list")).split(",")
    for name in ("jpeg2000", "jpegxl", "dpx", "psd"):
        yield Check("format", name, WORKS if name in known else ABSENT, "read by OpenImageIO" if name in known else "")
    avif = bool(features.check("avif"))
    yield Check("format", "avif", WORKS if avif else ABSENT, "read by Pillow" if avif else "this Pillow has no AVIF")


def _models() -> Iterator[Check]:
    from hdmatt.network.checkpoint import read_model
    from hdmatt.network.names import models
    from hdmatt.system.files import digest

    for name, path in models().items():
        yield _tried("model", name, lambda path=path: f"{read_model(path).config.cpc}, SHA-256 {digest(path)[:16]}")
    if not models():
        yield Check("model", "hdmatt-s", FAILS, "there are no weights in the package")


def _devices() -> Iterator[Check]:
    """A tiny matte on every device, compared with the CPU's."""
    import torch

    from hdmatt.runtimes.devices import pick_device

    found = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if pick_device("auto") == "mps":
        found.append("mps")
    first: list[np.ndarray] = []
    for device in found:
        yield _tried("device", device, lambda device=device: _tiny_matte(device, first))
    if len(found) == 1:
        yield Check("device", "gpu", ABSENT, f"PyTorch {torch.__version__} sees none")


def _tiny_matte(device: str, first: "list[np.ndarray]") -> str:
    from time import perf_counter

    import numpy as np

    from hdmatt.api import matte
    from hdmatt.inference.options import NetworkChoice

    y, x = np.mgrid[:_SIDE, :_SIDE]
    distance = np.hypot(y - _SIDE / 2, x - _SIDE / 2)
    share = np.clip((36 - distance) / 12, 0, 1)[..., None]
    picture = np.rint(share * (200, 140, 90) + (1 - share) * (30, 80, 160)).astype(np.uint8)
    trimap = np.where(distance < 20, 255, np.where(distance < 40, 128, 0)).astype(np.uint8)
    started = perf_counter()
    alpha = matte(picture, trimap, network=NetworkChoice(device=device)).alpha
    seconds = perf_counter() - started
    if not np.isfinite(alpha).all() or (alpha[trimap == 255] != 1).any() or (alpha[trimap == 0] != 0).any():
        raise RuntimeError("the matte has wrong pixels")
    first.append(alpha)
    off = float(np.abs(alpha - first[0]).max())
    if off > _FAR:
        raise RuntimeError(f"the matte is off by {off:.3f} from the first device's")
    cores = f", {os.cpu_count()} cores" if device == "cpu" else ""
    return f"a matte of {_SIDE} x {_SIDE} pixels in {seconds:.1f} s{cores}"


def _extras() -> Iterator[Check]:
    """The optional parts, by the package's own metadata."""
    try:
        needs = metadata.requires("hdmatt") or []
    except metadata.PackageNotFoundError:
        yield Check("extra", "all", ABSENT, "hdmatt is not installed as a package, so its extras are not known")
        return
    extras: dict[str, list[str]] = {}
    for line in needs:
        match = re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", line)
        if match and match[2] not in ("dev", "docs", "release"):
            extras.setdefault(match[2], []).append(match[1])
    for name, packages in sorted(extras.items()):
        missing = [one for one in packages if not _is_installed(one)]
        detail = f"pip install 'hdmatt[{name}]'" if missing else ", ".join(packages)
        yield Check("extra", name, ABSENT if missing else WORKS, detail)


def _is_installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False
