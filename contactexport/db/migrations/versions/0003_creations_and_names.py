"""The log tells creations from changes, and functions depend on no search path and on no column's name."""

from pathlib import Path
from typing import Any

from alembic import op
from psycopg2 import sql

from contactexport.db.queries import queries

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    conn: Any = op.get_bind().connection.driver_connection
    schema = queries("schema").schema_of_log(conn)
    read_sequence = sql.Identifier(schema, "contact_change_read").as_string(conn)
    template = sql.SQL(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
    statements = template.format(
        schema=sql.Identifier(schema), schema_name=sql.Literal(schema), read_sequence=sql.Literal(read_sequence)
    )
    with conn.cursor() as cursor:
        cursor.execute(statements)
