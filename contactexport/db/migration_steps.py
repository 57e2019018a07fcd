"""How a version of the schema is applied: it runs the .sql file beside its script."""

from pathlib import Path
from typing import Any

from alembic import op
from psycopg2 import sql

from contactexport.db.queries import queries


def run_statements(script: str) -> None:
    """Runs the file as it is. `script` is the version's `__file__`."""
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(_text(script))


def run_template(script: str, **sequences: str) -> None:
    """Runs the file after filling in its names in braces.

    {schema} is the schema of our tables, {schema_name} the same as a text. `sequences` are further names, each for a
    sequence of that schema, as a text. Postgres does not find a name of ours without {schema}. Functions must write it
    so, and a version should look like them.
    """
    conn: Any = op.get_bind().connection.driver_connection
    schema = queries("schema").current(conn)
    named = {name: sql.Literal(sql.Identifier(schema, found).as_string(conn)) for name, found in sequences.items()}
    statements = sql.SQL(_text(script)).format(schema=sql.Identifier(schema), schema_name=sql.Literal(schema), **named)
    queries("schema").find_postgres_names_only(conn)
    with conn.cursor() as cursor:
        cursor.execute(statements)
    queries("schema").find_names_in(conn, schema=schema)


def _text(script: str) -> str:
    return Path(script).with_suffix(".sql").read_text(encoding="utf-8")
