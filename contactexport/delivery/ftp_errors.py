"""Errors of FTP hosts: one line for the status, and whether a retry can help."""

import ftplib
import re
import ssl

from contactexport.delivery.ftp_wire import HostFault, one_line
from contactexport.errors import DeliveryFailed

# Replies of the 5xx family that are permanent: not logged in, no permission, name not allowed (RFC 959, 4.2.1).
PERMANENT_REPLIES = ("530", "532", "550", "551", "553")
# The host refuses this name, but may accept another one: syntax of a parameter, file unavailable, name not allowed.
NAME_REFUSED = ("501", "550", "553")
# Means "no such file" as well as "not allowed", so the words decide.
FILE_UNAVAILABLE = "550"
CLOSING = "421"

_DENIED = re.compile(
    r"denied|permission|privilege|permitted|allowed|forbidden|prohibited|authori[sz]ed|disabled|support|implement"
    r"|read.?only|not understood|unknown command|unrecogni[sz]ed",
    re.IGNORECASE,
)
_ABSENT = re.compile(r"no such|not found|do(es)?(n't| not) exist|(cannot|can't|could not) find", re.IGNORECASE)
_BUSY = re.compile(r"in use|used by another|busy|locked|being used|try again", re.IGNORECASE)


class Unconfirmed(Exception):
    """All bytes were sent, but the connection was lost before the host confirmed the file."""


class HostClosing(EOFError):
    """The host announced that it closes the control connection (421). The text is its reply."""


# The errors of FTP sessions. ValueError: text that cannot be sent.
FTP_ERRORS = (ftplib.Error, HostFault, EOFError, OSError, ValueError)


def reply_code(error: ftplib.Error) -> str:
    """Returns the three digits of the reply that was raised as an error."""
    return str(error)[:3]


def says_absent(refusal: ftplib.Error) -> bool:
    """Tells whether the words of a refusal mean that there is no such file."""
    return _ABSENT.search(str(refusal)) is not None


def says_denied(refusal: ftplib.Error) -> bool:
    """Tells whether the host will never do this, by the code of its refusal, or else by the words."""
    return isinstance(refusal, ftplib.error_perm) and (
        reply_code(refusal) != FILE_UNAVAILABLE or _DENIED.search(str(refusal)) is not None
    )


def says_busy(refusal: ftplib.Error) -> bool:
    """Tells whether the host may do it later."""
    return isinstance(refusal, ftplib.error_temp) or _BUSY.search(str(refusal)) is not None


def failure(error: BaseException, password: str) -> DeliveryFailed:
    """Returns the error as a failed delivery. Its text never contains the password."""
    permanent = isinstance(error, ssl.SSLCertVerificationError) or (
        isinstance(error, ftplib.error_perm) and reply_code(error) in PERMANENT_REPLIES
    )
    return DeliveryFailed(f"FTP host: {one_line(_reason(error), password)}", permanent=permanent)


def _reason(error: BaseException) -> str:
    match error:
        case Unconfirmed():
            return f"all bytes were sent and not confirmed: {_reason(error.__cause__ or error.__class__())}"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted: {error.verify_message}"
        case TimeoutError():
            return "timed out"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or error.strerror or error}"
        case OSError():
            return error.strerror or str(error) or "connection lost"
        case ftplib.error_proto() | ftplib.error_reply():
            return f"its answer is not what was expected: {str(error) or 'an empty line'}"
        case _:
            return str(error) or "connection closed"
