"""The sample catalogue: two forms, three API sources, the original's system fields and one custom field.

The records stand in catalogue/*.json, names and labels in English, German, French, Hungarian and Spanish.
"""

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


def _read(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")
