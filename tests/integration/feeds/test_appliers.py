"""examples/mirror: a table follows the files of a feed, whatever they hold and whenever the program dies."""

import csv
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from contactexport.context import Context
from tests.support import killed_lines
from tests.support.mirrors import PROGRAMS, Mirror, in_duckdb, in_postgres, queried

NAMES = ["user_id", "First Name", "Last Name", "E-Mail", "last update", "change"]
BEFORE, AFTER = "2026-01-0{}T00:00:00.000000Z", "2026-01-0{}T00:00:00.000000Z"
ODD = ('a"b', "two\nlines; and, more", "\\.\r\n'")


@dataclass(frozen=True)
class Made:
    """A file that was written, with its manifest."""

    text: str
    export: int
    sequence: int

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass
class Feed:
    """Writes files as a feed does."""

    folder: Path
    exports: int = 0

    def write(self, rows: Sequence[tuple], after: Made | None, **changes: object) -> Made:
        """The file of the run after that one, or of the first one, with rows of id, three values and change."""
        self.exports += 1
        delimiter, header = str(changes.pop("delimiter", ",")), changes.pop("header", True)
        names = changes.pop("names", NAMES)
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        writer.writerows([names] if header else [])
        writer.writerows((*row[:-1], "2026-01-01 00:00:00", row[-1]) for row in rows)
        content = text.getvalue().encode()
        name = f"changes_{self.exports}_en-abcdef.csv"
        (self.folder / name).write_bytes(content)
        manifest = {
            "feed": "nightly",
            "sequence": after.sequence + 1 if after else 1,
            "export": self.exports,
            "file": name,
            "window": {"start": BEFORE.format(after.sequence) if after else None, "end": AFTER.format(9)},
            "columns": [[None, one] for one in names],
            "sha256": hashlib.sha256(content).hexdigest(),
            "previous": after.digest if after else None,
        }
        manifest |= changes
        (self.folder / f"{name}.json").write_text(json.dumps(manifest))
        return Made(json.dumps(manifest), self.exports, int(manifest["sequence"]))


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    folder = tmp_path / "files"
    folder.mkdir()
    return Feed(folder)


def postgres(context: Context, _folder: Path) -> Mirror:
    return in_postgres(context.database.url, "customer", "nightly")


def duckdb(_context: Context, folder: Path) -> Mirror:
    pytest.importorskip("duckdb", reason="there is no wheel of DuckDB for this Python and machine")
    return in_duckdb(folder / "mirror.duckdb", "customer", "nightly")


@pytest.fixture(params=[postgres, duckdb])
def mirror(request: pytest.FixtureRequest, context: Context, tmp_path: Path) -> Mirror:
    return request.param(context, tmp_path)


def changed(contact: int, *values: str) -> tuple:
    return (contact, *(values or (f"first {contact}", "", "")), "changed")


def rows_of(*contacts: tuple) -> dict[str, tuple]:
    return {str(one[0]): tuple(value or None for value in one[1:-1]) for one in contacts}


def refusal(mirror: Mirror, source: Path) -> str:
    """What the program says when it stops."""
    process = mirror.start(source)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize("form", [{}, {"delimiter": ";"}, {"header": False}, {"delimiter": ";", "header": False}])
def test_changed_contacts_are_upserted_and_others_deleted(mirror: Mirror, feed: Feed, form: dict):
    first = feed.write([changed(1), changed(2), changed(3), changed(4)], None, **form)
    assert mirror.apply(feed.folder) == ["applied"]
    assert mirror.rows() == rows_of(changed(1), changed(2), changed(3), changed(4))
    second = feed.write([changed(1, *ODD), (2, "", "", "", "deleted"), (3, "", "", "", "moved"), changed(5)], first)
    third = feed.write([changed(2, "again", "", ""), (9, "", "", "", "deleted")], second, **form)
    assert mirror.apply(feed.folder) == ["known", "applied", "applied"]
    assert mirror.rows() == rows_of(changed(1, *ODD), changed(2, "again", "", ""), changed(4), changed(5))
    feed.write([], third, **form)
    assert mirror.apply(feed.folder) == ["known", "known", "known", "applied"]
    assert mirror.apply(feed.folder) == ["known"] * 4


def test_full_file_replaces_every_contact(mirror: Mirror, feed: Feed):
    feed.write([changed(1), changed(2)], feed.write([changed(3)], None), window={"start": None, "end": AFTER})
    assert mirror.apply(feed.folder) == ["applied", "applied"]
    assert mirror.rows() == rows_of(changed(1), changed(2))


def test_other_feeds_of_the_folder_are_left_alone(mirror: Mirror, feed: Feed):
    feed.write([changed(1)], None, feed="hourly")
    feed.write([changed(2)], None)
    assert mirror.apply(feed.folder) == ["applied"]
    assert mirror.rows() == rows_of(changed(2))


def test_missing_file_stops_the_mirror(mirror: Mirror, feed: Feed):
    first = feed.write([changed(1)], None)
    second = feed.write([changed(2)], first)
    feed.write([changed(3)], second)
    (feed.folder / "changes_2_en-abcdef.csv.json").unlink()
    assert "changes_3_en-abcdef.csv: changes before it are missing" in refusal(mirror, feed.folder)
    assert mirror.rows() == rows_of(changed(1))


def test_mirror_does_not_begin_in_the_middle(mirror: Mirror, feed: Feed):
    feed.write([changed(2)], Made("lost", 0, 6))
    assert "changes before it are missing" in refusal(mirror, feed.folder)


