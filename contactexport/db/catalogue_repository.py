"""Reads the catalogue: origins, contact fields and their choices."""

from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.models import Catalogue, ContactField, Origin


def read(conn: Connection) -> Catalogue:
    """All of it; its version is asked for first, so that what changes meanwhile makes it outdated."""
    read_version = version(conn)
    origins = tuple(Origin(**row) for row in queries("catalogue").list_origins(conn))
    fields = {row["id"]: ContactField(**row) for row in queries("catalogue").list_fields(conn)}
    return Catalogue(origins, fields, read_version, queries("catalogue").complete_from(conn))


def version(conn: Connection) -> int:
    """Raised with every change of origins and fields, and when changes are dropped from the log."""
    return int(queries("catalogue").version(conn))


def list_choices(conn: Connection, field_id: int, language: str) -> list[tuple[int, str]]:
    """Id and label (in the language, in English or the id itself) of a field's choices, by id."""
    return [
        (row["id"], row["labels"].get(language) or row["labels"].get("en") or str(row["id"]))
        for row in queries("catalogue").list_choices(conn, field_id=field_id)
    ]
