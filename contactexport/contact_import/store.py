"""The database side of an import: the staging table, the checks that need the database, update and insert."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg2
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege

from contactexport.db.connection import Connection
from contactexport.db.errors import error_is_local, place_of_missing_name, require_all_rows, require_no_conflict
from contactexport.db.queries import queries
from contactexport.errors import ContactExportError


class RowSource(Protocol):
    """Rows as COPY reads them. Each is a CSV line: line number, problems, original record, values of the columns.

    `failure` is what `read` raised. psycopg2 would replace it by its own error.
    """

    failure: BaseException | None

    def read(self, size: int = ...) -> bytes:
        """The next block. It may end inside a line. Empty at the end."""


@dataclass(frozen=True)
class ContactColumn:
    """A column of `contact`. `type` and `category` are as in pg_type. A limit is None if the type has none."""

    name: str
    type: str
    category: str
    max_length: int | None
    whole_digits: int | None
    scale: int
    required: bool
    writable: bool


@dataclass(frozen=True)
class LineCounts:
    """The number of lines, of bad ones (`rejected`), and of good ones whose contact exists (`matched`)."""

    lines: int
    rejected: int
    matched: int


def list_columns(conn: Connection) -> dict[str, ContactColumn]:
    """The columns of `contact` by name."""
    return {row["name"]: ContactColumn(**row) for row in queries("contact_import").list_columns(conn)}


def list_choices(conn: Connection, field_id: int) -> list[tuple[int, Mapping[str, str]]]:
    """The choices of a field: the id and the labels by language of each."""
    return [(row["id"], row["labels"]) for row in queries("catalogue").list_choices(conn, field_id=field_id)]


class StagedContacts:
    """The lines of one import in a temporary table. The table ends with the transaction.

    Every method raises ContactExportError if the database refuses the data.
    """

    def __init__(self, conn: Connection, columns: Sequence[str], key: str, label: str, *, ignore_case: bool) -> None:
        self._conn = conn
        self._label = f', column "{label}": '
        self._has_changes = len(columns) > 1
        own_equality = {row["name"]: row["schema"] for row in queries("contact_import").own_equality(conn)}
        self._parts = _parts(columns, key, own_equality, ignore_case=ignore_case)

    def copy(self, rows: RowSource) -> None:
        """Streams all rows into a new staging table. Raises what reading them raises."""
        with _clear_refusal(), self._conn.cursor() as cursor:
            self._execute("create_staging")
            try:
                cursor.copy_expert(self._statement("copy_staging"), rows)
            except psycopg2.Error:
                if rows.failure is not None:
                    raise rows.failure from None
                raise
            queries("contact_import").analyze_staging(self._conn)

    def match(self) -> LineCounts:
        """Finds the existing contacts. Marks lines whose key is repeated or fits several contacts as bad.

        Other imports wait from here until this transaction ends. Otherwise one could create a contact between this
        search for its key and `insert`. Programs that write `contact` themselves do not wait, as they would for LOCK
        TABLE.
        """
        with _clear_refusal():
            self._execute("mark_repeated_keys", label=self._label)
            list(queries("contact_import").wait_for_other_imports(self._conn))
            self._execute("match_contacts")
            queries("contact_import").analyze_matches(self._conn)
            self._execute("mark_ambiguous_keys", label=self._label)
            return LineCounts(**queries("contact_import").count_lines(self._conn))

    def problems(self, lines: int) -> list[str]:
        """The problems of the first `lines` bad lines, in the order of the file."""
        rows = queries("contact_import").list_problems(self._conn, limit=lines)
        return [problem for row in rows for problem in row["import_problems"].split("\n")]

    def rejected_records(self) -> Iterator[bytes]:
        """The original bytes of the bad lines, in the order of the file."""
        with self._conn.cursor("contact_import_rejected") as cursor:
            cursor.execute(self._statement("rejected_records"))
            for row in cursor:
                yield bytes(row["import_record"])

    def update(self) -> int:
        """Writes the good lines of existing contacts. Returns how many contacts really changed."""
        with _clear_refusal():
            return self._execute("update_contacts") if self._has_changes else 0

    def insert(self, origin_kind: str, origin_id: int) -> int:
        """Creates the contacts of the other good lines. Returns how many."""
        with _clear_refusal():
            return self._execute("insert_contacts", origin_kind=origin_kind, origin_id=origin_id)

    def _execute(self, name: str, **parameters: Any) -> int:
        with self._conn.cursor() as cursor:
            cursor.execute(self._statement(name), parameters)
            return int(cursor.rowcount)

    def _statement(self, name: str) -> sql.Composed:
        return sql.SQL(getattr(queries("contact_import"), name).sql).format(**self._parts)


def _parts(
    columns: Sequence[str], key: str, own_equality: Mapping[str, str], *, ignore_case: bool
) -> Mapping[str, sql.Composable]:
    """The parts of the statements. `own_equality`: where the operator = is, for columns for which Postgres has none."""
    current = {name: sql.Identifier("c", _read_as_format(name)) for name in columns}
    values = {name: f"value_{number}" for number, name in enumerate(columns, 1)}
    staged = {name: sql.Identifier("s", value) for name, value in values.items()}
    changed = [name for name in columns if name != key]
    key_of, equal = sql.SQL("lower({})" if ignore_case else "{}"), sql.SQL("=")
    if key in own_equality and not ignore_case:
        equal = sql.SQL("OPERATOR({}.=)").format(sql.Identifier(_read_as_format(own_equality[key])))
    as_compared = {name: sql.SQL("{}::text" if name in own_equality else "{}") for name in changed}
    return {
        "columns": _names(columns),
        "types": _list(sql.SQL("{} AS {}").format(current[name], sql.Identifier(values[name])) for name in columns),
        "staged": _list(staged.values()),
        "changed_columns": _names(changed),
        "changed_staged": _list(staged[name] for name in changed),
        "compared_staged": _list(as_compared[name].format(staged[name]) for name in changed),
        "compared_current": _list(as_compared[name].format(current[name]) for name in changed),
        "equal": equal,
        "staged_key": key_of.format(staged[key]),
        "contact_key": key_of.format(current[key]),
    }


def _names(columns: Sequence[str]) -> sql.Composable:
    return _list(sql.Identifier(_read_as_format(name)) for name in columns)


def _list(parts: Iterable[sql.Composable]) -> sql.Composable:
    return sql.SQL(", ").join(parts)


def _read_as_format(name: str) -> str:
    """Doubles each %, because psycopg2 reads a statement with parameters as a format string."""
    return name.replace("%", "%%")


@contextmanager
def _clear_refusal() -> Iterator[None]:
    try:
        yield
    except psycopg2.DatabaseError as error:
        if error.pgcode is None or (isinstance(error, psycopg2.OperationalError) and not error_is_local(error)):
            raise
        require_no_conflict(error)
        if isinstance(error, InsufficientPrivilege):
            require_all_rows(error)
        detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
        reason = " ".join(f"{error.diag.message_primary}{detail}{place_of_missing_name(error)}".split())
        raise ContactExportError(f"The database refuses the import, nothing was imported: {reason}") from error
