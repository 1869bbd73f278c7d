"""The runner sees what a damaged file does to the process that opens it."""

import fuzz as runner
import pytest
from fuzz import fuzz
from mutations import mutated

PROGRAM = """
import os, sys
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    print(">", number, flush=True)
    if number == 3:
        {fault}
    print("= opened", flush=True)
"""


@pytest.mark.release
@pytest.mark.parametrize(
    ("fault", "outcome", "trouble"),
    [
        ("os.abort()", "crashed", "ended its process with code -6 (Fatal Python error: Aborted"),
        ("os._exit(0)", "crashed", "ended its process with code 0"),
        ("while True: pass", "hung", "took more than 1 s"),
        ("print('! traceback KeyError', flush=True)", "", "traceback KeyError"),
    ],
)
def test_a_file_that_ends_a_process_is_named_and_the_others_are_opened(tmp_path, monkeypatch, fault, outcome, trouble):
    monkeypatch.setattr(runner, "SECONDS", 1.0)
    monkeypatch.setattr(runner, "_LOOK", 0.05)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(fault=fault))
    report = fuzz("read", "png", range(6), program=program)
    assert [text.startswith(f"read png 3: {trouble}") for text in report.troubles] == [True], report.troubles
    assert report.outcomes["opened"] == (5 if outcome else 6) and report.files == 6
    assert report.outcomes[outcome] == (1 if outcome else 0)


def test_a_process_that_never_begins_is_not_started_for_ever(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("raise SystemExit(1)")
    assert len(fuzz("read", "png", range(3), program=program).troubles) == 3


def test_a_number_names_one_damage():
    assert mutated("png", 7) == mutated("png", 7) != mutated("png", 8)
