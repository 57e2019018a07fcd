"""Reads and changes the database of a test without the program."""

from contactexport.db.connection import Database


def rows(database: Database, statement: str, *values: object) -> list[dict]:
    with database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def value(database: Database, statement: str, *values: object):
    return next(iter(rows(database, statement, *values)[0].values()))


def for_all_sessions(database: Database, setting: str) -> None:
    """Sets a setting for every later session of the database."""
    rows(database, f"ALTER DATABASE {value(database, 'SELECT current_database()')} {setting}")
    database.close()