def test_window_that_leaves_out_changes_stops_the_mirror(mirror: Mirror, feed: Feed):
    first = feed.write([changed(1)], None, window={"start": None, "end": BEFORE.format(2)})
    feed.write([changed(2)], first, window={"start": BEFORE.format(3), "end": AFTER.format(4)})
    assert "changes before it are missing" in refusal(mirror, feed.folder)


def test_damaged_file_stops_the_mirror(mirror: Mirror, feed: Feed):
    feed.write([changed(1)], None)
    file = feed.folder / "changes_1_en-abcdef.csv"
    file.write_bytes(file.read_bytes().replace(b"first", b"worst"))
    assert "changes_1_en-abcdef.csv: not the file of its manifest" in refusal(mirror, feed.folder)


def test_feed_without_removed_contacts_makes_no_mirror(mirror: Mirror, feed: Feed):
    feed.write([], None, names=NAMES[:-1])
    assert "no column `change`, the feed needs --removed" in refusal(mirror, feed.folder)


@pytest.mark.parametrize("knows_the_first", [True, False])
def test_file_of_a_run_that_ended_in_error_is_replaced(mirror: Mirror, feed: Feed, knows_the_first: bool):
    """Two manifests with one sequence: the receiver had the file, and its sender does not know it."""
    first = feed.write([changed(1), changed(2)], None)
    feed.write([changed(1, "of the run in error", "", "")], first)
    if knows_the_first:
        mirror.apply(feed.folder)
    second = feed.write([changed(1, "of the next run", "", ""), (2, "", "", "", "deleted")], first)
    feed.write([changed(3)], second)
    mirror.apply(feed.folder)
    assert mirror.rows() == rows_of(changed(1, "of the next run", "", ""), changed(3))


def test_first_file_is_replaced_too(mirror: Mirror, feed: Feed):
    feed.write([changed(1), changed(2)], None)
    mirror.apply(feed.folder)
    feed.write([changed(3)], feed.write([changed(1)], None))
    assert mirror.apply(feed.folder) == ["known", "applied", "applied"]
    assert mirror.rows() == rows_of(changed(1), changed(3))


def test_run_that_was_retried_has_another_file_of_the_same_name(mirror: Mirror, feed: Feed):
    first = feed.write([changed(1)], None)
    feed.write([changed(2)], first)
    mirror.apply(feed.folder)
    feed.exports -= 1
    feed.write([changed(4)], feed.write([changed(2), changed(3)], first))
    assert mirror.apply(feed.folder) == ["known", "applied", "applied"]
    assert mirror.rows() == rows_of(changed(1), changed(2), changed(3), changed(4))


def test_other_columns_need_another_table(mirror: Mirror, feed: Feed):
    first = feed.write([changed(1)], None)
    mirror.apply(feed.folder)
    feed.write([changed(1)], first, names=[*NAMES[:3], "Mail", *NAMES[4:]])
    assert "drop the table customer and take a full file" in refusal(mirror, feed.folder)
    assert mirror.rows() == rows_of(changed(1))


def test_table_may_have_types_of_its_own(context: Context, feed: Feed):
    mirror = postgres(context, feed.folder)
    queried(
        mirror.database,
        "CREATE TABLE customer (user_id bigint PRIMARY KEY, \"First Name\" varchar(40), \"Last Name\" text,"
        " \"E-Mail\" text, \"last update\" timestamp)",
    )  # fmt: skip
    feed.write([(1, "", "", "", "deleted")], feed.write([changed(1), changed(20)], None))
    mirror.apply(feed.folder)
    assert queried(mirror.database, 'SELECT user_id, date("last update")::text FROM customer') == [(20, "2026-01-01")]


@pytest.mark.parametrize("full", [True, False])
def test_file_is_applied_once_whenever_the_program_dies(mirror: Mirror, feed: Feed, full: bool, tmp_path: Path):
    start = {"window": {"start": None, "end": AFTER.format(9)}} if full else {}
    feed.write(
        [changed(1), (2, "", "", "", "deleted"), changed(3)], feed.write([changed(1, *ODD), changed(2)], None), **start
    )
    before, after = rows_of(changed(1, *ODD), changed(2)), rows_of(changed(1), changed(3))
    second = feed.folder / "changes_2_en-abcdef.csv.json"
    aside = second.rename(tmp_path / "aside")
    mirror.apply(feed.folder)
    aside.rename(second)
    seen = seen_after_deaths(mirror, feed.folder)
    assert len(seen) > 10
    assert all(rows == before for rows in seen[:-1])
    assert seen[-1] in (before, after)  # the last line of one of them comes after the commit
    assert mirror.apply(feed.folder) == ["known", "applied" if seen[-1] == before else "known"]
    assert mirror.rows() == after


def seen_after_deaths(mirror: Mirror, folder: Path) -> list[dict]:
    """What is in the mirror after the program has died before each of its lines."""
    arguments = (mirror.program.removesuffix(".py"), mirror.database, mirror.table, mirror.feed, str(folder))
    command = [sys.executable, killed_lines.__file__, *arguments]
    seen = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            assert line.startswith("died")
            seen.append(mirror.rows())
            process.stdin.write("\n")
            process.stdin.flush()
    assert process.returncode == 0
    return seen


@pytest.mark.parametrize("program", sorted(PROGRAMS.glob("*.py")), ids=lambda path: path.stem)
def test_programs_are_short(program: Path):
    assert len(program.read_text(encoding="utf-8").splitlines()) <= 60
