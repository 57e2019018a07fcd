"""Writes the sample catalogue and the sample contacts. The caller opens and commits the transaction."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg2.extensions import connection

from contactexport.db.queries import queries
from contactexport.errors import UsageError


def require_own_contact_table(conn: connection) -> None:
    """Raises UsageError unless `contact` is a plain table that this database user owns and may write."""
    table = queries("sample").contact_table(conn)
    if table is None:
        raise UsageError("The table `contact` does not exist: run `flask db upgrade`")
    if not table["is_table"]:
        raise UsageError("`contact` is not an ordinary table: sample data is made only for the table of this program")
    if not table["is_ours"]:
        raise UsageError("`contact` belongs to another database user: only its owner can make sample data")
    if table["is_read_only"]:
        raise UsageError("The contacts database is read-only: make sample data on the server it replicates")


def write_catalogue(conn: connection, origins: str, fields: str, choices: str) -> None:
    """Inserts or updates origins, fields and choices, each a JSON array of records (see embedded/catalogue).

    The column of the custom field is added the way an adopter adds one. Column and triggers are added only if they are
    missing, because adding them waits for everybody who uses the table.
    """
    sample = queries("sample")
    if not sample.custom_column_exists(conn):
        sample.add_custom_column(conn)
    if not sample.origin_fields_follow(conn):
        sample.let_origin_fields_follow(conn)
    sample.upsert_origins(conn, records=origins)
    sample.upsert_fields(conn, records=fields)
    sample.upsert_choices(conn, records=choices)


def prepare_session(conn: connection, locales: Sequence[Any], people: Sequence[Any], places: Sequence[Any]) -> datetime:
    """Creates the functions and value pools of this session, and the months of the change log.

    Returns the last midnight (UTC). The history of changes ends there.
    """
    sample = queries("sample_contacts")
    sample.make_functions(conn)
    sample.fill_locales(conn, records=json.dumps(locales))
    sample.fill_people(conn, records=json.dumps(people))
    sample.fill_places(conn, records=json.dumps(places))
    sample.analyze_pools(conn)
    today: datetime = sample.today(conn)
    sample.make_change_months(conn, today=today)
    return today


def insert_batch(conn: connection, contacts: int, values: Mapping[str, Any]) -> int:
    """Appends contacts with their history of changes. Returns the number of changes.

    `values` are the parameters of insert_contacts and insert_changes in sample_contacts.sql, except the range of ids.
    The trigger that would log the contacts as changed now is off until the commit. A lock keeps other writers of
    `contact` out meanwhile, so none of their changes is missed.
    """
    sample = queries("sample_contacts")
    sample.stop_logging_inserts(conn)
    first_id = sample.first_free_id(conn)
    ids = {"first_id": first_id, "last_id": first_id + contacts - 1}
    sample.insert_contacts(conn, **values, **ids)
    changes: int = sample.insert_changes(conn, seed=values["seed"], today=values["today"], **ids)
    sample.note_last_id(conn, last_id=ids["last_id"])
    sample.log_inserts_again(conn)
    return changes


def update_statistics(conn: connection) -> None:
    """Updates the statistics of the planner at once instead of at the next autovacuum."""
    queries("sample_contacts").analyze(conn)
