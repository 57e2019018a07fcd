"""GET /export/<id>/data: the finished file of a local export, or a slice of it."""

import errno
import io
import logging
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from flask import Blueprint, Response, g, request
from werkzeug.exceptions import HTTPException, PreconditionFailed
from werkzeug.wsgi import FileWrapper, wrap_file

from contactexport.api.authentication import current_context
from contactexport.api.exports import export_id_of
from contactexport.api.query_values import page_number
from contactexport.errors import ContactExportError, StorageUnfit
from contactexport.exports import download
from contactexport.exports.models import Export

MAX_CONTACTS = 10_000_000
BLOCK_BYTES = 1 << 16
ONE_RANGE = re.compile(r"bytes=[ \t]*(?P<first>\d{0,40})-(?P<last>\d{0,40})[ \t]*", re.IGNORECASE | re.ASCII)
CSV = "text/csv; charset=utf-8"
# The fastest: what limits a download is this processor.
GZIP_LEVEL = 1
# A client follows a redirect at once. Once begun, the download may take longer.
SIGNED_SECONDS = 60

logger = logging.getLogger(__name__)

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
        return whole(export_id_of(export_id), may_redirect=current_context().settings.download_redirect)

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


def whole(export_id: int, *, may_redirect: bool = False) -> Response:
    """Answers the whole file of an export that the caller may see, or the range that is asked for.

    With `may_redirect` the client may be sent to the object store. The ETag is the hash of the file. In gzip it is
    another representation, with an ETag of its own and without ranges.
    """
    export, file = download.whole(current_context(), export_id, g.caller)
    compress = "Range" not in request.headers and accepts_gzip()
    if not _asks_for_one_range():
        request.environ.pop("HTTP_RANGE", None)
    # send_file does not know the size of an opened file, and without a size it serves no ranges.
    response = Response(_body(file), content_type=CSV, direct_passthrough=True)
    response.content_length = export.bytes or 0
    response.vary.add("Accept-Encoding")
    response.headers.set("Content-Disposition", "attachment", filename=export.file_name)
    response.headers["Cache-Control"] = "private, no-cache"
    response.last_modified = export.ready_at
    response.set_etag((export.sha256 or "") + ("-gzip" if compress else ""))
    try:
        response.make_conditional(request.environ, accept_ranges=not compress, complete_length=export.bytes)
        if response.status_code == 412:  # by If-Match (RFC 9110, 13.1.1)
            raise PreconditionFailed
        redirects = may_redirect and response.status_code in {200, 206}
        url = _signed_url(export) if redirects else None
    except (HTTPException, ContactExportError, OSError):
        response.close()
        raise
    if url is not None:
        response.close()
        return _redirect(url)
    return in_gzip(response, StoredBody(file)) if compress and response.status_code == 200 else response


def _body(file: BinaryIO) -> Any:
    """A file of a folder is sent by the kernel. Others are read, and so is a range, which has to be sought."""
    in_folder = isinstance(getattr(file, "raw", None), io.FileIO)
    return wrap_file(request.environ, file) if in_folder and "Range" not in request.headers else StoredBody(file)


class StoredBody(FileWrapper):
    """The blocks of a stored file, from wherever it is sought."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, BLOCK_BYTES)

    def __next__(self) -> bytes:
        if block := read_block(self.file, self.buffer_size):
            return block
        raise StopIteration


def read_block(file: Any, size: int) -> bytes:
    """The next bytes of a stored file. Breaks the connection off if the store fails: the client sees what is missing.

    Raises ConnectionResetError, which gunicorn takes for a client that has gone.
    """
    try:
        return bytes(file.read(size))
    except (StorageUnfit, OSError) as lost:
        logger.warning("download broken off: reason=%s", getattr(lost, "strerror", None) or lost)
        raise ConnectionResetError(errno.ECONNRESET, "the store failed") from None


def _signed_url(export: Export) -> str | None:
    """Where the client may get the file itself. None if it must come through this server.

    The store does not know our ETag, so conditions on it must be met here.
    """
    conditions = ("If-Match", "If-Unmodified-Since", "If-Range")
    if request.method != "GET" or any(map(request.headers.get, conditions)):
        return None
    try:
        return current_context().storage.signed_url(export.stored_name, SIGNED_SECONDS)
    except (OSError, StorageUnfit) as refused:  # the credentials of this machine cannot sign, such as a token of Azure
        logger.warning("download not redirected: reason=%s", getattr(refused, "strerror", None) or refused)
        return None


def _redirect(url: str) -> Response:
    response = Response(status=302, headers={"Location": url, "Cache-Control": "no-store"})
    response.vary.add("Accept-Encoding")
    return response


def accepts_gzip() -> bool:
    """True if the client names gzip (RFC 9110, 12.5.3) and does not rank it below the plain file."""
    accepted = {name.lower(): quality for name, quality in request.accept_encodings}
    quality = accepted.get("gzip", 0)
    return bool(quality > 0 and quality >= accepted.get("identity", 0))


def in_gzip(response: Response, blocks: Iterable[bytes]) -> Response:
    """The same answer, compressed while it is sent. Its length is not known before."""

    def compressed() -> Iterator[bytes]:
        packer = zlib.compressobj(GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16)
        for block in blocks:
            if packed := packer.compress(block):
                yield packed
        yield packer.flush()

    response.call_on_close(getattr(response.response, "close", lambda: None))
    response.response, response.direct_passthrough = compressed(), False
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Accept-Ranges"] = "none"
    response.headers.pop("Content-Length", None)
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
            while left > 0 and (block := read_block(file, min(left, BLOCK_BYTES))):
                left -= len(block)
                yield block

    response = Response(blocks(), content_type=CSV)
    response.content_length = sum(one.end - one.start for one in slices)
    response.vary.add("Accept-Encoding")
    response.call_on_close(file.close)
    return in_gzip(response, blocks()) if accepts_gzip() else response
