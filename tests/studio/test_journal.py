"""hdmatt.studio.journal: strokes survive, undo included."""

import pytest

from hdmatt.errors import InputError, OutputError
from hdmatt.pictures.box import Box
from hdmatt.studio.journal import Journal
from hdmatt.studio.strokes import Stroke

FACTS = {"picture": "a.png, 10 bytes"}
STROKE = Stroke("brush", 255, ((1.0, 2.0, 3.0),))
BOX = Box(0, 0, 4, 5)


def test_a_journal_that_is_opened_again_has_all_strokes(tmp_path):
    path = tmp_path / "journal"
    first = Journal(path, FACTS)
    first.add(STROKE, BOX, {(0, 0, 0): 128}, {(0, 0, 0): b"one"})
    first.add(STROKE, BOX, {(0, 0, 0): b"one", (0, 0, 1): 128}, {(0, 0, 0): b"two", (0, 0, 1): 0})
    first.exchange(first.last(), {(0, 0, 0): b"two", (0, 0, 1): 0})  # undo; not closed, as when the program is killed
    again = Journal(path, FACTS)
    assert again.tiles() == {(0, 0, 0): b"one", (0, 0, 1): 128}
    assert again.count() == (1, 1)
    assert again.last() == (1, STROKE, BOX, {(0, 0, 0): 128})
    assert again.next() == (2, STROKE, BOX, {(0, 0, 0): b"two", (0, 0, 1): 0})
    first.close()
    again.close()


def test_a_new_stroke_forgets_what_was_undone():
    journal = Journal(None, FACTS)
    for tile in (b"one", b"two"):
        journal.add(STROKE, BOX, {(0, 0, 0): 128}, {(0, 0, 0): tile})
    journal.exchange(journal.last(), {(0, 0, 0): b"two"})
    journal.add(STROKE, BOX, {(0, 0, 0): 128}, {(0, 0, 0): b"three"})
    assert journal.count() == (2, 0) and journal.next() is None
    journal.close()


def test_a_journal_of_another_picture_is_refused(tmp_path):
    Journal(tmp_path / "journal", FACTS).close()
    with pytest.raises(InputError, match="its picture differs") as caught:
        Journal(tmp_path / "journal", {"picture": "b.png, 10 bytes"})
    assert "Move that file away" in caught.value.hint


def test_a_journal_goes_on_with_another_state_of_the_picture_if_it_may(tmp_path):
    facts = {"picture": "a.png, 10 bytes", "size": "5x4", "trimap": None}
    Journal(tmp_path / "journal", facts).close()
    touched = {**facts, "picture": "a.png, 12 bytes"}
    with pytest.raises(InputError, match="its picture differs") as caught:
        Journal(tmp_path / "journal", touched)
    assert "--keep-strokes" in caught.value.hint
    for other in ({"size": "5x5"}, {"trimap": "t.png, 3 bytes"}):
        with pytest.raises(InputError, match=f"its {next(iter(other))} differs"):
            Journal(tmp_path / "journal", {**touched, **other}, may_differ=["picture"])
    Journal(tmp_path / "journal", touched, may_differ=["picture"]).close()
    Journal(tmp_path / "journal", touched).close()  # it belongs to the new one now


def test_a_journal_of_an_older_version_may_lack_facts(tmp_path):
    Journal(tmp_path / "journal", FACTS).close()
    with pytest.raises(InputError, match="its picture differs"):
        Journal(tmp_path / "journal", {"picture": "a.png, 9 bytes", "size": "5x4"})
    with pytest.raises(InputError, match="size differs"):  # nobody knows whether its tiles fit
        Journal(tmp_path / "journal", {"picture": "a.png, 9 bytes", "size": "5x4"}, may_differ=["picture"])
    Journal(tmp_path / "journal", {**FACTS, "size": "5x4"}).close()
    with pytest.raises(InputError, match="size differs"):
        Journal(tmp_path / "journal", {**FACTS, "size": "5x5"})


@pytest.mark.parametrize(("first", "hint"), [("t.png, 3 bytes", "trimap of then (t.png"), (None, "without --trimap")])
def test_a_journal_of_another_trimap_says_how_to_go_on(tmp_path, first, hint):
    Journal(tmp_path / "journal", {**FACTS, "trimap": first}).close()
    with pytest.raises(InputError, match="its trimap differs") as caught:
        Journal(tmp_path / "journal", {**FACTS, "trimap": "u.png, 3 bytes"})
    assert hint in caught.value.hint


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    (tmp_path / "journal").write_bytes(b"something else, long enough to have a head" * 40)
    with pytest.raises(InputError, match="no journal"):
        Journal(tmp_path / "journal", FACTS)


def test_a_stroke_that_cannot_be_kept_leaves_the_journal_as_it_was(tmp_path):
    journal = Journal(tmp_path / "journal", FACTS)
    journal.add(STROKE, BOX, {(0, 0, 0): 128}, {(0, 0, 0): b"one"})
    journal._base.execute("pragma max_page_count = 12")  # as a full disk
    with pytest.raises(OutputError, match="full"):
        journal.add(STROKE, BOX, {(0, 0, 0): b"one"}, {(0, 0, 0): bytes(10**6)})
    assert journal.count() == (1, 0) and journal.tiles() == {(0, 0, 0): b"one"}
    journal.close()


def test_a_stroke_for_a_closed_journal_is_told_that_nothing_is_lost():
    journal = Journal(None, FACTS)
    journal.close()
    with pytest.raises(InputError, match="is closed"):
        journal.add(STROKE, BOX, {}, {})
    with pytest.raises(InputError, match="is closed"):
        journal.count()


def test_a_damaged_journal_is_said_to_be_none(tmp_path):
    path = tmp_path / "journal"
    first = Journal(path, FACTS)
    first.add(STROKE, BOX, {(0, 0, 0): 128}, {(0, 0, 0): bytes(50_000)})
    first.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + bytes(len(whole) - 8192))
    with pytest.raises(InputError, match="no journal"):
        Journal(path, FACTS).tiles()
