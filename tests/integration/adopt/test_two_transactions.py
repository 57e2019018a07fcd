"""Two transactions at once, which do not see each other: whatever they change, exports keep a copy that is right.

Each statement of a shape meets each other one. Both are run before either ends. Then one ends, an export reads what is
there, up to a time before that, and the other one ends or is undone.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import product

import psycopg2
import pytest
from psycopg2.extensions import connection

from contactexport.adopt.apply import apply
from contactexport.catalogue import ContactField
from contactexport.changes import selection, window
from contactexport.contacts import table as contact_table
from contactexport.context import Context
from contactexport.db.connection import begin_snapshot
from contactexport.exports.models import ALL_TIME
from tests.support.exporting import database_time, execute, settings_for
from tests.support.two_transactions import NUMBERS, SHAPES, Shape, customers, of

FORMS = (1, 2, 3, 4)
WANTED = [*({"origin": "form", "origin_ids": (one,)} for one in FORMS), {"origin": "api", "origin_ids": (0,)}]
WANTED.append({"origin": "all", "origin_ids": ()})
REFUSED = (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected, psycopg2.IntegrityError)
ENDS = ("commit", "rollback")
Copy = dict[str, tuple]


class Copies:
    """What somebody knows who asks for the changes of each origin, window after window."""

    def __init__(self, context: Context, field: ContactField) -> None:
        self._context = context
        self._field = field
        self._start = ALL_TIME[0]
        self.copies: list[Copy] = [{} for _ in WANTED]

    def follow(self, end: datetime) -> None:
        """Applies the changes of the window that ends there, or before if somebody is still writing."""
        with self._context.contacts.session() as conn:
            until = window.settled_until(conn, self._start, end, 0)
            begin_snapshot(conn)
            for copy, wanted in zip(self.copies, WANTED, strict=True):
                rows = self._read(conn, until, **wanted, start=self._start, end=end, removed=True)
                assert len({row[0] for row in rows}) == len(rows)
                for row in rows:
                    if row[-1] == "changed":
                        copy[row[0]] = row[1:-2]
                    else:
                        copy.pop(row[0], None)
            conn.rollback()
        self._start = until

    def source(self) -> list[Copy]:
        """What there is now."""
        with self._context.contacts.session() as conn:
            whole = {"start": ALL_TIME[0], "end": ALL_TIME[1], "type": "full"}
            begin_snapshot(conn)
            found = [self._read(conn, ALL_TIME[1], **wanted, **whole) for wanted in WANTED]
            conn.rollback()
        return [{row[0]: row[1:-1] for row in rows} for rows in found]

    def _read(self, conn, until: datetime, **changes) -> list[tuple]:
        settings = settings_for(contact_fields=(self._field.id,), **changes)
        chosen = selection.Selection(settings, [self._field], until, "UTC", table=contact_table.describe(conn))
        return list(selection.read(conn, chosen))


@pytest.fixture
def sessions(context: Context) -> Iterator[tuple[connection, connection]]:
    """Two sessions of others, which do not wait for each other."""
    both = [psycopg2.connect(context.contacts.url, options="-c lock_timeout=20ms") for _ in range(2)]
    yield tuple(both)
    for conn in both:
        conn.close()


def do(conn: connection, statement: str) -> None:
    with conn.cursor() as cursor:
        cursor.execute(statement)


def fill(context: Context, shape: Shape) -> None:
    tables = execute(context, "SELECT string_agg(table_name, ', ') AS names FROM adopted_table")[0]["names"]
    execute(context, f"TRUNCATE {tables}; {shape.rows}")


def done_at_once(sessions: tuple[connection, connection], statements: tuple[str, str]) -> bool:
    """False if one would wait for the other, or is refused: then both are undone."""
    try:
        for conn, statement in zip(sessions, statements, strict=True):
            do(conn, statement)
    except REFUSED:
        for conn in sessions:
            conn.rollback()
        return False
    return True


def wrong_copies(
    context: Context,
    sessions: tuple[connection, connection],
    shape: Shape,
    pairs: Iterable[tuple[str, str]],
) -> tuple[list[str], int]:
    """Does each pair at once, and tells of which origins a copy is not as the source then. Also, how many were done."""
    execute(context, "DELETE FROM contact_field; DELETE FROM origin; " + shape.tables)
    apply(context, shape.plan)
    one = shape.plan.fields[0]
    copies = Copies(context, ContactField(one.id, one.name, one.application_type, one.column, True, {}))
    wrong, tried = [], 0
    for statements, end in product(pairs, ENDS):
        fill(context, shape)
        if not done_at_once(sessions, statements):
            continue
        tried += 1
        sessions[0].commit()
        copies.follow(database_time(context))
        getattr(sessions[1], end)()
        copies.follow(database_time(context))
        source = copies.source()
        wrong += [
            f"{' | '.join(statements)} ({end}) {wanted}: {copy} instead of {now}"
            for copy, now, wanted in zip(copies.copies, source, WANTED, strict=True)
            if copy != now
        ]
        copies.copies = [dict(one) for one in source]
    return wrong, tried


# Only both together make or end contacts, or give them another origin.
SOME = {
    "blocked": (customers()[0], "DELETE FROM blocked"),
    "consent": (customers()[0], of("consent", "yes")[0]),
    "consent of customers that are there": (customers()[2], of("consent", "yes")[0].replace("8)", "4)")),
    "consent and not blocked": ("DELETE FROM blocked", of("consent", "yes")[0]),
    "tags, two steps away": (customers()[0], f"INSERT INTO tagged SELECT g, g {NUMBERS}"),
    "origin of an organization that is there": (
        "UPDATE org SET plan = 2",
        f"INSERT INTO customer SELECT g, g, 'own' {NUMBERS} WHERE g NOT IN (SELECT id FROM customer)",
    ),
    "memberships": ("DELETE FROM member WHERE list_id = 1", "DELETE FROM member WHERE list_id = 2"),
}


@pytest.mark.parametrize("name", SOME)
def test_copies_stay_right_if_only_both_change_a_contact(context: Context, sessions, name: str):
    pair = SOME[name]
    assert wrong_copies(context, sessions, SHAPES[name], (pair, pair[::-1])) == ([], 2 * len(ENDS))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SHAPES)
def test_copies_stay_right_whatever_two_transactions_do_at_once(context: Context, sessions, name: str):
    wrong, tried = wrong_copies(context, sessions, SHAPES[name], product(SHAPES[name].statements, repeat=2))
    assert wrong == []
    assert tried > 2 * len(SHAPES[name].statements)
