"""Users get a team, limits of their own and the switch for clients of the original."""

from pathlib import Path
from typing import Any

from alembic import op
from psycopg2 import sql

from contactexport.db.queries import queries

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    conn: Any = op.get_bind().connection.driver_connection
    schema = queries("schema").schema_of_log(conn)
    id_sequence = sql.Identifier(schema, "export_id_seq").as_string(conn)
    template = sql.SQL(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
    with conn.cursor() as cursor:
        cursor.execute(template.format(schema=sql.Identifier(schema), id_sequence=sql.Literal(id_sequence)))
