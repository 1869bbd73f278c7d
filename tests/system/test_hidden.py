"""Files that take their place when they are complete: permissions, links, failures, and those that the dead left."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hdmatt.errors import OutputError
from hdmatt.system import hidden
from hdmatt.system.hidden import HiddenFile, remove_stale


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def put(path: Path, data: bytes) -> None:
    with HiddenFile(path) as file:
        file.write(data)
        file.publish()


def test_a_file_appears_when_it_is_published_and_else_not_at_all(tmp_path):
    with HiddenFile(tmp_path / "a.PNG") as file:
        file.write(b"12345")
        file.write_at(1, b"xy")
        file.write(b"6")
        assert file.path.suffix == ".png" and names(tmp_path) == [file.path.name]
    assert names(tmp_path) == []
    put(tmp_path / "a.PNG", b"new")
    assert (tmp_path / "a.PNG").read_bytes() == b"new" and names(tmp_path) == ["a.PNG"]


def test_bytes_that_are_replaced_leave_the_others_and_the_end(tmp_path):
    with HiddenFile(tmp_path / "a") as file:
        file.write(b"12345")
        file.write_at(1, b"xy")
        file.write(b"6")
        file.publish()
    assert (tmp_path / "a").read_bytes() == b"1xy456"


def test_after_a_failure_all_is_dropped_and_the_first_failure_told(tmp_path, monkeypatch):
    written = []

    def one_byte_then_full(file, data):
        if written:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        written.append(bytes(data[:1]))
        return os.write(file, data[:1])

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(hidden, "_write", one_byte_then_full)
    with HiddenFile(tmp_path / "a") as file:
        file.write(b"abc")
        monkeypatch.undo()
        file.write(b"def")
        file.write_at(0, b"g")
        assert file.path.read_bytes() == b"a"
        for call in (file.check, file.sync, file.publish):
            with pytest.raises(OutputError, match=r"a cannot be written \(Disk quota exceeded\)"):
                call()
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EIO, errno.EINVAL])
def test_what_the_disk_refuses_at_last_counts_but_not_that_it_cannot_wait(tmp_path, monkeypatch, number):
    def refused(file):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(hidden, "_sync", refused)
    with HiddenFile(tmp_path / "a") as file:
        file.write(b"abc")
        if number == errno.EINVAL:  # some file systems have no fsync
            file.sync()
        else:
            with pytest.raises(OutputError, match="cannot be written"):
                file.sync()


def test_a_replaced_file_keeps_its_permissions_and_a_new_one_has_those_of_any(tmp_path):
    (tmp_path / "old").touch(0o640)
    (tmp_path / "old").chmod(0o640)
    before = os.umask(0o027)
    try:
        put(tmp_path / "old", b"1")
        put(tmp_path / "new", b"1")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("old", "new")] == [0o640, 0o640]
    (tmp_path / "old").chmod(0o600)
    put(tmp_path / "old", b"2")
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o600


def test_links_are_followed_and_stay(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("there/real")
    (tmp_path / "dangling").symlink_to("there/new")
    for name, target in (("link", "real"), ("dangling", "new")):
        put(tmp_path / name, b"new")
        assert (tmp_path / name).is_symlink() and (tmp_path / "there" / target).read_bytes() == b"new"
    assert names(tmp_path / "there") == ["new", "real"]


def test_another_name_of_a_replaced_file_keeps_the_old_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    os.link(tmp_path / "a", tmp_path / "b")
    put(tmp_path / "a", b"new")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"new", b"old")


def test_files_of_the_dead_are_removed_and_those_of_the_living_and_of_others_stay(tmp_path):
    program = "import os, pathlib, sys; from hdmatt.system.hidden import HiddenFile\n"
    program += "file = HiddenFile(pathlib.Path(sys.argv[1])); file.write(b'half'); os.kill(os.getpid(), 9)"
    environment = {**os.environ, "PYTHONPATH": str(Path(hidden.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program, tmp_path / "a.png"], env=environment, check=False)
    (dead,) = names(tmp_path)
    others = [".hdmatt-notes.txt", ".hdmatt-0123456789abcdef.png.kept", "hdmatt-0123456789abcdef.png"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".hdmatt-0123456789abcdef").mkdir()
    (tmp_path / ".hdmatt-0000000000000000.png").symlink_to(others[0])
    with HiddenFile(tmp_path / "b.png") as living:
        before = set(names(tmp_path))
        remove_stale(tmp_path)
        assert before - set(names(tmp_path)) == {dead} and living.path.exists()
    remove_stale(tmp_path / "missing")


def test_a_file_that_is_taken_for_a_stale_one_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    lock, removed = hidden._lock, []

    def slow(file):
        if not removed:
            removed.append(names(tmp_path))
            (tmp_path / removed[0][0]).unlink()
        return lock(file)

    monkeypatch.setattr(hidden, "_lock", slow)
    put(tmp_path / "a", b"new")
    assert removed and names(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"new"


def test_all_that_is_not_published_can_be_removed_before_the_process_ends(tmp_path):
    put(tmp_path / "kept", b"1")
    begun = [HiddenFile(tmp_path / name) for name in ("a", "kept")]
    hidden.discard_all()
    assert names(tmp_path) == ["kept"] and (tmp_path / "kept").read_bytes() == b"1"
    for file in begun:
        file.discard()
