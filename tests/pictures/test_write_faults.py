"""Faults in every write of every format: the old file or none, an error that says why, and nothing else."""

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_pictures import noise, whole, write

from hdmatt.errors import OutputError
from hdmatt.inference.outputs import OutputFiles, Outputs
from hdmatt.inference.threads import WriteQueue
from hdmatt.pictures import reader
from hdmatt.pictures.colours.encoding import SRGB
from hdmatt.pictures.info import PictureInfo
from hdmatt.pictures.writer import PictureWriter
from hdmatt.system import hidden, staged

FORMATS = [(".png", "8", 4), (".jpg", "8", 3), (".tif", "16", 4), (".exr", "half", 4), (".webp", "8", 4)]
ERRORS = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EPIPE]
HEIGHT, WIDTH = 90, 60


class FullAfter:
    """A disk that takes so many bytes, and then fails."""

    def __init__(self, room: float, number: int = errno.ENOSPC) -> None:
        self.room, self.number, self.failures = room, number, 0

    def write(self, file: int, data: memoryview) -> int:
        count = int(min(len(data), self.room))
        if not count:
            self.failures += 1
            raise OSError(self.number, os.strerror(self.number))
        self.room -= count
        return os.write(file, data[:count])


def failing_write(tmp_path: Path, suffix: str, depth: str, channels: int, disk: FullAfter) -> str:
    """The error's text of a picture that the disk does not take; the old file must be there, and nothing else."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(OutputError) as error:
        write(path, noise(channels, np.float32, HEIGHT, WIDTH), depth)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [path.name]
    assert disk.failures == 1  # after a failure nothing more is tried
    return error.value.message


def in_full(tmp_path: Path, suffix: str, depth: str, channels: int) -> int:
    """Bytes that the picture has and bytes that are written again at the end, together."""
    disk, write_bytes = FullAfter(float("inf")), hidden._write
    total = [0]

    def counted(file: int, data: memoryview) -> int:
        count = disk.write(file, data)
        total[0] += count
        return count

    hidden._write = counted
    try:
        write(tmp_path / f"a{suffix}", noise(channels, np.float32, HEIGHT, WIDTH), depth)
    finally:
        hidden._write = write_bytes
    return total[0]


def check_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: Callable[[int], list[int]]) -> None:
    for suffix, depth, channels in FORMATS:
        size = in_full(tmp_path, suffix, depth, channels)
        (tmp_path / f"a{suffix}").unlink()
        for number in ERRORS:
            for place in places(size):
                disk = FullAfter(place, number)
                monkeypatch.setattr(hidden, "_write", disk.write)
                text = failing_write(tmp_path, suffix, depth, channels, disk)
                assert f"a{suffix} cannot be written ({os.strerror(number)})" in text
                (tmp_path / f"a{suffix}").unlink()


def test_a_fault_at_the_first_byte_within_and_at_the_last(tmp_path, monkeypatch):
    check_faults(tmp_path, monkeypatch, lambda size: [0, size // 2, size - 1])


@pytest.mark.release
def test_a_fault_at_any_byte(tmp_path, monkeypatch):
    random_bytes = random.Random(0)
    check_faults(tmp_path, monkeypatch, lambda size: [random_bytes.randrange(size) for _ in range(50)])


@pytest.mark.parametrize(("suffix", "depth", "channels"), FORMATS)
def test_a_disk_that_fails_when_all_seems_written_is_told(tmp_path, monkeypatch, suffix, depth, channels):
    disk = FullAfter(0, errno.EDQUOT)
    monkeypatch.setattr(hidden, "_sync", lambda file: disk.write(file, memoryview(b"x")))
    assert os.strerror(errno.EDQUOT) in failing_write(tmp_path, suffix, depth, channels, disk)


@pytest.mark.release
@pytest.mark.parametrize(("suffix", "depth", "channels"), FORMATS)
def test_a_limit_of_file_sizes_is_met_before_the_encoder_meets_it(tmp_path, suffix, depth, channels):
    """`ulimit -f` counts for files in memory, too: libjpeg would end the process, OpenEXR wait for ever."""
    pytest.importorskip("resource")
    program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
    program += "import numpy as np; from small_pictures import noise, write; from hdmatt.errors import OutputError\n"
    program += "from pathlib import Path\n"
    program += f"try: write(Path({f'a{suffix}'!r}), noise({channels}, np.float32, 300, 200), {depth!r})\n"
    program += "except OutputError as error: print(error.message)"
    paths = os.pathsep.join([str(Path(reader.__file__).parents[2]), str(Path(__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert f"a{suffix} cannot be written ({os.strerror(errno.EFBIG)})" in done.stdout, done.stderr
    assert os.listdir(tmp_path) == [] and not done.stderr


@pytest.mark.parametrize(("suffix", "depth", "channels"), FORMATS)
def test_the_bytes_are_those_that_the_library_writes_by_itself(tmp_path, monkeypatch, suffix, depth, channels):
    pixels = noise(channels, np.float32, 1500, 40)  # taller than what is kept in memory
    through_memory = write(tmp_path / f"a{suffix}", pixels, depth)
    monkeypatch.setattr(staged, "_can_stage", lambda: False)
    by_itself = write(tmp_path / f"b{suffix}", pixels, depth)
    assert through_memory.read_bytes() == by_itself.read_bytes() and whole(by_itself).shape[:2] == (1500, 40)


@pytest.mark.skipif(not staged._can_stage(), reason="files in memory are Linux's")
@pytest.mark.parametrize(("suffix", "depth", "channels"), [f for f in FORMATS if f[0] != ".webp"])
def test_encoded_rows_do_not_pile_up_in_memory(tmp_path, suffix, depth, channels):
    pixels = noise(channels, np.float32, 64, 1500)
    with PictureWriter(tmp_path / f"a{suffix}", 10 * 64, 1500, channels=channels, bit_depth=depth) as writer:
        most = 0
        for _ in range(10):
            writer.write(pixels)
            memory = writer._encoder._staged._file
            most = max(most, os.fstat(memory).st_blocks * 512)
    assert os.path.getsize(tmp_path / f"a{suffix}") > 1.5e6 and most < 7e5


def test_of_several_outputs_none_appears_when_one_fails_and_what_is_queued_is_dropped(tmp_path, monkeypatch):
    info = PictureInfo(None, HEIGHT, WIDTH, 3, False, np.dtype(np.uint8), SRGB, None, None)
    outputs = Outputs(tmp_path / "a.png", tmp_path / "f.exr", tmp_path / "c.tif", bit_depth="auto")
    for path in outputs.paths():
        path.write_bytes(b"old")
    disk = FullAfter(10_000)
    monkeypatch.setattr(hidden, "_write", disk.write)
    alpha, colours = noise(1, np.float32, HEIGHT, WIDTH)[..., 0], noise(3, np.float32, HEIGHT, WIDTH)
    with (
        pytest.raises(OutputError, match=r"\w\.\w+ cannot be written \(No space left"),
        OutputFiles(outputs, info) as files,
        WriteQueue(depth=4) as queue,
    ):
        for y in range(0, HEIGHT, 10):
            queue.submit(files.write_alpha, alpha[y : y + 10])
            queue.submit(files.write_colours, colours[y : y + 10], alpha[y : y + 10])
    assert disk.failures == 1
    assert sorted(os.listdir(tmp_path)) == ["a.png", "c.tif", "f.exr"]
    assert all(path.read_bytes() == b"old" for path in outputs.paths())


_KILLED = """
import numpy as np, sys
from pathlib import Path
from small_pictures import noise, write
folder, suffix, depth, channels = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
pixels = noise(channels, np.float32, 600, 400)
print("ready", flush=True)
while True:
    write(folder / f"a{suffix}", pixels, depth)
