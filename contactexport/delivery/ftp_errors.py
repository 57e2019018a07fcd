"""What went wrong with an FTP host, in one line for the status, and whether trying again can help."""

import ftplib
import re
import ssl

from contactexport.errors import DeliveryFailed

# Replies of the 5xx family that mean what they say: not logged in, no permission, name not allowed (RFC 959, 4.2.1).
PERMANENT_REPLIES = ("530", "532", "550", "551", "553")
# A name is refused, and another one may be taken: syntax of a parameter, file unavailable, name not allowed.
NAME_REFUSED = ("501", "550", "553")
# The answer for "there is no such file" and for "you may not" alike, so the words have to tell.
FILE_UNAVAILABLE = "550"
CLOSING = "421"
LONGEST_REPLY = 200

_DENIED = re.compile(
    r"denied|permission|privilege|permitted|allowed|forbidden|prohibited|authori[sz]ed|disabled|support|implement"
    r"|read.?only|not understood|unknown command|unrecogni[sz]ed",
    re.IGNORECASE,
)
_ABSENT = re.compile(r"no such|not found|do(es)?(n't| not) exist|(cannot|can't|could not) find", re.IGNORECASE)
_BUSY = re.compile(r"in use|used by another|busy|locked|being used|try again", re.IGNORECASE)


class Unconfirmed(Exception):
    """All bytes were sent, but the connection was lost before the host had confirmed the finished file."""


class HostFault(Exception):
    """The host does what no host should, and is not talked to any more; the text says what, and shows its reply."""


class HostClosing(EOFError):
    """The host has said that it closes the control connection (421); the text is its reply."""


# What talking to an FTP host raises; ValueError is text that cannot be sent to it.
FTP_ERRORS = (ftplib.Error, HostFault, EOFError, OSError, ValueError)


def reply_code(error: ftplib.Error) -> str:
    """The three digits of the reply that was raised as an error."""
    return str(error)[:3]


def says_absent(refusal: ftplib.Error) -> bool:
    """True when the words of a refusal are that there is no such file."""
    return _ABSENT.search(str(refusal)) is not None


def says_denied(refusal: ftplib.Error) -> bool:
    """True when the host never does what was asked: by the code of its refusal, or else by the words."""
    return isinstance(refusal, ftplib.error_perm) and (
        reply_code(refusal) != FILE_UNAVAILABLE or _DENIED.search(str(refusal)) is not None
    )


def says_busy(refusal: ftplib.Error) -> bool:
    """True when the host may do it later."""
    return isinstance(refusal, ftplib.error_temp) or _BUSY.search(str(refusal)) is not None


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
        case ftplib.error_proto() | ftplib.error_reply():
            return f"its answer is not what was expected: {str(error) or 'an empty line'}"
        case _:
            return str(error) or "connection closed"
