"""The errors of this program, with HTTP status, reply code and exit code.

Users read the text of an error: one line, no secrets, no internals.
"""

ALREADY_RUNNING = (
    "An export with the same setting is currently running. "
    "It is not possible to run the same export more than once simultaneously."
)
NO_LONGER_KEPT = (
    "Invalid value for time_range: changes before {since} are no longer kept; may_be_incomplete exports the others"
)
REMOVALS_UNKNOWN = (
    "Invalid value for time_range: removed contacts are known from {since} on; may_be_incomplete exports those"
)
FTP_TLS_REQUIRED = "Invalid value for ftp_settings.tls: 0. This service uploads files with TLS only: send 1"


class ContactExportError(Exception):
    """The base of all. By itself it is a fault of the service (HTTP 500, reply code 1, exit code 1)."""

    http_status = 500
    reply_code = 1
    exit_code = 1
    retry_after = 5  # seconds, for clients that get 429 or 503

    @property
    def text(self) -> str:
        """The one line for the user."""
        return str(self)

    @property
    def hint(self) -> str:
        """What a user of the command line can do about it. Empty if nothing."""
        return ""


class InvalidRequest(ContactExportError):
    """A value of the request is missing or wrong. The text names it (specification, Errors)."""

    http_status = 400
    reply_code = 10001
    exit_code = 2


class ExportAlreadyRunning(ContactExportError):
    """An export with the same setting is unfinished (specification, Errors: 4001)."""

    http_status = 400
    reply_code = 4001
    exit_code = 3

    def __init__(self, export_id: int | None = None) -> None:
        super().__init__(ALREADY_RUNNING)
        self.export_id = export_id  # of the unfinished export, if known

    @property
    def hint(self) -> str:
        """Names the unfinished export, if it is known."""
        number = self.export_id
        return "" if number is None else f"It is export {number}, see `flask export show {number}`"


class UnknownExport(InvalidRequest):
    """No export has this id (contract, Status)."""

    exit_code = 1

    def __init__(self) -> None:
        super().__init__("Invalid export ID")


class Unauthorized(ContactExportError):
    """The caller has no valid credentials. str() is the reason, which is for the log only."""

    http_status = 401

    @property
    def text(self) -> str:
        """The same text for every reason, so that strangers learn nothing."""
        return "Unauthorized"


class SecretUnreadable(ContactExportError):
    """A stored secret was encrypted with a key that is not configured."""

    http_status = 503
    status_text = "A stored secret cannot be read: the secret key was changed"

    def __init__(self) -> None:
        super().__init__(
            "A stored secret cannot be read: CONTACTEXPORT_SECRET_KEY was changed or lost. "
            "Add the old key after the new one and a comma"
        )


class UsageError(ContactExportError):
    """A command got wrong arguments, or cannot work here. The text says what is expected."""

    http_status = 400
    exit_code = 2


class SettingsError(ContactExportError):
    """A setting is missing or wrong. The start stops with this line."""

    exit_code = 2


class DatabaseUnavailable(ContactExportError):
    """Postgres does not answer, or the connection broke. `status_text` is for the status of an export."""

    http_status = 503
    status_text = "The database does not answer"


class ContactsUnavailable(DatabaseUnavailable):
    """The contacts database does not answer, or the connection broke."""

    status_text = "The contacts database does not answer"


class DatabaseConflict(DatabaseUnavailable):
    """Postgres aborted a transaction that conflicted with another one. A retry may succeed at once."""

    status_text = "The database broke off a transaction that was in conflict with another"
    retry_after = 1


class DatabaseInTrouble(DatabaseUnavailable):
    """Postgres answers but cannot work: its disk is full or broken, or it has no memory or connections left.

    `condition` is the name that Postgres gives it, such as "disk full".
    """

    def __init__(self, text: str, condition: str) -> None:
        super().__init__(text)
        self.condition = condition
        self.status_text = f"The database cannot do its work: {condition}"


class ReplicaLags(DatabaseUnavailable):
    """A read replica lags behind its primary."""

    status_text = "The read replica of the contacts lags behind"


