import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from hdmatt.errors import InputError
from hdmatt.system import memory


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("2GiB", 2 << 30),
        ("1tib", 1 << 40),
        ("1.5 GB", 1_500_000_000),
        ("1.2gb", 1_200_000_000),
        ("16 kB", 16_000),
        ("800M", 800 << 20),  # a bare letter is a power of 1024, as for dd, docker and systemd
        ("0.5G", 1 << 29),
        ("4096", 4096),
        ("4096 B", 4096),
    ],
)
def test_amounts_of_memory_are_read_as_people_write_them(text, amount):
    assert memory.parse_bytes(text) == amount


@pytest.mark.parametrize("text", ["", "lots", "-1GiB", "0", "0.4", "0.0001kB", "1 GiB more", "1XB", "1iB"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(InputError, match="is not an amount of memory"):
        memory.parse_bytes(text)


def test_an_amount_shown_rounded_up_is_enough_when_read_again():
    for amount in (1, memory.MIB, memory.MIB + 1, 3 * memory.GIB - 1):
        assert memory.parse_bytes(memory.show(amount, up=True)) >= amount


def test_the_peak_counts_what_was_held_and_given_back():
    before = memory.peak()
    held = np.ones(64 * memory.MIB, np.uint8)
    assert memory.resident() >= held.nbytes
    del held
    assert memory.peak() >= before
    assert memory.peak() >= memory.resident()


def test_what_was_freed_does_not_count_as_held():
    pieces = [np.ones(memory.MIB // 16, np.uint8) for _ in range(16 * 64)]  # small ones: the allocator keeps them
    full = memory.resident()
    del pieces
    assert memory.settled() <= full - 56 * memory.MIB
    assert memory.settled() == pytest.approx(memory.resident(), abs=memory.MIB)


def groups(root, lines, files):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("\n".join(lines) + "\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return memory.container(root)


def test_a_control_group_of_version_2_limits_and_so_does_one_above_it(tmp_path):
    files = {
        "job/step/memory.max": "max",
        "job/step/memory.current": 5 * memory.MIB,
        "job/memory.max": 100 * memory.MIB,
        "job/memory.current": 70 * memory.MIB,
        "job/memory.stat": f"anon 5\ninactive_file {20 * memory.MIB}\nactive_file 9",
        "memory.stat": "anon 5",  # the root has no limit file
    }
    assert groups(tmp_path, ["0::/job/step"], files) == (100 * memory.MIB, 50 * memory.MIB)


def test_a_container_sees_its_own_group_as_the_root(tmp_path):
    files = {"memory.max": 2 * memory.GIB, "memory.current": memory.GIB}
    assert groups(tmp_path, ["0::/"], files) == (2 * memory.GIB, memory.GIB)


def test_a_control_group_of_version_1_limits_unless_its_number_means_none(tmp_path):
    files = {
        "memory/a/b/memory.limit_in_bytes": 3 * memory.GIB,
        "memory/a/b/memory.usage_in_bytes": memory.GIB,
        "memory/a/memory.limit_in_bytes": 2**63 - 4096,
        "memory/a/memory.usage_in_bytes": memory.GIB,
    }
    lines = ["5:devices:/", "4:cpu,memory:/a/b", "0::/"]
    assert groups(tmp_path, lines, files) == (3 * memory.GIB, 2 * memory.GIB)


def test_a_path_of_the_host_that_the_container_does_not_show_falls_back_to_its_root(tmp_path):
    files = {"memory/memory.limit_in_bytes": memory.GIB, "memory/memory.usage_in_bytes": 0}
    assert groups(tmp_path, ["4:memory:/docker/123"], files) == (memory.GIB, memory.GIB)


def run(code: str) -> str:
    """What a program prints that is started with this code: its process is its own."""
    source = {**os.environ, "PYTHONPATH": str(Path(memory.__file__).parents[2])}
    return subprocess.run([sys.executable, "-c", code], env=source, capture_output=True, text=True, check=True).stdout


@pytest.mark.release
@pytest.mark.parametrize(("size", "large"), [(20, False), (80, True)])
def test_freed_memory_stays_until_it_is_given_back(size, large):
    held = run(
        f"""
import numpy as np
from hdmatt.system import memory
memory.keep_freed(large={large})
several = [np.ones({size * memory.MIB}, np.uint8) for _ in range(5)]
print(memory.resident())
del several
print(memory.resident())
memory.give_back()
print(memory.resident())
"""
    )
    full, freed, settled = (int(line) for line in held.split())
    if platform.libc_ver()[0] == "glibc":
        assert freed > full - size * memory.MIB
    assert settled < full - 4 * size * memory.MIB


MATTE = """
import ctypes
import numpy as np
import torch
import hdmatt
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.system import memory

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo
libc.malloc.restype = ctypes.c_void_p

def is_mapped():
    before = libc.mallinfo2().hblks
    assert libc.malloc(ctypes.c_size_t(31 * 2**20))
    return libc.mallinfo2().hblks > before
"""  # noqa: E501


@pytest.mark.release
def test_a_call_of_the_library_leaves_the_allocator_as_it_was():
    """glibc maps a first block of 31 MiB by itself, unless mallopt has told it to keep such blocks."""
    if platform.libc_ver()[0] != "glibc":
        return
    matte = """
torch.manual_seed(0)
network = HDMatt(ModelConfig(width=4, patch=64)).eval()
trimap = np.zeros((80, 90), np.uint8)
trimap[20:60, 20:60], trimap[30:40, 30:40] = 128, 255
hdmatt.matte(np.full((80, 90, 3), 99, np.uint8), trimap, network=network, options=hdmatt.Options(patch=64, overlap=16))
"""
    assert run(MATTE + matte + "print(is_mapped())") == "True\n"
    assert run(MATTE + "memory.keep_freed()\nprint(is_mapped())") == "False\n"  # the test would see it


def test_memory_that_is_kept_between_pictures_counts_as_free_and_is_given_back_in_the_end(monkeypatch):
    held, trimmed = [300], []
    monkeypatch.setattr(memory, "resident", lambda: held[0])
    monkeypatch.setattr(memory, "_trim", lambda: trimmed.append(held[0]))
    memory.keep_between_pictures(keep=True)
    try:
        assert memory.settled() == 300 and trimmed == [300]
        held[0] = 800  # a picture was computed
        memory.give_back()
        memory.keep_between_pictures(keep=True)
        assert memory.settled() == 300 and trimmed == [300]
    finally:
        memory.keep_between_pictures(keep=False)
    assert trimmed == [300, 800]
    held[0] = 310
    assert memory.settled() == 310
    memory.give_back()
    assert len(trimmed) == 4


def test_the_peak_is_told_where_the_system_has_no_proc_and_no_getrusage(monkeypatch):
    held = type("", (), {"rss": 5 * memory.MIB, "peak_wset": 7 * memory.MIB})()
    monkeypatch.setattr(memory, "Path", lambda _: Path("/nonexistent"))
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda _: held)
    assert (memory.resident(), memory.peak(), memory.children_peak()) == (5 * memory.MIB, 7 * memory.MIB, 0)
    del type(held).peak_wset
    assert memory.peak_with_children() == 5 * memory.MIB
    assert not memory.can_reset_peak()


def test_without_control_groups_nothing_limits(tmp_path):
    assert memory.container(tmp_path) == (None, None)
    assert groups(tmp_path, ["0::/"], {}) == (None, None)


def test_the_default_limit_is_half_of_what_the_container_has_left(monkeypatch):
    monkeypatch.setattr(memory, "container", lambda: (6 * memory.GIB, 4 * memory.GIB))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("", (), {"available": 50 * memory.GIB})())
    # 64 MiB: the process itself moves between two looks at it
    assert memory.default_limit() == pytest.approx(2 * memory.GIB + memory.resident(), abs=64 * memory.MIB)
    monkeypatch.setattr(memory, "container", lambda: (memory.GIB // 2, memory.GIB // 4))
    assert memory.default_limit() == memory.GIB // 2  # less than the least of other machines, but all there is
