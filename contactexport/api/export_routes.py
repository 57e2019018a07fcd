"""GET /api/v2/export/<id>: how an export is doing."""

from flask import Blueprint, Response

from contactexport.api import replies
from contactexport.api.backend import current_backend
from contactexport.errors import UnknownExport
from contactexport.services import track_export

blueprint = Blueprint("export", __name__, url_prefix="/api/v2/export")


@blueprint.get("/<export_id>")
def status(export_id: str) -> Response:
    """The status payload; anything that is no id of an export is `Invalid export ID` (contract, Status)."""
    return replies.ok(track_export.status(current_backend(), _id(export_id)))


def _id(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise UnknownExport
    return int(text)
