"""What the tables are made of that a plan names: columns, types, keys, values, rights."""

import difflib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg2
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege, LockNotAvailable

from contactexport.adopt import plan_file
from contactexport.adopt.models import OnStep, Plan
from contactexport.adopt.sql_text import select_parts
from contactexport.db.connection import Connection, Database
from contactexport.db.errors import connection_is_lost, query_errors_translated, require_all_rows
from contactexport.db.queries import queries, template
from contactexport.errors import ContactExportError, UsageError

LOCK_TIMEOUT = "10s"
MANY_VALUES = 300


@dataclass(frozen=True)
class ValueType:
    """The type of a value, and what it is based on. `category` and `type_kind` are as in pg_type."""

    type: str
    base_type: str
    category: str
    type_kind: str

    @property
    def is_whole_number(self) -> bool:
        """True for integers of any width."""
        return self.base_type in {"smallint", "integer", "bigint"}


@dataclass(frozen=True)
class Column(ValueType):
    """A column. `quoted` is its name in SQL. `required`: it is NOT NULL."""

    name: str
    quoted: str
    max_length: int | None
    required: bool


@dataclass(frozen=True)
class Table:
    """A table or view. `unique` are the columns that tell its rows apart by themselves, `kind` is as in pg_class."""

    oid: int
    schema: str
    name: str
    kind: str
    qualified: str
    quoted_name: str
    rows: int
    has_children: bool
    columns: tuple[Column, ...]
    unique: tuple[str, ...]
    primary: str | None

    def column(self, name: str) -> Column:
        """The column, by its name with or without quotes. Raises UsageError that names what is near."""
        plain = name[1:-1].replace('""', '"') if name.startswith('"') and name.endswith('"') else name
        found = next((one for one in self.columns if one.name == name), None)
        found = found or next((one for one in self.columns if one.name == plain), None)
        if found is None:
            names = [one.name for one in self.columns]
            near = ", ".join(difflib.get_close_matches(name, names, n=3) or names[:8])
            raise UsageError(f"{self.qualified} has no column {name}. It has {near}")
        return found


@dataclass(frozen=True)
class Taken:
    """A field that the catalogue has."""

    id: int
    name: str
    application_type: str
    column_name: str


@dataclass
class Inspection:
    """Looks at tables in one transaction that changes nothing. `former` is the plan by which contacts are adopted now.
    `has_schema`: the program's schema is there, of a version that can adopt.

    Names are looked for as the role does it, not only in the program's schema.
    """

    conn: Connection
    on_step: OnStep
    role: str
    has_schema: bool = False
    former: Plan | None = None
    taken: dict[int, Taken] = field(default_factory=dict)
    seen: dict[int, Table] = field(default_factory=dict)

    def table(self, text: str, what: str) -> Table:
        """The table or view of this name. Raises UsageError that begins with `what` and names what is near."""
        inspect = queries("adopt_inspect")
        with refusals(what):
            oid = inspect.find_table(self.conn, name=text)
        if oid is None:
            names = [row["name"] for row in inspect.near_tables(self.conn)]
            near = {name for name in names if name.rpartition(".")[2] == text.rpartition(".")[2]}
            close = sorted(near) or difflib.get_close_matches(text, names, n=3, cutoff=0.5)
            raise UsageError(f"{what}: there is no table {text}" + (f". Is it {' or '.join(close)}?" if close else ""))
        if oid not in self.seen:
            unique = [*inspect.unique_columns(self.conn, oid=oid)]
            self.seen[oid] = Table(
                **inspect.table(self.conn, oid=oid),
                columns=tuple(Column(**row) for row in inspect.columns(self.conn, oid=oid)),
                unique=tuple(row["name"] for row in unique),
                primary=next((row["name"] for row in unique if row["is_primary"]), None),
            )
        return self.seen[oid]

    def type_of(self, plan: Plan, expression: str, what: str) -> ValueType:
        """The type of an expression over the plan's tables. Raises UsageError with the words of Postgres."""
        with refusals(what), self.conn.cursor() as cursor:
            cursor.execute(self._statement("probe", plan, None, expressions=sql.SQL(f"({expression}\n)")))
            described = cursor.description or []
        return ValueType(**queries("adopt_inspect").type_of(self.conn, oid=described[0].type_code))

    def outputs(self) -> tuple[Column, ...]:
        """The columns of the view that `make_view` has made."""
        inspect = queries("adopt_inspect")
        return tuple(Column(**row) for row in inspect.columns(self.conn, oid=inspect.view_oid(self.conn)))

    def make_view(self, select: sql.Composable, what: str) -> None:
        """Makes a temporary view of a SELECT. Raises UsageError with the words of Postgres."""
        with refusals(what), self.conn.cursor() as cursor:
            cursor.execute(template("adopt_inspect", "make_view").format(select=select))

    def check_condition(self, plan: Plan, condition: str, what: str) -> None:
        """Raises UsageError with the words of Postgres unless this is a condition over the plan's tables."""
        with refusals(what), self.conn.cursor() as cursor:
            cursor.execute(self._statement("probe", plan, condition, expressions=sql.SQL("1")))

    def check_comparable(self, plan: Plan, table: str, column: str, key: str, what: str) -> None:
        """Raises UsageError with the words of Postgres unless another table's column compares with the key."""
        parts = {"table": sql.SQL(table), "column": sql.SQL(column), "key": sql.SQL(key)}
        with refusals(what), self.conn.cursor() as cursor:
            cursor.execute(template("adopt_inspect", "compare").format(tables=sql.SQL(select_parts(plan)), **parts))

    def values(self, plan: Plan, expression: str) -> list[str] | None:
        """Which values an expression has, as text. None: they are many."""
        self.on_step(f"values of {expression}")
        with refusals(expression), self.conn.cursor() as cursor:
            cursor.execute(self._statement("values_of", plan, plan.where, value=sql.SQL(f"({expression}\n)")))
            found = sorted(row["value"] for row in cursor)
        return None if len(found) == MANY_VALUES else found

    def _statement(self, query: str, plan: Plan, condition: str | None, **parts: sql.Composable) -> sql.Composed:
        tables = sql.SQL(select_parts(plan))
        return template("adopt_inspect", query).format(
            tables=tables, condition=sql.SQL(f"({condition}\n)" if condition else "true"), **parts
        )


