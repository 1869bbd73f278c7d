"""The process of the command line: signals, streams that are closed or full, and names that are not text."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_pictures import noise, save

import hdmatt

RUN = "import sys; from hdmatt.cli.main import main; sys.exit(main())"


def command(*arguments: object, code: str = RUN, **more) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(Path(hdmatt.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    environment.update(more.pop("environment", {}))
    words = [sys.executable, "-c", code, *arguments]
    return subprocess.run(words, env=environment, stderr=subprocess.PIPE, timeout=60, **more)


@pytest.mark.release
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
def test_stdout_that_is_full_or_closed_is_told_by_the_exit_code():
    with open("/dev/full", "wb") as full:
        done = command("--version", stdout=full)
    assert done.returncode == 74
    assert done.stderr == b"hdmatt: the work is done, but stdout cannot be written (No space left on device)\n"
    reading, writing = os.pipe()
    os.close(reading)
    done = command("--version", stdout=writing)
    os.close(writing)
    assert done.returncode == 74 and b"(Broken pipe)" in done.stderr
    done = command("--version", preexec_fn=lambda: os.close(1))
    assert done.returncode == 74 and b"(Bad file descriptor)" in done.stderr


@pytest.mark.release
@pytest.mark.parametrize("words", [["--help"], ["studio", "--help"]])
def test_help_into_a_pipe_that_nobody_reads_on_is_no_failure(words):
    reading, writing = os.pipe()
    os.close(reading)
    done = command(*words, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.release
def test_stderr_that_is_closed_changes_nothing_and_no_file_gets_its_number():
    code = f"{RUN[:-17]}main(); import os; print(os.open(os.devnull, os.O_RDONLY) > 2)"
    done = subprocess.run(
        [sys.executable, "-c", RUN, "matte", "missing.png", "missing.png"],
        env={**os.environ, "PYTHONPATH": str(Path(hdmatt.__file__).parents[1])},
        stdout=subprocess.PIPE,
        preexec_fn=lambda: os.close(2),
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"],
        env={**os.environ, "PYTHONPATH": str(Path(hdmatt.__file__).parents[1])},
        stdout=subprocess.PIPE,
        preexec_fn=lambda: os.close(2),
        timeout=60,
    )
    assert done.returncode == 0 and done.stdout.endswith(b"True\n")


@pytest.mark.parametrize(("name", "ignored"), [("SIGHUP", False), ("SIGTERM", False), ("SIGHUP", True)])
def test_a_signal_ends_the_process_by_its_blocks_unless_it_is_ignored(name, ignored):
    code = f"""
import os, signal, sys
signal.signal(signal.{name}, signal.SIG_IGN if {ignored} else signal.SIG_DFL)  # nohup ignores one
from hdmatt.cli import process
process.take_over()
try:
    os.kill(os.getpid(), signal.{name})
    print("goes on")
finally:
    os.kill(os.getpid(), signal.SIGTERM) if not {ignored} else None
    print("cleaned up")
"""
    done = command(code=code, stdout=subprocess.PIPE)
    expected = {"SIGHUP": 129, "SIGTERM": 143}[name]
    assert done.returncode == (0 if ignored else expected), done.stderr
    assert done.stdout == (b"goes on\n" if ignored else b"") + b"cleaned up\n"


@pytest.mark.release
def test_names_that_are_not_utf_8_are_read_written_and_printed_as_they_are(tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/d\xe9")
    os.mkdir(folder)
    code = "import sys; from small_pictures import noise, write; from hdmatt.pictures.reader import open_picture\n"
    code += "from pathlib import Path; from hdmatt.cli import process; import numpy as np; process.take_over()\n"
    code += "for name in sys.argv[1:]:\n    depth = 'half' if name.endswith('exr') else '8'\n"
    code += "    path = write(Path(name), noise(3, np.float32), depth)\n"
    code += "    print(path, open_picture(path).__enter__().rows(0, 9).shape)"
    paths = [f"{folder}/caf\udce9{suffix}" for suffix in (".png", ".jpg", ".tif", ".exr", ".webp")]
    both = os.pathsep.join([str(Path(hdmatt.__file__).parents[1]), str(Path(__file__).parents[1])])
    # an ASCII locale has the names of no file with an umlaut
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    for locale in ({}, ascii_only):
        done = command(*paths, code=code, stdout=subprocess.PIPE, environment={"PYTHONPATH": both, **locale})
        assert done.returncode == 0, done.stderr
        assert done.stdout == b"".join(os.fsencode(path) + b" (9, 29, 3)\n" for path in paths)
        assert sorted(os.listdir(folder)) == sorted(os.path.basename(path) for path in paths)


@pytest.mark.release
def test_a_message_holds_the_bytes_of_a_name_and_json_their_numbers(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    done = command("matte", name, name, stdout=subprocess.PIPE)
    assert done.returncode == 2 and os.fsencode(name) + b" does not exist" in done.stderr
    assert json.loads(json.dumps(name)) == name


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("p.png", "t.png", "-o", ""), b". is a folder, we need a file name"),
        (("p.png", "t.png", "-o", "x" * 252 + ".png"), b"is no name for a file (File name too long)"),
        (("", "t.png"), b". is a folder"),
        (("p.png", "t.png", "--composite", "c.png", "--background", "b" * 300), b"is not a colour"),
        (("p.png", "t.png", "--composite", "c.png", "--background", "beach.jpg"), b"beach.jpg does not exist"),
        (("p.png", "t.png", "--composite", "c.png", "--background", "no/beach"), b"no/beach does not exist"),
        (("p.png", "t.png", "--quality", "80"), b"a quality is for JPEG and WebP"),
        (("p.png", "t.png", "--cutout", "c.webp", "--quality", "0"), b"the quality is 0, we need 1 to 100"),
        (("-p.png", "t.png"), b"No such option: -p"),
        (("--", "-p.png", "t.png"), b"-p.png does not exist"),
        (("l.png", "t.png"), b"l.png cannot be read (Too many levels of symbolic links)"),
    ],
)
def test_names_that_cannot_be_are_the_callers_mistake(tmp_path, monkeypatch, capfdbinary, arguments, told):
    from hdmatt.cli.main import main

    monkeypatch.chdir(tmp_path)
    save(tmp_path / "p.png", noise())
    save(tmp_path / "t.png", noise(1))
    (tmp_path / "l.png").symlink_to("l.png")
    before = sorted(os.listdir(tmp_path))
    assert main(["matte", *arguments]) == 2
    out, err = capfdbinary.readouterr()
    assert told in err and out == b"" and b"internal" not in err
    assert sorted(os.listdir(tmp_path)) == before
