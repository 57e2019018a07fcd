"""Every error this program raises on purpose, with its HTTP status, reply code and exit code.

The text of an error is what the user reads: one line, no secrets, no internals.
"""

ALREADY_RUNNING = (
    "An export with the same setting is currently running. "
    "It is not possible to run the same export more than once simultaneously."
)


NO_LONGER_KEPT = (
    "Invalid value for time_range: changes before {since} are no longer kept; may_be_incomplete exports the others"
)
FTP_TLS_REQUIRED = "Invalid value for ftp_settings.tls: 0. This service uploads files with TLS only: send 1"


class ContactExportError(Exception):
    """Base of all; by itself a failure on our side (HTTP 500, reply code 1, exit code 1)."""

    http_status = 500
    reply_code = 1
    exit_code = 1
    retry_after = 5  # seconds, a hint for clients that are answered 429 or 503

    @property
    def text(self) -> str:
        """The one line shown to the user."""
        return str(self)

    @property
    def hint(self) -> str:
        """What a user of the command line can do about it; empty if there is nothing to say."""
        return ""


class InvalidRequest(ContactExportError):
    """A value of the request is missing or wrong; the text names it (specification, Errors)."""

    http_status = 400
    reply_code = 10001
    exit_code = 2


class ExportAlreadyRunning(ContactExportError):
    """The same setting is accepted and not finished yet (specification, Errors: 4001)."""

    http_status = 400
    reply_code = 4001
    exit_code = 3

    def __init__(self, export_id: int | None = None) -> None:
        super().__init__(ALREADY_RUNNING)
        self.export_id = export_id  # of the one that is running, where it is known

    @property
    def hint(self) -> str:
        """Where to look."""
        number = self.export_id
        return "" if number is None else f"It is export {number}: `flask export show {number}` tells how it is doing"


class UnknownExport(InvalidRequest):
    """No export has this id (contract, Status)."""

    exit_code = 1

    def __init__(self) -> None:
        super().__init__("Invalid export ID")


class Unauthorized(ContactExportError):
    """The caller did not prove who he is; str() is the reason, for the log, which the caller never reads."""

    http_status = 401

    @property
    def text(self) -> str:
        """The same for every reason, so that a stranger learns nothing."""
        return "Unauthorized"


class SecretUnreadable(ContactExportError):
    """A stored secret was encrypted with a key that is not among the configured ones."""

    http_status = 503

    def __init__(self) -> None:
        super().__init__(
            "A stored secret cannot be read: CONTACTEXPORT_SECRET_KEY was changed or lost. "
            "Put the former key back, behind the new one and a comma"
        )


class UsageError(ContactExportError):
    """A command cannot do what it was told; the text says what was expected."""

    http_status = 400
    exit_code = 2


class SettingsError(ContactExportError):
    """A setting is missing or wrong; the start stops with this line."""

    exit_code = 2


class DatabaseUnavailable(ContactExportError):
    """Postgres does not answer, or broke off; `status_text` is what the status of an export says of it."""

    http_status = 503
    status_text = "The database does not answer"


class ContactsUnavailable(DatabaseUnavailable):
    """The database an export reads does not answer, or broke off."""

    status_text = "The contacts database does not answer"


class DatabaseConflict(DatabaseUnavailable):
    """Postgres broke off a transaction that was in the way of another one; the same may succeed at once."""

    status_text = "The database broke off a transaction that was in conflict with another"
    retry_after = 1


class DatabaseInTrouble(DatabaseUnavailable):
    """Postgres answers, but cannot do its work: its disk is full or broken, or it has no memory or connection left.

    `condition` is what Postgres calls it, such as "disk full".
    """

    def __init__(self, text: str, condition: str) -> None:
        super().__init__(text)
        self.condition = condition
        self.status_text = f"The database cannot do its work: {condition}"


class ReplicaLags(DatabaseUnavailable):
    """A read replica does not have everything yet that its primary has."""

    status_text = "The read replica of the contacts lags behind"


class ContactsIncomplete(DatabaseUnavailable):
    """What a session would read is not all there is; the text names the table and the remedy."""


class SchemaMismatch(DatabaseUnavailable):
    """The database's schema is missing, older or newer than this program."""


class PoolerRefused(DatabaseUnavailable):
    """A pooler stands before Postgres that lends the server process of a session to others."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "The database's URL leads to a pooler (such as PgBouncer) in transaction or statement mode, where locks "
            "and settings of a session get lost: set it to session mode, or give the address of Postgres itself"
        )


class BrokerUnavailable(ContactExportError):
    """The message broker does not answer."""

    http_status = 503


class StorageUnfit(ContactExportError):
    """The storage folder or the secret key is not that of the installation; `state` is what strangers are told."""

    http_status = 503
    status_text = "The storage is not available"

    def __init__(self, text: str, state: str) -> None:
        super().__init__(text)
        self.state = state


class QueryFailed(ContactExportError):
    """Postgres refused or broke off a query, not the connection; the text is its reason, for the log.

    `status_text` is what the status of an export says of it.
    """

    status_text = "The contacts database refuses the query"


class RightsMissing(QueryFailed):
    """The role that reads lacks a right; the status says which."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.status_text = text


class ResourcesLacking(QueryFailed):
    """A query needs more than there is: disk space for sorting, memory, a limit of Postgres' own."""

    def __init__(self, text: str, condition: str) -> None:
        super().__init__(text)
        self.status_text = f"{QueryFailed.status_text}: {condition}"


class ValueRefused(QueryFailed):
    """A value of some contact cannot be read. The status has what Postgres calls this, and not the value."""

    def __init__(self, text: str, condition: str) -> None:
        super().__init__(text)
        self.condition = condition
        self.status_text = f"A value of a contact cannot be read: {condition}"


class QueryCancelled(QueryFailed):
    """Somebody cancelled a query: we did, when the export was lost, or whoever administers the server."""

    status_text = "The query was cancelled"


class SnapshotNotShared(ContactExportError):
    """A further session cannot see what the first one sees; str() is the reason, for the log."""


class ExportLost(ContactExportError):
    """Another worker has taken this export over, or it was cancelled: this attempt must stop and write nothing."""


class WindowOpen(ContactExportError):
    """Changes may still be added to a window that must be exported whole; the text says by whom."""


class ExportFailed(ContactExportError):
    """The export can never succeed as it was asked for; the text becomes its reason."""


class DeliveryFailed(ContactExportError):
    """The finished file could not be handed over; `permanent` tells whether trying again can help."""

    def __init__(self, text: str, *, permanent: bool) -> None:
        super().__init__(text)
        self.permanent = permanent


class HostRefused(DeliveryFailed):
    """A host a user named is none, or not one this service may connect to."""

    def __init__(self, text: str) -> None:
        super().__init__(text, permanent=True)


class HostUnknown(DeliveryFailed):
    """A host's name has no address now; it may have one later."""

    def __init__(self, text: str) -> None:
        super().__init__(text, permanent=False)


class TooManyRequests(ContactExportError):
    """A limit of this user is reached; `retry_after` is in seconds (RFC 6585, 4)."""

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
    """The finished file of an export is gone, or not what was written; the text says what was expected and found."""


class DownloadRefused(ContactExportError):
    """The data of an export cannot be downloaded (contract, Status and download)."""

    def __init__(self, http_status: int, reply_code: int, text: str) -> None:
        super().__init__(text)
        self.http_status = http_status
        self.reply_code = reply_code


class LogInUse(ContactExportError):
    """The change log cannot be pruned or upgraded now without holding up others."""
