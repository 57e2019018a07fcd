"""Random statements on the tables of an adopted schema, each compared with what the log says of it."""

import random
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection

from tests.support.adopted_schemas import AdoptedSchema

REFUSED = (
    psycopg2.IntegrityError,
    psycopg2.errors.CardinalityViolation,
    psycopg2.errors.FeatureNotSupported,
)
FEW = 4
Pair = tuple[object, str, int]
Entry = tuple[object, str, int, str]


@dataclass(frozen=True)
class Contacts:
    """The contacts at one moment: what they are by key and origin."""

    rows: dict[Pair, str]

    @property
    def keys(self) -> set[object]:
        return {pair[0] for pair in self.rows}


class Walk:
    """`changes` counts the pairs of contact and origin that have changed so far."""

    def __init__(self, conn: connection, schema: AdoptedSchema, rng: random.Random) -> None:
        self.conn = conn
        self.schema = schema
        self.rng = rng
        self.changes = 0
        self.done: list[str] = []

    def step(self) -> None:
        """Does one thing and checks the log."""
        table = self.rng.choice(list(self.schema.values))
        kind = self.rng.choices(
            [self._insert, self._update, self._delete, self._truncate, self._upsert, self._with, self._rolled_back],
            [30, 45, 12, 1, 6, 8, 6],
        )[0]
        kind(table)
        for _ in range(20 if len(self._contacts().keys) < FEW else 1):
            self.insert_somewhere(checked=True)

    def change_something(self) -> None:
        """Changes a table, unless a constraint refuses it. Whoever calls this commits."""
        makers = [self._insert_statement] * 3 + [self._update_statement] * 5 + [self._delete_statement]
        self._try(self.rng.choice(makers)(self.rng.choice(list(self.schema.values))))

    def insert_somewhere(self, *, checked: bool = False) -> None:
        """Adds a row to any table."""
        table = self.rng.choice(list(self.schema.values))
        if checked:
            self._insert(table)
        else:
            self._try(self._insert_statement(table))

    def _insert(self, table: str) -> None:
        self._check([self._insert_statement(table)], table)

    def _update(self, table: str) -> None:
        self._check([self._update_statement(table)], table)

    def _delete(self, table: str) -> None:
        self._check([f"DELETE FROM {table} WHERE {self._where(table)}"], table)

    def _truncate(self, table: str) -> None:
        self._check([f"TRUNCATE {table} CASCADE"], table, many=True)
        for _ in range(40):
            self.insert_somewhere(checked=True)

    def _upsert(self, table: str) -> None:
        if table in self.schema.direct or not self._conflict(table):
            return
        column, value = self._assignment(table)
        statement = (
            f"{self._insert_statement(table)} ON CONFLICT ({self._conflict(table)}) DO UPDATE SET {column} = {value}"
        )
        self._check([statement], table, many=True)

    def _with(self, table: str) -> None:
        """One statement that changes two tables."""
        other = self.rng.choice(list(self.schema.values))
        first, second = (
            self.rng.choice([self._update_statement, self._insert_statement, self._delete_statement])(one)
            for one in (table, other)
        )
        self._check([f"WITH a AS ({first} RETURNING 1), b AS ({second} RETURNING 1) SELECT 1"], table, many=True)

    def _rolled_back(self, table: str) -> None:
        self.conn.commit()
        before, logged = self._contacts(), self._log()
        self._try(self._update_statement(table))
        self._try(self._insert_statement(table))
        self.conn.rollback()
        assert (self._contacts(), self._log()) == (before, logged)

    def _delete_statement(self, table: str) -> str:
        return f"DELETE FROM {table} WHERE {self._where(table)}"

    def _insert_statement(self, table: str) -> str:
        columns = self.schema.values[table]
        rows = []
        for _ in range(self.rng.choice([1, 1, 1, 3])):
            rows.append("(" + ", ".join(self._literal(make(self.rng)) for make in columns.values()) + ")")
        return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join(rows)}"

    def _update_statement(self, table: str) -> str:
        column, value = self._assignment(table)
        return f"UPDATE {table} SET {column} = {value} WHERE {self._where(table)}"

    def _assignment(self, table: str) -> tuple[str, str]:
        column = self.rng.choice(list(self.schema.values[table]))
        return column, self._literal(self.schema.values[table][column](self.rng))

    def _where(self, table: str) -> str:
        if self.rng.random() < 0.04:
            return "true"
        key = self.schema.keys[table]
        chosen = [self._literal(self.schema.values[table][key](self.rng)) for _ in range(self.rng.choice([1, 1, 2, 4]))]
        return f"{key} IN ({', '.join(chosen)})"

    def _conflict(self, table: str) -> str:
        rows = self._rows(
            "SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_index i"
            " JOIN pg_attribute a ON a.attrelid = i.indrelid"
            f" AND a.attnum = ANY (i.indkey) WHERE i.indrelid = '{table}'::regclass AND i.indisprimary"
        )
        return str(rows[0][0] or "")

    def _check(self, statements: list[str], table: str, *, many: bool = False) -> None:
        before, logged = self._contacts(), len(self._log())
        if not all(self._try(one) for one in statements):
            return
        self.done += statements
        after, entries = self._contacts(), set(self._log()[logged:])
        if self.rng.random() < 0.5:
            self.conn.commit()
        expected = expected_entries(before, after)
        self.changes += len(expected)
        told = f"{statements}\nexpected {sorted(map(str, expected))}\nlogged {sorted(map(str, entries))}"
        many = many or self._cascades(statements[0])
        missed = [one for one in expected if not _is_logged(one, entries, exactly=not many)]
        assert missed == [], f"missed {missed} of {told}"
        allowed = many or table in self.schema.hidden
        # A removal of who is still there counts for nothing, and a change of who is not.
        counting = {one for one in entries - expected if (one[3] in "uc") is (one[:3] in after.rows)}
        needless = [one for one in counting if one[1] != "any" and not allowed]
        assert needless == [], f"needless {needless} in {told}"

    def _cascades(self, statement: str) -> bool:
        """A statement that changes other tables as well, by foreign keys or triggers."""
        return statement.startswith("DELETE") or (
            "UPDATE" in statement and (" id = " in statement or "archived" in statement)
        )

    def _contacts(self) -> Contacts:
        through = self.schema.plan.origin.through is not None
        pairs = "contact c JOIN contact_origin o ON o.contact_id = c.id" if through else "contact c"
        origin = "o.origin_kind, o.origin_id" if through else "c.origin_kind, c.origin_id"
        return Contacts(
            {(row[0], row[1], row[2]): row[3] for row in self._rows(f"SELECT c.id, {origin}, c::text FROM {pairs}")}
        )

    def _log(self) -> list[Entry]:
        return self._rows(
            "SELECT contact_id, origin_kind, origin_id, kind::text FROM ("
            "SELECT contact_id, origin_kind, origin_id, kind, changed_at FROM contact_change UNION ALL"
            " SELECT unnest(contact_ids), origin_kind, origin_id, kind, changed_at FROM contact_removal"
            ") AS log ORDER BY changed_at"
        )

    def _rows(self, statement: str) -> list[tuple]:
        with self.conn.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def _literal(self, value: object) -> str:
        return sql.Literal(value).as_string(self.conn)

    def _try(self, statement: str) -> bool:
        """False if a constraint refuses it."""
        with self.conn.cursor() as cursor:
            cursor.execute("SAVEPOINT attempt")
            try:
                cursor.execute(statement)
            except REFUSED:
                cursor.execute("ROLLBACK TO attempt")
                return False
        return True


def expected_entries(before: Contacts, after: Contacts) -> set[Entry]:
    """What has to be logged between two moments."""
    made = {
        (*pair, "u" if pair[0] in before.keys else "c")
        for pair, row in after.rows.items()
        if before.rows.get(pair) != row
    }
    gone = {(*pair, "m" if pair[0] in after.keys else "d") for pair in before.rows.keys() - after.rows.keys()}
    return made | gone


def _is_logged(entry: Entry, entries: set[Entry], *, exactly: bool) -> bool:
    """In a statement that changes many tables it may not be known whether a contact is new or has gone for good."""
    if entry in entries:
        return True
    key, kind, number, what = entry
    alike = {"u": "uc", "c": "uc", "d": "dmu", "m": "dmu"}[what]
    found = {one[3] for one in entries if one[:3] in {(key, kind, number), (key, "any", 0)}}
    return not exactly and bool(found & set(alike))
