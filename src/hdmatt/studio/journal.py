"""The strokes of a session on disk, with the tiles that they changed: a killed program loses nothing.

Knows tiles of a trimap as bytes; nothing of pictures or networks. One SQLite file; each stroke, undo and redo is one
transaction.

    Journal    strokes, undo and redo
    Edit       one stroke, and the box that it changed

An edit holds its tiles as they were before it; one that is undone holds them as they were after it. So undo and redo
are the same exchange of tiles.
"""

import json
import sqlite3
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from hdmatt.errors import InputError, OutputError
from hdmatt.pictures.box import Box
from hdmatt.studio.strokes import Stroke
from hdmatt.studio.trimap_tiles import TileLabels, Tiles

_TABLES = """
create table if not exists facts (name text primary key, value text);
create table if not exists edits (number integer primary key, stroke text, y0, x0, y1, x1, undone integer default 0);
create table if not exists edit_tiles (edit integer, level, row, col, tile, primary key (edit, level, row, col));
create table if not exists tiles (level, row, col, tile, primary key (level, row, col));
"""


class Edit(NamedTuple):
    """One stroke, the box that it changed, and the tiles to exchange when it is undone or done again.

    The stroke is None where labels were put without one: from a mask, or a band.
    """

    number: int
    stroke: Stroke | None
    box: Box
    tiles: Tiles


