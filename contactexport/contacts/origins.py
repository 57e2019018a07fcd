"""The forms and API sources that contacts come from: made and renamed without SQL."""

from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import UsageError


def add(conn: Connection, kind: str, origin_id: int, name: str) -> None:
    """Adds a form or API source. Raises UsageError if there is one with this id, or the name is empty."""
    require_name(name)
    if not queries("catalogue_edit").add_origin(conn, kind=kind, id=origin_id, name=name.strip()):
        raise UsageError(f"There is an origin {kind}:{origin_id} already: see `flask origins list`")


def rename(conn: Connection, kind: str, origin_id: int, name: str) -> None:
    """Gives an origin another name. Raises UsageError if there is none with this id, or the name is empty."""
    require_name(name)
    if not queries("catalogue_edit").rename_origin(conn, kind=kind, id=origin_id, name=name.strip()):
        raise UsageError(f"There is no origin {kind}:{origin_id}: see `flask origins list`")


def require_name(name: str) -> None:
    """Raises UsageError for a name that is empty or more than one line."""
    if not name.strip() or not name.isprintable():
        raise UsageError(f"{name!r} is not a name: a line of text expected")
