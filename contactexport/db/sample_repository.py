"""Writes the sample catalogue and the sample contacts; every function works inside the caller's transaction."""

from psycopg2.extensions import connection

from contactexport.db.queries import queries
from contactexport.errors import UsageError


def require_own_contact_table(conn: connection) -> None:
    """Raises UsageError unless `contact` is the table of this program's schema, not a view or a foreign table."""
    kind = queries("sample").table_kind(conn)
    if kind is None:
        raise UsageError("The table `contact` does not exist: run `flask db upgrade`")
    if kind != "r":
        raise UsageError("`contact` is not an ordinary table here: sample data is only for this program's own table")


def write_catalogue(conn: connection, origins: str, fields: str, choices: str) -> None:
    """Inserts or updates origins, fields and choices, each a JSON array of records (see embedded/catalogue).

    The custom field's column is added the way an adopter adds one, and only when it is missing: ALTER TABLE would
    wait for every export that is reading contacts.
    """
    sample = queries("sample")
    if not sample.custom_column_exists(conn):
        sample.add_custom_column(conn)
    sample.upsert_origins(conn, records=origins)
    sample.upsert_fields(conn, records=fields)
    sample.upsert_choices(conn, records=choices)
