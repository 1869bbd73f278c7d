"""The program hdmatt, found and called, and the PNG files that it is given. Knows nothing about GIMP.

Only Python's own library is used, for GIMP brings a Python of its own. Read top to bottom:

    Refused        what the user must know, as a text
    find_program   the words that start hdmatt
    arguments      the words that follow them
    run            hdmatt, with its progress; gives its notes back
    some_channels  a part of a picture's channels
    write_png      pixels as they are, row by row
"""

import os
import queue
import shlex
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

_NOT_FOUND = """hdmatt was not found. It is not on PATH, not in ~/.local/bin, and no Python here has it.

Install it (pip install hdmatt, or uv tool install hdmatt), or write where it is into the field "Program" of the \
dialog: the path of hdmatt, or of a python that has it."""
_PROGRESS = "progress: "
_PSD_SIDE, _PSD_BYTES = 30_000, 100_000_000  # of one channel: what surely fits into a PSD's 2 GB
_ICC, _UNREAD = 1039, 4999  # resources of a PSD: the profile, and one of plug-ins' own
_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> PNG's colour type


class Refused(Exception):
    """What went wrong, in words for the user."""


def find_program(setting: str = "") -> list[str]:
    """The words that start hdmatt: those of the setting, or `hdmatt` on PATH, or `python -m hdmatt`.

    Args:
        setting: A path of hdmatt or of a python, or a command of several words. Empty: look around.

    Raises:
        Refused: The setting's program is not there, or nothing was found.
    """
    if setting.strip():
        words = [setting.strip()] if Path(setting.strip()).exists() else shlex.split(setting, posix=os.name != "nt")
        found = shutil.which(words[0])
        if found is None:
            raise Refused(f'"{words[0]}" is no program that can be run. Look at the field "Program" of the dialog.')
        module = ["-m", "hdmatt"] if len(words) == 1 and Path(found).stem.lower().startswith("python") else []
        return [found, *words[1:], *module]
    local = Path.home() / ".local" / "bin"  # programs with windows often have a PATH without it
    for place in (None, str(local)):
        if found := shutil.which("hdmatt", path=place):
            return [found]
    for python in (sys.executable, shutil.which("python3"), shutil.which("python")):
        if python and _has_hdmatt(python):
            return [python, "-m", "hdmatt"]
    raise Refused(_NOT_FOUND)


def arguments(folder: Path, *, psd: Path, is_mask: bool, band: str) -> list[str]:
    """The words after the program: `picture.png` of the folder, with `trimap.png` that is a trimap or a mask."""
    picture, marks = str(folder / "picture.png"), str(folder / "trimap.png")
    given = [picture, "--mask", marks, "--band", band.strip() or "auto"] if is_mask else [picture, marks]
    return ["matte", *given, "--psd", str(psd), "--progress-lines"]


def psd_name(height: int, width: int, depth: int) -> str:
    """A PSD's name, or a PSB's where the picture may be too large for a PSD. `depth` is in bytes."""
    large = max(height, width) > _PSD_SIDE or height * width * depth > _PSD_BYTES
    return "matte.psb" if large else "matte.psd"


def run(words: Sequence[str], show: Callable[[float | None], None]) -> list[str]:
    """Run hdmatt and give its notes and warnings back.

    Args:
        show: Called several times a second: with the share that is done, or None while it is not known.

    Raises:
        Refused: It ended with an error; the text is what hdmatt said.
    """
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows would open a console
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=_environment(),
            creationflags=hidden,
        )
    except OSError as error:
        raise Refused(f"{words[0]} could not be started: {error.strerror}.") from error
    with process:
        assert process.stderr is not None
        said, share = [], None
        try:
            for line in _lines(process.stderr):
                if line is not None and line.startswith(_PROGRESS):
                    share = _share(line)
                elif line is not None:
                    said.append(line)
                show(share)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        text = "\n".join(said).strip() or f"hdmatt ended with code {process.returncode} and said nothing."
        raise Refused(text)
    return said


