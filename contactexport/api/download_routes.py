"""GET /api/v2/export/<id>/data: the finished file of a local export, whole or a slice of it."""

from collections.abc import Iterator
from urllib.parse import parse_qs

from flask import Blueprint, Response, request, send_file
from werkzeug.exceptions import PreconditionFailed

from contactexport.api.backend import current_backend
from contactexport.api.export_routes import export_id_of
from contactexport.api.request_fields import integer
from contactexport.errors import InvalidRequest
from contactexport.services import download_export
from contactexport.services.download_export import Slice

MOST_CONTACTS = 1_000_000
BLOCK_BYTES = 1 << 16
CSV = "text/csv; charset=utf-8"

blueprint = Blueprint("download", __name__, url_prefix="/api/v2/export")


@blueprint.get("/<export_id>/data")
@blueprint.get("/<export_id>/data/")
@blueprint.get("/<export_id>/data/<parameters>")
def data(export_id: str, parameters: str = "") -> Response:
    """All of it with ETag and ranges (RFC 9110, 14), or `offset` and `limit` contacts, also spelled in the path."""
    asked = {name: values[-1] for name, values in parse_qs(parameters, keep_blank_values=True).items()}
    asked |= request.args.to_dict()
    if "offset" in asked or "limit" in asked:
        offset, limit = _number(asked, "offset", 0, 10**18), _number(asked, "limit", MOST_CONTACTS, MOST_CONTACTS)
        return _part(export_id_of(export_id), offset, limit)
    return _whole(export_id_of(export_id))


def _whole(export_id: int) -> Response:
    export, file = download_export.whole(current_backend(), export_id)
    response = send_file(
        file, mimetype="text/csv", as_attachment=True, download_name=export.file_name, etag=export.sha256 or ""
    )
    if response.status_code == 412:  # by If-Match; the file is still in it (RFC 9110, 13.1.1)
        response.close()
        raise PreconditionFailed
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _part(export_id: int, offset: int, limit: int) -> Response:
    _, found = download_export.part(current_backend(), export_id, offset, limit)
    response = Response(_blocks(found), content_type=CSV)
    response.content_length = found.end - found.start
    return response


def _blocks(found: Slice) -> Iterator[bytes]:
    left = found.end - found.start
    with found.file.open("rb") as file:
        file.seek(found.start)
        while left > 0 and (block := file.read(min(left, BLOCK_BYTES))):
            left -= len(block)
            yield block


def _number(asked: dict[str, str], name: str, default: int, most: int) -> int:
    if name not in asked:
        return default
    number = integer(asked[name])
    if number is None or number > most:
        raise InvalidRequest(f"Invalid value for {name}: {asked[name]}")
    return number