@contextmanager
def inspection(database: Database, on_step: OnStep) -> Iterator[Inspection]:
    """Looks at the tables of a database. Whatever happens inside is rolled back.

    Raises UsageError on a read-only server, ContactExportError that names the table if one is locked for ten seconds.
    """
    inspect = queries("adopt_inspect")
    with query_errors_translated(), database.transaction() as conn:
        if inspect.is_read_only(conn):
            raise UsageError("The contacts' database is read-only: adopt tables on the server it is copied from")
        looking = Inspection(conn, on_step, inspect.role(conn), bool(inspect.has_adopted(conn)))
        if looking.has_schema and (stored := inspect.adopted_plan(conn)):
            looking.former = plan_file.from_values(stored, "the adopted plan")
        if inspect.has_catalogue(conn):
            looking.taken = {row["id"]: Taken(**row) for row in inspect.taken_fields(conn)}
        inspect.use_path(conn, path=inspect.own_path(conn))
        inspect.limit_locks(conn, limit=LOCK_TIMEOUT)
        with locks_named(conn, looking.seen):
            yield looking
        conn.rollback()


@contextmanager
def locks_named(conn: Connection, tables: Collection[int]) -> Iterator[None]:
    """Says which of the tables is locked, and by whom, when a lock does not become free in time."""
    try:
        yield
    except LockNotAvailable:
        raise locked_for_too_long(conn, tables) from None


def locked_for_too_long(conn: Connection, tables: Collection[int]) -> ContactExportError:
    """The error that says which of the tables is locked, and by whom. What the transaction has done is undone."""
    if not conn.closed:
        conn.rollback()
    found = next(iter(queries("adopt_inspect").blockers(conn, oids=list(tables))), None)
    by = f"{found['name']} is locked by {found['who']} (process {found['pid']})" if found else "A table is locked"
    return ContactExportError(f"{by} for too long: nothing was done. Try again when that has ended")


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turns the refusal of a statement into UsageError: one line that begins with `what`, in the words of Postgres."""
    try:
        yield
    except LockNotAvailable:
        raise
    except psycopg2.Error as error:
        if error.pgcode is None or connection_is_lost(error):
            raise
        if isinstance(error, InsufficientPrivilege):
            require_all_rows(error)
        hint = f". {error.diag.message_hint}" if error.diag.message_hint else ""
        raise UsageError(f"{what}: {' '.join(f'{error.diag.message_primary}{hint}'.split())}") from error
