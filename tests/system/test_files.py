import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hdmatt.errors import InputError, OutputError
from hdmatt.system import files, hidden


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_the_block_ends_and_not_before(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with files.replacing(path) as hidden:
        hidden.write_text("new")
        assert path.read_text() == "old"
        assert hidden.parent == tmp_path and hidden.suffix == ".json" and hidden.name.startswith(".hdmatt-")
    assert path.read_text() == "new" and names(tmp_path) == ["a.json"]


def test_an_exception_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as hidden:
        hidden.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_text_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    files.write_text_atomic(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match=r"result\.json cannot be written \(No space left") as caught:
        files.write_text_atomic(path, "new")
    assert "write somewhere else" in caught.value.hint
    assert path.read_text() == "old" and names(tmp_path) == ["result.json"]


def test_a_missing_folder_is_told_with_the_path(tmp_path):
    with pytest.raises(OutputError, match=r"none/a\.txt cannot be written \(No such file"):
        files.write_text_atomic(tmp_path / "none" / "a.txt", "text")


def test_an_error_about_another_file_is_not_called_ours(tmp_path):
    with pytest.raises(FileNotFoundError), files.replacing(tmp_path / "a.txt"):
        (tmp_path / "input.txt").read_text()
    assert names(tmp_path) == []


def test_threads_that_write_one_file_do_not_meet(tmp_path):
    path, together, failures = tmp_path / "a.txt", threading.Barrier(4), []

    def write(text: str) -> None:
        try:
            with files.replacing(path) as hidden:
                together.wait(timeout=30)
                hidden.write_text(text)
                together.wait(timeout=30)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(letter * 1000,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and names(tmp_path) == ["a.txt"]
    assert path.read_text() in {letter * 1000 for letter in "abcd"}


def test_a_link_at_the_temporary_name_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".hdmatt-00.txt").symlink_to("precious")
    monkeypatch.setattr(hidden.secrets, "token_hex", lambda _: "00")
    with pytest.raises(OutputError, match=r"a\.txt cannot be written"):
        files.write_text_atomic(tmp_path / "a.txt", "text")
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    files.write_text_atomic(tmp_path / "a.txt", "text")
    (tmp_path / "b.txt").touch()
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_a_folder_appears_when_the_block_ends_or_never(tmp_path):
    with files.replacing_folder(tmp_path / "deep" / "graphs") as hidden:
        (hidden / "a").write_text("1")
        assert not (tmp_path / "deep" / "graphs").exists()
    assert names(tmp_path / "deep" / "graphs") == ["a"] and names(tmp_path / "deep") == ["graphs"]
    with pytest.raises(ZeroDivisionError), files.replacing_folder(tmp_path / "other") as hidden:
        (hidden / "a").write_text("1")
        raise ZeroDivisionError
    assert names(tmp_path) == ["deep"]


def test_of_two_that_make_one_folder_the_first_wins_and_neither_loses_its_files(tmp_path):
    folder = tmp_path / "graphs"
    with pytest.raises(OutputError, match="graphs exists already"), files.replacing_folder(folder) as first:
        (first / "a").write_text("first")
        with files.replacing_folder(folder) as second:
            (second / "a").write_text("second")
        assert (first / "a").read_text() == "first"
    assert (folder / "a").read_text() == "second" and names(tmp_path) == ["graphs"]
    with pytest.raises(OutputError, match="graphs exists already"), files.replacing_folder(folder):
        raise AssertionError


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    told = r"file/folder cannot be written \(File exists\)"
    with pytest.raises(OutputError, match=told), files.replacing_folder(tmp_path / "file" / "folder"):
        raise AssertionError
    with pytest.raises(OutputError, match=r"file/folder cannot be made \(Not a directory\)"):
        files.make_folder(tmp_path / "file" / "folder")


def test_text_is_appended_to_a_file_or_its_path_is_told(tmp_path):
    files.append_text(tmp_path / "a.jsonl", "1\n")
    files.append_text(tmp_path / "a.jsonl", "2\n")
    assert (tmp_path / "a.jsonl").read_text() == "1\n2\n"
    with pytest.raises(OutputError, match="cannot be written"):
        files.append_text(tmp_path, "1\n")


def test_the_digest_is_that_of_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert files.digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(InputError, match=r"none cannot be read \(No such file"):
        files.digest(tmp_path / "none")


def test_a_folder_is_locked_for_one_process_and_one_made_for_nothing_is_removed(tmp_path):
    folder = tmp_path / "new"
    code = "import pathlib, sys\nfrom hdmatt.system.files import locked\n"
    code += "with locked(pathlib.Path(sys.argv[1]), user='another run'): pass"
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2])}
    with pytest.raises(ZeroDivisionError), files.locked(folder, user="another run"):
        found = subprocess.run([sys.executable, "-c", code, folder], env=environment, capture_output=True, text=True)
        assert f"InputError: another run writes to {folder}" in found.stderr
        raise ZeroDivisionError
    assert names(tmp_path) == []
    with files.locked(folder, user="another run"):
        (folder / "result").touch()
    assert "result" in names(folder)


@pytest.mark.parametrize("text", ["a b", "a/b", "../up", "", "..", "ü:x", "a" * 40 + "?"])
def test_a_text_as_a_file_name_is_one_name_inside_of_its_folder(tmp_path, text):
    (tmp_path / files.slug(text)).touch()
    assert len(names(tmp_path)) == 1
    assert files.slug(text) != files.slug(text + "?") and files.slug("plain-1.5") == "plain-1.5"
