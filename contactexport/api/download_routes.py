"""GET /export/<id>/data: the finished file of a local export, whole or a slice of it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, Response, request, send_file
from werkzeug.exceptions import PreconditionFailed

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
    response = send_file(
        file, mimetype="text/csv", as_attachment=True, download_name=export.file_name, etag=export.sha256 or ""
    )
    if response.status_code == 412:  # by If-Match; the file is still in it (RFC 9110, 13.1.1)
        response.close()
        raise PreconditionFailed
    response.headers["Cache-Control"] = "private, no-cache"
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
    return response


def _blocks(file: Path, slices: Iterable[Slice]) -> Iterator[bytes]:
    with file.open("rb") as content:
        for one in slices:
            content.seek(one.start)
            left = one.end - one.start
            while left > 0 and (block := content.read(min(left, BLOCK_BYTES))):
                left -= len(block)
                yield block
