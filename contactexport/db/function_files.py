"""The functions of the database as they are now: functions/*.sql, one a file.

A migration that has landed is frozen, so the text of a function there may be old. After each upgrade these files are
applied if the database has another text. They are templates: {schema} is where our tables stand, {schema_name} the same
as a text. `functions/triggers.sql` shows the triggers that call them. Only migrations make triggers.
"""

from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import connection

from contactexport.db.queries import queries

FOLDER = Path(__file__).parent / "functions"
SEQUENCES = {"read_sequence": "contact_change_read", "id_sequence": "export_id_seq"}


def names() -> list[str]:
    """The functions that have a file, by name."""
    return sorted(file.stem for file in FOLDER.glob("*.sql") if file.stem != "triggers")


def apply(conn: connection, schema: str) -> None:
    """Makes or replaces all of them, in the transaction that runs. A database of contacts needs none of exports."""
    sequences = {
        placeholder: sql.Literal(sql.Identifier(schema, name).as_string(conn))
        for placeholder, name in SEQUENCES.items()
    }
    contacts_only = queries("schema").is_contacts_only(conn)
    needed = [name for name in names() if not (contacts_only and name.startswith("export_"))]
    queries("schema").find_postgres_names_only(conn)
    with conn.cursor() as cursor:
        for name in needed:
            text = sql.SQL((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
            cursor.execute(text.format(schema=sql.Identifier(schema), schema_name=sql.Literal(schema), **sequences))
    queries("schema").find_names_in(conn, schema=schema)
