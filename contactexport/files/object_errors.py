"""What the errors of an object store mean: an outage that passes, or a refusal that somebody must end.

The texts of obstore have URLs, and answers of the store with the id of an access key. So none of them is passed on,
but the HTTP status and the code of the answer, which is one word.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from contactexport.errors import StorageUnfit

STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>(\w{1,60})</Code>|x-ms-error-code[\"']?: [\"']?(\w{1,60})")
NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|The specified bucket does not exist")
# Codes of stores that have no space left. Most others say 507.
FULL = frozenset({"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"})
# What may be different a moment later (RFC 9110, 15.5.9; RFC 6585, 4).
PASSING = frozenset({408, 429})
# More precise than "does not answer", by the words of the HTTP library.
REASONS = {
    "dns error": "its name has no address",
    "timed out": "timed out",
    "certificate": "its certificate is not trusted",
    "credential": "no credentials are found",
}


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turns what obstore raises in the block into StorageUnfit for an outage, else OSError. `place` is the store's URL.

    FileNotFoundError stays what it is, if the object is missing and not its bucket.
    """
    try:
        yield
    except (BaseError, OSError) as error:
        raise meaning(place, error) from None


def meaning(place: str, error: Exception) -> Exception:
    """The error to raise instead."""
    text = str(error)
    found = CODE.search(text)
    code = (found[1] or found[2]) if found else ""
    shown = f" ({code})" if code else ""
    status = int(match[1]) if (match := STATUS.search(text)) else None
    if NO_BUCKET.search(text):
        return StorageUnfit(f"The bucket of the object store {place} does not exist", "missing")
    if isinstance(error, FileNotFoundError) or status == 404:
        return FileNotFoundError(errno.ENOENT, "no such object")
    if status in {401, 403} or isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        return PermissionError(errno.EACCES, f"the object store denies access{shown}")
    if status == 507 or code in FULL:
        return OSError(errno.ENOSPC, f"the object store is full{shown}")
    if status is not None and 300 <= status < 500 and status not in PASSING:
        return OSError(errno.EINVAL, f"the object store refuses the request: HTTP {status}{shown}")
    known = next((told for word, told in REASONS.items() if word in text.lower()), "")
    reason = f"HTTP {status}{shown}" if status else known
    return StorageUnfit(f"The object store {place} does not answer" + (f": {reason}" if reason else ""), "unavailable")
