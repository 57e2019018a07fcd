"""The sample catalogue: two forms, three API sources, the original's system fields and one custom field.

The records stand in catalogue/*.json, names and labels in English, German, French, Hungarian and Spanish.
"""

import json
from pathlib import Path

from contactexport.db import sample_repository
from contactexport.db.connection import Database

FOLDER = Path(__file__).parent / "catalogue"


def load(database: Database) -> None:
    """Inserts the catalogue, or brings an earlier one up to date, in one transaction.

    Raises UsageError when `contact` is not this program's own table.
    """
    with database.transaction() as conn:
        sample_repository.require_own_contact_table(conn)
        sample_repository.write_catalogue(conn, _read("origins"), _read("fields"), _read("choices"))


def choice_ids_by_column() -> dict[str, list[int]]:
    """The ids that the columns of choice fields may hold."""
    columns = {field["id"]: field["column_name"] for field in json.loads(_read("fields"))}
    return {
        columns[field_id]: [choice["id"] for choice in group["choices"]]
        for group in json.loads(_read("choices"))
        for field_id in group["field_ids"]
    }


def _read(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")
