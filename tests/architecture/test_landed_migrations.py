"""A version of the schema that has landed never changes: databases have been made by it."""

import hashlib
from pathlib import Path

import pytest

VERSIONS = Path(__file__).parents[2] / "contactexport" / "db" / "migrations" / "versions"
LANDED = {
    "0001_exports_and_contacts.sql": "283b2e05340d47270dacc6f8dfa3e4a36045e097bc44fd1dcea29054e8cddc47",
}


@pytest.mark.parametrize("name", LANDED)
def test_the_text_of_a_landed_migration_never_changes(name: str):
    assert hashlib.sha256((VERSIONS / name).read_bytes()).hexdigest() == LANDED[name]
