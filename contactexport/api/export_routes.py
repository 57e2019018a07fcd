"""/api/v2/export: how exports are doing, all of them or one; cancelling one."""

from flask import Blueprint, Response, request

from contactexport.api import replies
from contactexport.api.authentication import answered_for_caller
from contactexport.api.backend import current_backend
from contactexport.api.request_fields import integer
from contactexport.errors import InvalidRequest, UnknownExport
from contactexport.models import ExportStatus
from contactexport.services import cancel_export, track_export

MOST_LISTED = 1000
LISTED = 100

blueprint = Blueprint("export", __name__, url_prefix="/api/v2/export")


@blueprint.get("")
def newest() -> Response:
    """Status payloads, newest first; `status`, `limit`, and `before` (an id) for the next page."""
    status = request.args.get("status")
    if status is not None and status not in list(ExportStatus):
        raise InvalidRequest(f"Invalid value for status: {status}")
    limit, before = _number("limit", MOST_LISTED) or LISTED, _number("before", 2**63 - 1)
    return replies.ok(track_export.newest(current_backend(), status=status, before=before, limit=limit))


@blueprint.get("/<export_id>")
def status(export_id: str) -> Response:
    """The status payload; anything that is no id of an export is `Invalid export ID` (contract, Status)."""
    return answered_for_caller(
        lambda caller: replies.ok(track_export.status_for(current_backend(), export_id_of(export_id), caller))
    )


@blueprint.delete("/<export_id>")
def cancel(export_id: str) -> Response:
    """Ends an unfinished export, deletes the file of a finished one; answers with the status after it."""
    backend = current_backend()
    cancel_export.cancel(backend, export_id_of(export_id))
    return replies.ok(track_export.status(backend, export_id_of(export_id)))


def export_id_of(text: str) -> int:
    """The id in a path. Raises UnknownExport when it can be none."""
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise UnknownExport
    return int(text)


def _number(name: str, most: int) -> int | None:
    sent = request.args.get(name)
    if sent is None:
        return None
    number = integer(sent)
    if number is None or not 1 <= number <= most:
        raise InvalidRequest(f"Invalid value for {name}: {sent}")
    return number
