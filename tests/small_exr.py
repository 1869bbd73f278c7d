"""EXR files as other programs write them: by the OpenEXR package, or byte by byte where it cannot."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

HEIGHT, WIDTH = 6, 8


def flat(value: float, dtype: Any = np.float32, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A channel of one value."""
    return np.full((height, width), value, dtype)


def layer(prefix: str, *values: float, names: Sequence[str] = "RGBA", **size: int) -> dict[str, np.ndarray]:
    """Channels of one layer, as `layer("rgba.", 0.1, 0.2, 0.3)`; `size` is a height and a width."""
    return {f"{prefix}{name}": flat(value, **size) for name, value in zip(names, values, strict=False)}


def save_exr(path: Path, channels: dict[str, np.ndarray], **header: Any) -> Path:
    """A file of one part."""
    with OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, dict(channels)) as file:
        file.write(str(path))
    return path


def save_parts(path: Path, parts: dict[str, dict[str, np.ndarray]], **views: str) -> Path:
    """A file of several parts; `views` says the view of a part by its name, with _ for a dot."""
    made = []
    for name, channels in parts.items():
        view = views.get(name.replace(".", "_"))
        header = {"name": name, "type": OpenEXR.scanlineimage, **({"view": view} if view else {})}
        made.append(OpenEXR.Part(header, dict(channels), name))
    with OpenEXR.File(made) as file:
        file.write(str(path))
    return path


def windows(data: tuple[int, int, int, int], display: tuple[int, int, int, int]) -> dict[str, Any]:
    """Header of windows given as x, y, width, height."""

    def box(x: int, y: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        return np.array([x, y], np.int32), np.array([x + width - 1, y + height - 1], np.int32)

    return {"dataWindow": box(*data), "displayWindow": box(*display)}


def save_by_hand(path: Path, *names: str, half: Sequence[str] = (), text: dict[str, bytes] | None = None) -> Path:
    """Half floats without compression, all 0; channels in `half` have half the resolution, `text` are attributes."""

    def attribute(name: str, kind: str, data: bytes) -> bytes:
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(data)) + data

    step = {name: 2 if name in half else 1 for name in names}
    channels = b"".join(
        name.encode() + b"\0" + struct.pack("<iBxxxii", 1, 0, step[name], step[name]) for name in sorted(names)
    )
    box = struct.pack("<4i", 0, 0, WIDTH - 1, HEIGHT - 1)
    head = b"v/1\1" + struct.pack("<i", 2)
    head += attribute("channels", "chlist", channels + b"\0") + attribute("compression", "compression", b"\0")
    head += attribute("dataWindow", "box2i", box) + attribute("displayWindow", "box2i", box)
    head += attribute("lineOrder", "lineOrder", b"\0") + attribute("pixelAspectRatio", "float", struct.pack("<f", 1))
    head += attribute("screenWindowCenter", "v2f", bytes(8))
    head += b"".join(attribute(name, "string", data) for name, data in (text or {}).items())
    head += attribute("screenWindowWidth", "float", struct.pack("<f", 1)) + b"\0"
    rows = []
    for y in range(HEIGHT):
        length = sum(2 * WIDTH // step[name] for name in names if y % step[name] == 0)
        rows.append(struct.pack("<ii", y, length) + bytes(length))
    offsets = np.cumsum([len(head) + 8 * HEIGHT, *map(len, rows[:-1])]).astype("<u8")
    path.write_bytes(head + offsets.tobytes() + b"".join(rows))
    return path