class Journal:
    """Strokes, undo and redo, in a file or (path None) in memory; for one thread at a time.

    Args:
        path: The file; made if it is not there.
        facts: What the strokes belong to, such as the picture's size and time. A file that was made for other facts is
            refused. One of an older version may lack some.
        may_differ: Names of facts that may be others than they were; all others must be known then, and the same.

    Raises:
        InputError: The file is no journal, or belongs to something else.
        OutputError: It cannot be made or written.
    """

    def __init__(self, path: Path | None, facts: Mapping[str, object], *, may_differ: Collection[str] = ()) -> None:
        self.path = path
        try:
            self._base = sqlite3.connect(str(path or ":memory:"), check_same_thread=False, isolation_level=None)
            self._base.execute("pragma journal_mode = wal")
            self._base.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            self._refuse(error)
        self._check(facts, may_differ)

    def tiles(self) -> Tiles:
        """All tiles that strokes have changed, as they are now."""
        return {(level, row, column): tile for level, row, column, tile in self._found("select * from tiles")}

    def add(self, stroke: Stroke | None, box: Box, before: Tiles, after: Tiles) -> None:
        """A new stroke: what was undone before it is forgotten.

        Raises:
            OutputError: The disk is full.
        """
        with self._transaction():
            self._base.execute("delete from edit_tiles where edit in (select number from edits where undone)")
            self._base.execute("delete from edits where undone")
            words = json.dumps(stroke.values() if stroke else {"kind": "labels"})
            row = self._base.execute(
                "insert into edits (stroke, y0, x0, y1, x1) values (?, ?, ?, ?, ?)", (words, *map(int, box))
            )
            self._keep(int(row.lastrowid or 0), before, after)

    def last(self) -> Edit | None:
        """The edit that undo takes back."""
        return self._edit("not undone", "desc")

    def next(self) -> Edit | None:
        """The edit that redo does again."""
        return self._edit("undone", "asc")

    def exchange(self, edit: Edit, before: Tiles) -> None:
        """An edit was undone or done again; `before` is what its tiles were until then."""
        with self._transaction():
            self._base.execute("update edits set undone = not undone where number = ?", (edit.number,))
            self._keep(edit.number, before, edit.tiles)

    def strokes(self) -> list[Stroke]:
        """The strokes that are not undone, in order; labels that were put without one are not among them."""
        found = self._found("select stroke from edits where not undone order by number")
        values = (json.loads(words) for (words,) in found)
        return [Stroke.of(stroke) for stroke in values if stroke["kind"] != "labels"]

    def count(self) -> tuple[int, int]:
        """How many edits can be undone and done again."""
        [(done, undone)] = self._found("select count(*) - total(undone), total(undone) from edits")
        return int(done), int(undone)

    def belongs_to(self, facts: Mapping[str, object]) -> None:
        """From now on the strokes belong to these facts, where they differ from those of before.

        Raises:
            OutputError: The disk is full.
        """
        rows = [(name, json.dumps(value)) for name, value in facts.items()]
        with self._transaction():
            self._base.executemany("insert or replace into facts values (?, ?)", rows)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._base.close()

    def _keep(self, number: int, before: Tiles, after: Tiles) -> None:
        rows = [(number, *key, tile) for key, tile in before.items()]
        self._base.executemany("insert or replace into edit_tiles values (?, ?, ?, ?, ?)", rows)
        self._base.executemany("insert or replace into tiles values (?, ?, ?, ?)", [(*k, t) for k, t in after.items()])

    def _edit(self, which: str, order: str) -> Edit | None:
        query = f"select number, stroke, y0, x0, y1, x1 from edits where {which} order by number {order} limit 1"
        edits = self._found(query)
        if not edits:
            return None
        number, words, *box = edits[0]
        found = self._found("select level, row, col, tile from edit_tiles where edit = ?", number)
        tiles: dict[tuple[int, int, int], TileLabels] = {(level, r, c): tile for level, r, c, tile in found}
        values = json.loads(words)
        stroke = None if values["kind"] == "labels" else Stroke.of(values)
        return Edit(number, stroke, Box(*box), tiles)

    def _check(self, facts: Mapping[str, object], may_differ: Collection[str]) -> None:
        wanted = {name: json.dumps(value) for name, value in facts.items()}
        found = dict(self._found("select name, value from facts"))
        known = found if found and may_differ else {**wanted, **found}
        wrong = {name for name in {*found, *wanted} if known.get(name) != wanted.get(name)} - {*may_differ}
        if wrong:
            self.close()
            differ = "differs" if len(wrong) == 1 else "differ"
            raise InputError(
                f"{self.path} holds strokes for something else: its {' and '.join(sorted(wrong))} {differ}",
                hint=_hint(wrong, found),
            )
        if found != wanted:
            self.belongs_to(facts)

    def _found(self, query: str, *values: object) -> list[Any]:
        try:
            return self._base.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            self._refuse(error)

    @contextmanager
    def _transaction(self) -> Generator[None]:
        """All of a block's changes or none of them; a full disk is an OutputError."""
        try:
            self._base.execute("begin immediate")
            yield
            self._base.execute("commit")
        except BaseException as error:
            if isinstance(error, sqlite3.ProgrammingError):  # nothing was begun
                self._refuse(error)
            if self._base.in_transaction:
                self._base.execute("rollback")
            if isinstance(error, sqlite3.DatabaseError):
                self._refuse(error)
            raise

    def _refuse(self, error: sqlite3.DatabaseError) -> NoReturn:
        if isinstance(error, sqlite3.ProgrammingError):  # a stroke that comes while the program ends
            raise InputError(f"{self.path} is closed", hint="Start again: what was painted is there.") from error
        if isinstance(error, sqlite3.OperationalError):
            raise OutputError(
                f"{self.path} cannot be written ({error})", hint="Choose another folder, or make room on the disk."
            ) from error
        raise InputError(
            f"{self.path} is no journal of strokes ({error})", hint="Move that file away to begin anew."
        ) from error


def _hint(wrong: Collection[str], found: Mapping[str, str]) -> str:
    anew = "Move that file away to begin anew."
    if wrong == {"picture"}:
        return f"Put the old picture back, or go on with what was painted: --keep-strokes. {anew}"
    if wrong == {"trimap"}:
        first = json.loads(found["trimap"])
        return f"Start {f'with the trimap of then ({first})' if first else 'without --trimap'} to go on. {anew}"
    return anew
