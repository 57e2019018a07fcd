"""Keeps a Postgres table equal to the contacts of a feed (docs/feeds.md).

    python to_postgres.py DATABASE_URL TABLE FEED SOURCE

SOURCE is the folder with the files, or the URL of the service. Each file is applied in one transaction, together with
the cursor of the mirror, its manifest: whenever this program dies, each file counts once.
"""

import json
import sys

import psycopg2
from feed_files import checked, files
from psycopg2 import sql

PREPARE = "CREATE TABLE IF NOT EXISTS mirror_cursor (mirror text PRIMARY KEY, manifest text); LOCK TABLE mirror_cursor"
LAST = "SELECT manifest FROM mirror_cursor WHERE mirror = %s"
MOVE = "INSERT INTO mirror_cursor VALUES (%s, %s) ON CONFLICT (mirror) DO UPDATE SET manifest = excluded.manifest"
# With columns of other types, create the table yourself before the first file.
CREATE = "CREATE TABLE IF NOT EXISTS {table} ({typed}, PRIMARY KEY (user_id)); "
COLUMNS = "SELECT * FROM {table} LIMIT 0"
BATCH = "CREATE TEMPORARY TABLE batch (LIKE {table}, change text) ON COMMIT DROP"
COPY = "COPY batch FROM STDIN (FORMAT csv, HEADER {header}, DELIMITER {delimiter}, ENCODING 'UTF8')"
EMPTY = "TRUNCATE {table}"
DELETE = "DELETE FROM {table} AS t USING batch WHERE t.user_id = batch.user_id"
INSERT = "INSERT INTO {table} SELECT {columns} FROM batch WHERE change = 'changed'"


def apply(conn, table, text, path):
    """False: the mirror has this file, or a later one."""
    with conn, conn.cursor() as cursor:
        cursor.execute(PREPARE)
        cursor.execute(LAST, [table])
        if (dialect := checked(text, path, *(cursor.fetchone() or [None]))) is None:
            return False
        manifest, (header, delimiter) = json.loads(text), dialect
        names = [name for _, name in manifest["columns"][:-1]]
        parts = {
            "table": sql.Identifier(*table.split(".")),
            "columns": sql.SQL(", ").join(map(sql.Identifier, names)),
            "typed": sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in names),
            "header": sql.Literal(header),
            "delimiter": sql.Literal(delimiter),
        }
        cursor.execute(sql.SQL(CREATE + COLUMNS).format(**parts))
        if [column.name for column in cursor.description] != names:
            sys.exit(f"the columns are {names} now: drop the table {table} and take a full file of the feed")
        cursor.execute(sql.SQL(BATCH).format(**parts))
        with path.open("rb") as file:
            cursor.copy_expert(sql.SQL(COPY).format(**parts), file)
        for statement in (EMPTY if manifest["window"]["start"] is None else DELETE, INSERT):
            cursor.execute(sql.SQL(statement).format(**parts))
        cursor.execute(MOVE, [table, text])
        return True


if __name__ == "__main__":
    conn, table, feed, source = psycopg2.connect(sys.argv[1]), *sys.argv[2:]
    for text, path in files(feed, source):
        print(json.loads(text)["file"], "applied" if apply(conn, table, text, path) else "known")