def some_channels(pixels: bytes, *, channels: int, depth: int, wanted: Sequence[int]) -> bytes:
    """The wanted ones of interleaved channels, of 1 or 2 bytes each."""
    if list(wanted) == list(range(channels)):
        return pixels
    source = memoryview(pixels).cast("H" if depth == 2 else "B")
    target = bytearray(len(source) // channels * len(wanted) * depth)
    view = memoryview(target).cast("H" if depth == 2 else "B")
    for place, channel in enumerate(wanted):
        view[place :: len(wanted)] = source[channel::channels]
    return bytes(target)


def write_png(
    path: Path, strips: Iterable[bytes], *, height: int, width: int, channels: int, depth: int, icc: bytes | None = None
) -> None:
    """A PNG of pixels as they are: no conversion, no filter, an ICC profile if there is one.

    Args:
        strips: Rows from top to bottom, as many at a time as one likes; two bytes in the machine's own order.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA (straight).
        depth: Bytes of a number, 1 or 2.
    """
    row, rows = width * channels * depth, 0
    packer = zlib.compressobj(1)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        _chunk(file, b"IHDR", struct.pack(">IIBB3x", width, height, 8 * depth, _COLOURS[channels]))
        if icc:
            _chunk(file, b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
        for strip in strips:
            if depth == 2 and sys.byteorder == "little":
                strip = _swapped(strip)
            for y in range(0, len(strip), row):
                _chunk(file, b"IDAT", packer.compress(b"\0" + strip[y : y + row]))
                rows += 1
        _chunk(file, b"IDAT", packer.flush())
        _chunk(file, b"IEND", b"")
    if rows != height:
        raise RuntimeError(f"{path.name} has {rows} rows, expected {height}")


def _has_hdmatt(python: str) -> bool:
    words = [python, "-m", "hdmatt", "--version"]
    try:
        return subprocess.run(words, capture_output=True, timeout=30, env=_environment()).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _environment() -> dict[str, str]:
    """The environment without what GIMP sets for its own Python."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    return {**kept, "PYTHONUTF8": "1"}


def _lines(stream: Iterable[str]) -> Iterable[str | None]:
    """The lines of a stream as they come, and None in between, five times a second."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in stream:
            lines.put(line.rstrip("\r\n"))
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def _share(line: str) -> float | None:
    """0.25 of "progress: patches 3 of 12"."""
    try:
        done, _, total = line.split()[-3:]
        return min(int(done) / int(total), 1.0)
    except (ValueError, ZeroDivisionError):
        return None


def _swapped(pixels: bytes) -> bytes:
    """Two bytes each, in the other order."""
    swapped = bytearray(len(pixels))
    swapped[::2], swapped[1::2] = pixels[1::2], pixels[::2]
    return bytes(swapped)


def _chunk(file, kind: bytes, data: bytes) -> None:
    if data or kind != b"IDAT":
        file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


def hide_profile(path: Path) -> None:
    """Take the ICC profile from a PSD, in place.

    GIMP 3.0 reads the numbers of a PSD that has one as sRGB and converts them to it. Without it they stay as they are,
    and the caller says what they mean.
    """
    with open(path, "r+b") as file:
        file.seek(26)
        (colour_mode,) = struct.unpack(">I", file.read(4))
        file.seek(colour_mode, 1)
        (length,) = struct.unpack(">I", file.read(4))
        end = file.tell() + length
        while file.tell() < end:
            at = file.tell() + 4
            _, number, name = struct.unpack(">4sHB", file.read(7))
            file.seek(name + (name + 1) % 2, 1)
            (size,) = struct.unpack(">I", file.read(4))
            after = file.tell() + size + size % 2
            if number == _ICC:
                file.seek(at)
                file.write(struct.pack(">H", _UNREAD))
            file.seek(after)
