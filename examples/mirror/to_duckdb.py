"""Keeps a DuckDB table equal to the contacts of a feed (docs/feeds.md).

    python to_duckdb.py DATABASE_FILE TABLE FEED SOURCE

SOURCE is the folder with the files, or the URL of the service. Each file is applied in one transaction, together with
the cursor of the mirror, its manifest: whenever this program dies, each file counts once.
"""

import json
import sys

import duckdb
from feed_files import checked, files

PREPARE = "CREATE TABLE IF NOT EXISTS mirror_cursor (mirror text, manifest text)"
LAST = "SELECT manifest FROM mirror_cursor WHERE mirror = ?"
FORGET = "DELETE FROM mirror_cursor WHERE mirror = ?"
MOVE = "INSERT INTO mirror_cursor VALUES (?, ?)"
BATCH = """CREATE OR REPLACE TEMPORARY TABLE batch AS FROM read_csv(
    ?, auto_detect = false, new_line = '\\n', header = ?, delim = ?, quote = '"', escape = '"', columns = {{{typed}}}
)"""
# Without a key: DuckDB would compare new rows with those that the same transaction has deleted.
CREATE = "CREATE TABLE IF NOT EXISTS {table} AS SELECT {columns} FROM batch LIMIT 0"
COLUMNS = "SELECT * FROM {table} LIMIT 0"
EMPTY = "DELETE FROM {table}"
DELETE = "DELETE FROM {table} AS t USING batch WHERE t.user_id = batch.user_id"
INSERT = "INSERT INTO {table} SELECT {columns} FROM batch WHERE change = 'changed'"


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def apply(conn, table, text, path):
    """False: the mirror has this file, or a later one."""
    conn.execute(PREPARE)
    if (dialect := checked(text, path, *(conn.execute(LAST, [table]).fetchone() or [None]))) is None:
        return False
    manifest = json.loads(text)
    names = [name for _, name in manifest["columns"]]
    columns = ", ".join(map(quoted, names[:-1]))
    typed = ", ".join("'" + name.replace("'", "''") + "': 'VARCHAR'" for name in names)
    parts = {"table": quoted(table), "columns": columns, "typed": typed}
    conn.begin()  # whatever ends this program before the commit undoes it
    conn.execute(BATCH.format(**parts), [str(path), *dialect])
    conn.execute(CREATE.format(**parts))
    if [column[0] for column in conn.execute(COLUMNS.format(**parts)).description] != names[:-1]:
        sys.exit(f"the columns are {names[:-1]} now: drop the table {table} and take a full file of the feed")
    for statement in (EMPTY if manifest["window"]["start"] is None else DELETE, INSERT):
        conn.execute(statement.format(**parts))
    conn.execute(FORGET, [table])
    conn.execute(MOVE, [table, text])
    conn.commit()
    return True


if __name__ == "__main__":
    conn, table, feed, source = duckdb.connect(sys.argv[1]), *sys.argv[2:]
    for text, path in files(feed, source):
        print(json.loads(text)["file"], "applied" if apply(conn, table, text, path) else "known")