"""


def kill_at_random(folder: Path, suffix: str, depth: str, channels: int, seconds: float) -> str:
    """A process that writes a picture again and again, killed; what it left, a whole picture or none."""
    paths = os.pathsep.join([str(Path(reader.__file__).parents[2]), str(Path(__file__).parents[1])])
    command = [sys.executable, "-c", _KILLED, str(folder), suffix, depth, str(channels)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE)
    try:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(seconds)
    finally:
        process.kill()
        process.communicate()
    path = folder / f"a{suffix}"
    assert not path.exists() or whole(path).shape[:2] == (600, 400)
    assert all(name == path.name or name.startswith(".hdmatt-") for name in os.listdir(folder))
    left = len(os.listdir(folder)) - path.exists()
    hidden.remove_stale(folder)
    assert set(os.listdir(folder)) <= {path.name}
    whole_or_none = "a whole picture" if path.exists() else "no picture yet"
    return f"{whole_or_none}, {'a hidden file, removed by the next run' if left else 'no hidden file'}"


@pytest.mark.release
@pytest.mark.parametrize(("suffix", "depth", "channels"), FORMATS)
def test_a_process_that_is_killed_leaves_whole_pictures_and_its_hidden_file_goes(tmp_path, suffix, depth, channels):
    for seconds in random.Random(0).sample(range(1, 300), 2):
        kill_at_random(tmp_path, suffix, depth, channels, seconds / 1000)
