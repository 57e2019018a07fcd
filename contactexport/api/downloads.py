"""GET /export/<id>/data: the finished file of a local export, or a slice of it."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, Response, g, request
from werkzeug.exceptions import HTTPException, PreconditionFailed
from werkzeug.wsgi import wrap_file

from contactexport.api.authentication import current_context
from contactexport.api.exports import export_id_of
from contactexport.api.query_values import page_number
from contactexport.exports import download

MAX_CONTACTS = 10_000_000
BLOCK_BYTES = 1 << 16
ONE_RANGE = re.compile(r"bytes=[ \t]*(?P<first>\d{0,40})-(?P<last>\d{0,40})[ \t]*", re.IGNORECASE | re.ASCII)
CSV = "text/csv; charset=utf-8"

blueprint = Blueprint("download", __name__, url_prefix="/export")


@blueprint.get("/<export_id>/data")
@blueprint.get("/<export_id>/data/<parameters>")
def data(export_id: str, parameters: str = "") -> Response:
    """Answers the whole file with ETag and ranges (RFC 9110, 14), or `limit` contacts from `offset` on.

    Both may also be in the path.
    """
    asked = dict(parse_qsl(parameters)) | request.args.to_dict()

    def page_or_whole() -> Response:
        if asked.get("offset") or asked.get("limit"):
            offset, limit = page_number(asked, "offset", 0), page_number(asked, "limit", MAX_CONTACTS)
            return _part(export_id_of(export_id), offset, limit)
        return whole(export_id_of(export_id))

    return counted(page_or_whole)


def counted(answer: Callable[[], Response]) -> Response:
    """Answers a download, which counts as running until it is sent or aborted. Raises TooManyRequests."""
    context = current_context()
    end = context.downloads.begin(g.caller.name, context.settings.downloads_per_user)
    try:
        return _ending(end, answer())
    except BaseException:
        end()
        raise


def _ending(end: Callable[[], None], response: Response) -> Response:
    """Calls `end` when the answer is sent or aborted.

    werkzeug does not call Response.close for an answer with direct_passthrough (get_app_iter).
    """
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


def whole(export_id: int) -> Response:
    """Answers the whole file of an export that the caller may see, or the range that is asked for."""
    export, file = download.whole(current_context(), export_id, g.caller)
    if not _asks_for_one_range():
        request.environ.pop("HTTP_RANGE", None)
    # send_file does not know the size of an opened file, and without a size it serves no ranges.
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
    """RFC 9110, 14.2 allows or demands to ignore others: other methods and units, several or malformed ranges."""
    found = ONE_RANGE.fullmatch(request.headers.get("Range", ""))
    if found is None or request.method != "GET":
        return False
    first, last = found["first"], found["last"]
    return bool(first or last) and not (first and last and int(first) > int(last))


def _part(export_id: int, offset: int, limit: int) -> Response:
    file, slices = download.part(current_context(), export_id, g.caller, offset, min(limit, MAX_CONTACTS))

    def blocks() -> Iterator[bytes]:
        for one in slices:
            file.seek(one.start)
            left = one.end - one.start
            while left > 0 and (block := file.read(min(left, BLOCK_BYTES))):
                left -= len(block)
                yield block

    response = Response(blocks(), content_type=CSV)
    response.content_length = sum(one.end - one.start for one in slices)
    response.call_on_close(file.close)
    return response
