"""GET /export/<id>/data: the finished file of a local export, whole or a slice of it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, PreconditionFailed
from werkzeug.wsgi import wrap_file

from contactexport.api.authentication import current_caller
from contactexport.api.backend import current_backend
from contactexport.api.export_routes import export_id_of
from contactexport.api.query_values import page_number
from contactexport.services import download_export
from contactexport.services.download_export import Slice

MOST_CONTACTS = 10_000_000
BLOCK_BYTES = 1 << 16
ONE_RANGE = re.compile(r"bytes=[ \t]*(?P<first>\d{0,40})-(?P<last>\d{0,40})[ \t]*", re.IGNORECASE | re.ASCII)
CSV = "text/csv; charset=utf-8"

blueprint = Blueprint("download", __name__, url_prefix="/export")


@blueprint.get("/<export_id>/data")
@blueprint.get("/<export_id>/data/<parameters>")
def data(export_id: str, parameters: str = "") -> Response:
    """All of it with ETag and ranges (RFC 9110, 14), or `offset` and `limit` contacts, also spelled in the path."""
    asked = dict(parse_qsl(parameters)) | request.args.to_dict()
    backend = current_backend()
    end = backend.downloads.begin(current_caller().name, backend.settings.downloads_per_user)
    try:
        return _ending(end, _asked_for(export_id, asked))
    except BaseException:
        end()
        raise


def _asked_for(export_id: str, asked: Mapping[str, str]) -> Response:
    if asked.get("offset") or asked.get("limit"):
        offset, limit = page_number(asked, "offset", 0), page_number(asked, "limit", MOST_CONTACTS)
        return _part(export_id_of(export_id), offset, limit)
    return _whole(export_id_of(export_id))


def _ending(end: Callable[[], None], response: Response) -> Response:
    """Calls `end` once the answer is sent or given up. A file is sent past Response.close (werkzeug, get_app_iter)."""
    if not response.direct_passthrough:
        response.call_on_close(end)
        return response
    file: Any = response.response
    close_file = file.close

    def close() -> None:
        end()
        close_file()

    file.close = close
    return response


def _whole(export_id: int) -> Response:
    export, file = download_export.whole(current_backend(), export_id, current_caller())
    if not _asks_for_one_range():
        request.environ.pop("HTTP_RANGE", None)
    # send_file would know no size of an opened file, and without it there are no ranges.
    response = Response(wrap_file(request.environ, file), content_type=CSV, direct_passthrough=True)
    response.content_length = export.bytes or 0
    response.headers.set("Content-Disposition", "attachment", filename=export.file_name)
    response.headers["Cache-Control"] = "private, no-cache"
    response.last_modified = export.ready_at
    response.set_etag(export.sha256 or "")
    try:
        response.make_conditional(request.environ, accept_ranges=True, complete_length=export.bytes)
        if response.status_code == 412:  # by If-Match (RFC 9110, 13.1.1)
            raise PreconditionFailed
    except HTTPException:
        response.close()
        raise
    return response


def _asks_for_one_range() -> bool:
    """Any other Range must or may be ignored (RFC 9110, 14.2): other methods and units, what is malformed, several."""
    found = ONE_RANGE.fullmatch(request.headers.get("Range", ""))
    if found is None or request.method != "GET":
        return False
    first, last = found["first"], found["last"]
    return bool(first or last) and not (first and last and int(first) > int(last))


def _part(export_id: int, offset: int, limit: int) -> Response:
    file, slices = download_export.part(
        current_backend(), export_id, current_caller(), offset, min(limit, MOST_CONTACTS)
    )
    response = Response(_blocks(file, slices), content_type=CSV)
    response.content_length = sum(one.end - one.start for one in slices)
    response.call_on_close(file.close)
    return response


def _blocks(file: BinaryIO, slices: Iterable[Slice]) -> Iterator[bytes]:
    for one in slices:
        file.seek(one.start)
        left = one.end - one.start
        while left > 0 and (block := file.read(min(left, BLOCK_BYTES))):
            left -= len(block)
            yield block
