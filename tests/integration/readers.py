"""The ways in which contacts are read, and roles that read them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from exporting import backend_with, execute

from contactexport.backend import Backend
from contactexport.db import changed_contact_repository

# One session, several under one snapshot, a list of ids, and the cursor of a spreadsheet.
WAYS = ("one reader", "several readers", "list of ids", "spreadsheet")


def reading(backend: Backend, way: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Backend, dict[str, Any]]:
    """A backend that reads in this way, however few contacts there are, and the changes of settings it takes."""
    if way == "several readers":
        monkeypatch.setattr(changed_contact_repository, "CONTACTS_WORTH_A_RANGE", 1)
        monkeypatch.setattr(changed_contact_repository, "SAMPLED_ONE_OF", 1)
        return backend_with(backend, parallel_readers=3), {}
    if way == "list of ids":
        monkeypatch.setattr(changed_contact_repository, "_is_small_part", lambda *_: True)
    return backend_with(backend, parallel_readers=1), {"spreadsheet": way == "spreadsheet"}


@contextmanager
def role(backend: Backend, options: str = "") -> Iterator[str]:
    """A role that is no superuser and may read what an export reads."""
    name = execute(backend, "SELECT 'reader_of_' || current_database() AS name")[0]["name"]
    execute(backend, f"CREATE ROLE {name} LOGIN {options}")
    execute(backend, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    try:
        yield name
    finally:
        execute(backend, f"DROP OWNED BY {name}; DROP ROLE {name}")


def as_role(backend: Backend, name: str) -> Backend:
    """The same, but contacts are read as this role."""
    url = backend.database.url
    user = psycopg2.extensions.parse_dsn(url)["user"]
    return backend_with(backend, contacts_database_url=url.replace(f"//{user}", f"//{name}", 1))
