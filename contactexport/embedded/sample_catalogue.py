"""The sample catalogue: two forms, three API sources, the system fields of the original and one custom field.

The records are in catalogue/*.json, with names and labels in English, German, French, Hungarian and Spanish.
"""

import json
from pathlib import Path

from contactexport.db.connection import Database
from contactexport.embedded import sample_store

FOLDER = Path(__file__).parent / "catalogue"


def load(database: Database) -> None:
    """Inserts or updates the catalogue in one transaction.

    Raises UsageError if `contact` is not the table of this program.
    """
    with database.transaction() as conn:
        sample_store.require_own_contact_table(conn)
        sample_store.write_catalogue(conn, _read("origins"), _read("fields"), _read("choices"))


def choice_ids_by_column() -> dict[str, list[int]]:
    """Returns the valid ids of each column of a choice field."""
    columns = {field["id"]: field["column_name"] for field in json.loads(_read("fields"))}
    return {
        columns[field_id]: [choice["id"] for choice in group["choices"]]
        for group in json.loads(_read("choices"))
        for field_id in group["field_ids"]
    }


def _read(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")
