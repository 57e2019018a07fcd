"""What went wrong with an FTP host, in one line for the status, and whether trying again can help."""

import ftplib
import ssl

from contactexport.errors import DeliveryFailed

# What talking to an FTP host raises; ValueError is a reply that cannot be read.
FTP_ERRORS = (ftplib.Error, EOFError, OSError, ValueError)
# Replies of the 5xx family that mean what they say: not logged in, no permission, name not allowed (RFC 959, 4.2.1).
PERMANENT_REPLIES = ("530", "532", "550", "551", "553")
NOT_IMPLEMENTED = ("500", "502", "504")
LONGEST_REPLY = 200


class Unconfirmed(Exception):
    """All bytes were sent, but the connection was lost before the host had confirmed the finished file."""


def reply_code(error: ftplib.Error) -> str:
    """The three digits of the reply that was raised as an error."""
    return str(error)[:3]


def one_line(text: str, password: str) -> str:
    """A reply as it may be shown and kept: some hosts repeat the command that they did not like."""
    shown = " ".join((text.replace(password, "***") if password else text).split())
    return "".join(sign if sign.isprintable() else "?" for sign in shown)[:LONGEST_REPLY]  # Postgres takes no NUL


def failure(error: BaseException, password: str) -> DeliveryFailed:
    """The error as a failed delivery; the password never stands in its text."""
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
        case EOFError():
            return "connection closed"
        case ValueError():
            return "its answer cannot be understood"
        case _:
            return str(error) or "connection lost"
