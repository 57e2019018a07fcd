"""/export: how exports are doing, all of them or one; cancelling one."""

from flask import Blueprint, Response, g, request

from contactexport.api import replies, request_json
from contactexport.api.authentication import current_caller
from contactexport.api.backend import current_backend
from contactexport.api.request_fields import integer
from contactexport.errors import InvalidRequest, UnknownExport
from contactexport.models import ExportStatus
from contactexport.services import cancel_export, track_export

MOST_LISTED = 1000
LISTED = 100
ID_NAMES = {"id", "export_id", "exportId"}

blueprint = Blueprint("export", __name__, url_prefix="/export")


@blueprint.get("")
def newest() -> Response:
    """Status payloads, newest first; `status`, `limit`, and `before` (an id) for the next page.

    A client that sends an id here has lost it from the path: `Invalid export ID` (contract, Status and download).
    """
    if ID_NAMES & (request.args.keys() | _names_in_body()):
        raise UnknownExport
    status = request.args.get("status")
    if status is not None and status not in list(ExportStatus):
        raise InvalidRequest(f"Invalid value for status: {status}")
    limit, before = _number("limit", MOST_LISTED) or LISTED, _number("before", 2**63 - 1)
    return replies.ok(
        track_export.newest(current_backend(), current_caller(), status=status, before=before, limit=limit)
    )


@blueprint.get("/<export_id>")
def status(export_id: str) -> Response:
    """The status payload; anything that is no id of an export is `Invalid export ID` (contract, Status)."""
    return replies.ok(track_export.status(current_backend(), export_id_of(export_id), current_caller()))


@blueprint.delete("/<export_id>")
def cancel(export_id: str) -> Response:
    """Ends an unfinished export, deletes the file of a finished one; answers with the status after it."""
    backend, caller = current_backend(), current_caller()
    cancel_export.cancel(backend, export_id_of(export_id), caller)
    return replies.ok(track_export.status(backend, export_id_of(export_id), caller))


def export_id_of(text: str) -> int:
    """The id in a path. Raises UnknownExport when it can be none."""
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise UnknownExport
    export_id = int(text)
    g.export_id = export_id  # for the audit log
    return export_id


def _names_in_body() -> set[str]:
    try:
        body = request_json.parse(request.get_data())
    except (ValueError, RecursionError):
        return set()
    return set(body) if isinstance(body, dict) else set()


def _number(name: str, most: int) -> int | None:
    sent = request.args.get(name)
    if sent is None:
        return None
    number = integer(sent)
    if number is None or not 1 <= number <= most:
        raise InvalidRequest(f"Invalid value for {name}: {sent}")
    return number
