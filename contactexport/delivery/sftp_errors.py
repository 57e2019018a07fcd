"""Errors of SFTP hosts: one line for the status, and whether a retry can help."""

from collections.abc import Iterable

from paramiko import AuthenticationException, SSHException
from paramiko.ssh_exception import BadAuthenticationType, IncompatiblePeer

from contactexport.delivery.ftp_wire import one_line
from contactexport.errors import DeliveryFailed

NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, UNSUPPORTED = 2, 3, 4, 8
# Codes of later versions of the protocol, which some hosts send in version 3 as well.
NO_SUCH_PATH, WRITE_PROTECTED, NO_SPACE, QUOTA = 10, 12, 14, 15
MEANINGS = {
    NO_SUCH_FILE: "no such file or folder",
    PERMISSION_DENIED: "permission denied",
    FAILURE: "failure, perhaps the disk is full",
    UNSUPPORTED: "not supported",
    NO_SUCH_PATH: "no such folder",
    WRITE_PROTECTED: "write-protected",
    NO_SPACE: "no space left",
    QUOTA: "quota exceeded",
}
# FAILURE means anything, so it is retried.
PERMANENT_CODES = frozenset({NO_SUCH_FILE, PERMISSION_DENIED, UNSUPPORTED, NO_SUCH_PATH, WRITE_PROTECTED})
ABSENT_CODES = frozenset({NO_SUCH_FILE, NO_SUCH_PATH})


class SftpFault(Exception):
    """The host violates the protocol, so the session ends. The text says how."""


class SftpRefused(Exception):
    """The host refuses a request: its code, what was asked, and its text, which may be empty."""

    def __init__(self, code: int, asked: str, text: str) -> None:
        meaning = MEANINGS.get(code, f"error {code}")
        # OpenSSH's words for a code say no more than the code.
        own = (
            ""
            if not text or text.lower() in (meaning, "failure", "no such file", "permission denied")
            else f" ({text})"
        )
        super().__init__(f"{asked}: {meaning}{own}")
        self.code = code


class LoginRefused(Exception):
    """The host does not accept the credentials. The text says what it accepts."""


# Those after which nobody knows what the host has done.
CONNECTION_ERRORS = (SSHException, EOFError, OSError)
# The errors of SFTP sessions.
SFTP_ERRORS = (SftpRefused, SftpFault, LoginRefused, *CONNECTION_ERRORS)


def login_refused(error: AuthenticationException, offered: str) -> LoginRefused:
    """Returns the error for credentials that the host does not accept."""
    if isinstance(error, BadAuthenticationType):
        return LoginRefused(f"it takes no {offered}, only: {', '.join(error.allowed_types)}")
    return LoginRefused(f"it does not accept the user with this {offered}")


def failure(error: BaseException, secrets: Iterable[str]) -> DeliveryFailed:
    """Returns the error as a failed delivery. Its text never contains a secret."""
    permanent = isinstance(error, (LoginRefused, IncompatiblePeer)) or (
        isinstance(error, SftpRefused) and error.code in PERMANENT_CODES
    )
    text = _reason(error)
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return DeliveryFailed(f"SFTP host: {one_line(text, '')}", permanent=permanent)


def _reason(error: BaseException) -> str:
    match error:
        case TimeoutError():
            return "timed out"
        case IncompatiblePeer():
            return f"it offers no algorithm that is safe enough: {error}"
        case SSHException():
            text = str(error)
            return "timed out" if "timeout" in text.lower() else f"SSH failed: {text or 'connection lost'}"
        case OSError():
            return error.strerror or str(error) or "connection lost"
        case _:
            return str(error) or "connection closed"
