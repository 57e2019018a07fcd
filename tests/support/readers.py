"""The ways in which an export reads contacts, and roles that read them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest

from contactexport.changes import selection
from contactexport.context import Context
from tests.support.exporting import context_with, execute

# One session, several sessions with one snapshot, a list of ids, and the cursor of a spreadsheet file.
WAYS = ("one reader", "several readers", "list of ids", "spreadsheet")


def reading(context: Context, way: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Context, dict[str, Any]]:
    """A context that reads in this way, even with few contacts, and the necessary changes of the export's settings."""
    if way == "several readers":
        monkeypatch.setattr(selection, "CONTACTS_WORTH_A_RANGE", 1)
        monkeypatch.setattr(selection, "SAMPLED_ONE_OF", 1)
        return context_with(context, parallel_readers=3), {}
    if way == "list of ids":
        monkeypatch.setattr(selection, "is_small_part", lambda *_: True)
    return context_with(context, parallel_readers=1), {"spreadsheet": way == "spreadsheet"}


@contextmanager
def role(context: Context, options: str = "") -> Iterator[str]:
    """A role that is no superuser and may read what an export reads."""
    name = execute(context, "SELECT 'reader_of_' || current_database() AS name")[0]["name"]
    execute(context, f"CREATE ROLE {name} LOGIN {options}")
    execute(context, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    try:
        yield name
    finally:
        execute(context, f"DROP OWNED BY {name}; DROP ROLE {name}")


def as_role(context: Context, name: str) -> Context:
    """The same, but contacts are read as this role."""
    url = context.database.url
    user = psycopg2.extensions.parse_dsn(url)["user"]
    return context_with(context, contacts_database_url=url.replace(f"//{user}", f"//{name}", 1))
