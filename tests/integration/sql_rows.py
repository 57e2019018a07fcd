"""Looks into the database of a test, and changes it behind the program's back."""

from contactexport.db.connection import Database


def rows(database: Database, statement: str, *values: object) -> list[dict]:
    with database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def value(database: Database, statement: str, *values: object):
    return next(iter(rows(database, statement, *values)[0].values()))


def for_all_sessions(database: Database, setting: str) -> None:
    """A setting of every session of the database that begins from now on."""
    rows(database, f"ALTER DATABASE {value(database, 'SELECT current_database()')} {setting}")
    database.close()
