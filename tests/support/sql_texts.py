"""The SQL of the program, of its functions in the database, and of its pages, for tests of all names in it."""

import re
from pathlib import Path

from contactexport.context import Context
from contactexport.db.queries import SQL_FOLDER
from tests.support.exporting import execute

OWN_TABLE = Path(__file__).parents[2] / "docs" / "own-table.md"
COMMENT = re.compile("--.*")
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def functions(context: Context) -> list[str]:
    """The definitions of all functions that the migrations have created."""
    found = execute(
        context,
        "SELECT pg_get_functiondef(oid) AS text FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY oid",
    )
    return [row["text"] for row in found]


def queries() -> list[str]:
    """The texts of the files with named queries."""
    return [file.read_text(encoding="utf-8") for file in sorted(SQL_FOLDER.glob("*.sql"))]


def own_table() -> list[str]:
    """The statements of the page for a customer table by hand: the table, and everything around it."""
    page = OWN_TABLE.read_text(encoding="utf-8")
    return [blocks(page)[0], *blocks(page.partition("\n## By hand\n")[2])]


def blocks(page: str) -> list[str]:
    """The SQL blocks of a page."""
    return re.findall(r"^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def words(texts: list[str]) -> list[str]:
    """Every word of the texts, outside of comments, that may be the name of a column, without duplicates."""
    # Postgres refuses these names, because every table has such system columns.
    everywhere = {"ctid", "tableoid", "cmin", "cmax", "xmin", "xmax"}
    found = {word[:63] for text in texts for word in re.findall(r"[A-Za-z_][A-Za-z_0-9]*", COMMENT.sub("", text))}
    return sorted(found - everywhere)
