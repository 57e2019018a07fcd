"""What the logs hold, for tests of adopted tables."""

from contextlib import closing

import psycopg2

from contactexport.context import Context


def logged(context: Context) -> list[tuple[str, str, int, str]]:
    """Key, origin and kind of all changes and removals, in their order."""
    with context.contacts.autocommit() as conn, conn.cursor() as cursor:
        cursor.execute(
            "SELECT contact_id::text AS id, origin_kind, origin_id, kind::text, changed_at FROM contact_change"
            " UNION ALL"
            " SELECT unnest(contact_ids)::text, origin_kind, origin_id, kind::text, changed_at FROM contact_removal"
            " ORDER BY changed_at, id"
        )
        return [(row["id"], row["origin_kind"], row["origin_id"], row["kind"]) for row in cursor.fetchall()]


def forget_log(context: Context) -> None:
    """Empties the logs."""
    run(context, "TRUNCATE contact_change, contact_removal")


def run(context: Context, statements: str) -> None:
    """Runs statements in one transaction."""
    with context.contacts.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(statements)


def prepare(context: Context, statements: str) -> None:
    """Empties the catalogue of the tests' template, and makes tables."""
    run(context, "DELETE FROM contact_field; DELETE FROM origin; " + statements)


def write(context: Context, statements: str) -> None:
    """Runs statements in one transaction, as any other program does: in a session of its own."""
    with closing(psycopg2.connect(context.contacts.url)) as conn, conn, conn.cursor() as cursor:
        cursor.execute(statements)
