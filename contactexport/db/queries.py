"""The named queries of db/sql/*.sql. aiosql binds their parameters."""

from functools import cache
from pathlib import Path
from typing import Any

import aiosql
from psycopg2 import sql

SQL_FOLDER = Path(__file__).parent / "sql"


@cache
def queries(file_name: str) -> Any:
    """The queries of sql/<file_name>.sql, as functions of a connection and their parameters. Cached."""
    return aiosql.from_path(SQL_FOLDER / f"{file_name}.sql", "psycopg2", mandatory_parameters=False)


def template(file_name: str, query: str) -> sql.SQL:
    """A query, or a part of one, with names in braces for tables, columns or other parts."""
    return sql.SQL(getattr(queries(file_name), query).sql.strip().rstrip(";"))
