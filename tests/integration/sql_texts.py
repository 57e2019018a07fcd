"""The SQL of the program, of its functions in the database, and of the guide: for tests of all the names in it."""

import re
from pathlib import Path

from exporting import execute

from contactexport.backend import Backend
from contactexport.db.queries import SQL_FOLDER

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def functions(backend: Backend) -> list[str]:
    """The definitions of all functions that the migrations have made."""
    found = execute(
        backend,
        "SELECT pg_get_functiondef(oid) AS text FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY oid",
    )
    return [row["text"] for row in found]


def queries() -> list[str]:
    """The files of named queries."""
    return [file.read_text(encoding="utf-8") for file in sorted(SQL_FOLDER.glob("*.sql"))]


def own_table() -> list[str]:
    """The statements of the guide for a customer table of one's own: the table, and what is built around it."""
    section = (
        GUIDE.read_text(encoding="utf-8").partition("\n## A customer table of your own\n")[2].partition("\n## ")[0]
    )
    return blocks(section)


def blocks(page: str) -> list[str]:
    """The SQL of a page, block by block."""
    return re.findall(r"^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def words(texts: list[str]) -> list[str]:
    """Every word of the texts that a column may be called, each once."""
    # Postgres refuses a column with the name of one that every table has.
    everywhere = {"ctid", "tableoid", "cmin", "cmax", "xmin", "xmax"}
    found = {word[:63] for text in texts for word in re.findall(r"[A-Za-z_][A-Za-z_0-9]*", text)}
    return sorted(found - everywhere)