class ContactsIncomplete(DatabaseUnavailable):
    """A session sees only a part of a table. The text names the table and the remedy."""


class SchemaMismatch(DatabaseUnavailable):
    """The schema of the database is missing, or older or newer than this program."""


class PoolerRefused(DatabaseUnavailable):
    """A pooler in front of Postgres lends the server process of a session to others."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "The URL of the database leads to a pooler (such as PgBouncer) in transaction or statement mode, which "
            "loses locks and settings of a session: set it to session mode, or give the address of Postgres itself"
        )


class BrokerUnavailable(ContactExportError):
    """The message broker does not answer."""

    http_status = 503


class StorageUnfit(ContactExportError):
    """The storage folder or the secret key is not that of the installation. `state` is what readyz shows."""

    http_status = 503
    status_text = "The storage is not available"

    def __init__(self, text: str, state: str) -> None:
        super().__init__(text)
        self.state = state


class QueryFailed(ContactExportError):
    """Postgres refused or aborted a query, but the connection works. The text is its reason, for the log.

    `status_text` is for the status of an export.
    """

    status_text = "The contacts database refuses the query"


class RightsMissing(QueryFailed):
    """The role that reads lacks a right. The status says which."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.status_text = text


class ResourcesLacking(QueryFailed):
    """A query lacks resources: disk space for sorting, memory, or a limit of Postgres."""

    def __init__(self, text: str, condition: str) -> None:
        super().__init__(text)
        self.status_text = f"{QueryFailed.status_text}: {condition}"


class ValueRefused(QueryFailed):
    """A value of a contact cannot be read. The status has the name of the condition, but not the value."""

    def __init__(self, text: str, condition: str) -> None:
        super().__init__(text)
        self.condition = condition
        self.status_text = f"A value of a contact cannot be read: {condition}"


class QueryCancelled(QueryFailed):
    """A query was cancelled: by this program, because the export was lost, or by an administrator."""

    status_text = "The query was cancelled"


class SnapshotNotShared(ContactExportError):
    """Another session cannot use the snapshot of the first one. str() is the reason, for the log."""


class ExportLost(ContactExportError):
    """Another worker took this export over, or it was cancelled. This attempt must stop and write nothing."""


class WindowOpen(ContactExportError):
    """Transactions may still add changes to a window that must be whole. The text names them."""


class ExportFailed(ContactExportError):
    """The export can never succeed as requested. The text becomes its reason."""


class DeliveryFailed(ContactExportError):
    """The finished file could not be delivered. If `permanent`, a retry will hardly help."""

    def __init__(self, text: str, *, permanent: bool) -> None:
        super().__init__(text)
        self.permanent = permanent


class HostRefused(DeliveryFailed):
    """A host is invalid, or this service must not connect to it."""

    def __init__(self, text: str) -> None:
        super().__init__(text, permanent=True)


class HostUnknown(DeliveryFailed):
    """The name of a host has no address now. It may have one later."""

    def __init__(self, text: str) -> None:
        super().__init__(text, permanent=False)


class TooManyRequests(ContactExportError):
    """A limit of this user is reached. `retry_after` is in seconds (RFC 6585, 4)."""

    http_status = 429

    def __init__(self, text: str, retry_after: int) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class RequestTimedOut(ContactExportError):
    """A request did not arrive whole in time (RFC 9110, 15.5.9)."""

    http_status = 408

    def __init__(self) -> None:
        super().__init__("Request Timeout")


class FileDamaged(ContactExportError):
    """The finished file of an export is missing or differs from the written one. The text says how."""


class DownloadRefused(ContactExportError):
    """The data of an export cannot be downloaded (contract, Status and download)."""

    def __init__(self, http_status: int, reply_code: int, text: str) -> None:
        super().__init__(text)
        self.http_status = http_status
        self.reply_code = reply_code


class NotCaptured(ContactExportError):
    """A change of an adopted table would not be logged; the text names the table and the column."""


class LogInUse(ContactExportError):
    """The change log cannot be pruned or upgraded now without blocking others."""
