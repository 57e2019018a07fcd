"""What is known of an export before it is asked for: how many contacts, how large, how long, and what refuses it."""

from dataclasses import dataclass
from datetime import datetime

from contactexport.changes import log as change_log
from contactexport.changes import selection as changed_contacts
from contactexport.contacts import table as contact_table
from contactexport.context import Context
from contactexport.db.errors import query_errors_translated
from contactexport.db.queries import queries
from contactexport.errors import QueryCancelled, QueryFailed
from contactexport.exports.models import ExportSettings, sorted_json
from contactexport.users.models import Caller

MEASURE_SECONDS = 3.0
LOOKED_AT = 2000  # of the newest exports
MOST_COMPARED = 20
# Far above the largest one of the past, its rate says little.
MOST_TIMES_LARGER = 20
# What does not make another setting when an export goes on where the last one ended.
OF_THE_WINDOW = ["start", "end", "notification_url", "may_end_early", "may_be_incomplete"]


@dataclass(frozen=True)
class Past:
    """What the newest exports with the same fields and method have taken: their number, rows, bytes and seconds."""

    exports: int
    most_rows: int
    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Preview:
    """What is expected. `contacts` is None when counting took too long or was impossible, and `uncounted` says why.

    `past` is None if no export with these fields and this method has ended. `running` is the unfinished export of the
    same setting, which would be refused with 4001. `too_many` is the user's limit of unfinished exports, if reached.
    """

    contacts: int | None
    uncounted: str
    past: Past | None
    running: int | None
    too_many: int | None

    @property
    def is_far_larger(self) -> bool:
        """True when the past says little about so many contacts."""
        return bool(self.past and self.contacts and self.contacts > self.past.most_rows * MOST_TIMES_LARGER)

    @property
    def bytes(self) -> int | None:
        """The size of the file. None: there is nothing to estimate it from."""
        if self.past is None or self.contacts is None:
            return None
        return round(self.contacts * self.past.bytes / self.past.rows)

    @property
    def seconds(self) -> float | None:
        """How long it takes once a worker has begun. None: there is nothing to estimate it from."""
        if self.past is None or self.contacts is None or self.is_far_larger:
            return None
        return self.contacts * self.past.seconds / self.past.rows


def preview(context: Context, settings: ExportSettings, caller: Caller) -> Preview:
    """Counts as the export itself would, but for MEASURE_SECONDS at most, and looks at past exports. Stores nothing.

    Raises DatabaseUnavailable.
    """
    contacts, uncounted = None, ""
    try:
        contacts = count(context, settings)
    except QueryCancelled:
        uncounted = f"more than can be counted in {MEASURE_SECONDS:.0f} seconds"
    except QueryFailed as error:
        uncounted = error.status_text  # its text is for the log
    most = caller.exports_per_user or context.settings.exports_per_user
    with context.database.transaction() as conn:
        past = queries("preview").past_exports(
            conn,
            team=None if caller.operator else caller.team,
            contact_fields=sorted_json(list(settings.contact_fields)),
            method=settings.distribution_method,
            looked_at=LOOKED_AT,
            most=MOST_COMPARED,
        )
        running = queries("preview").unfinished_of_setting(
            conn, setting_key=settings.key(caller.team), team=caller.team
        )
        unfinished = queries("preview").unfinished_of_user(conn, created_by=caller.name)
    return Preview(
        contacts,
        uncounted,
        Past(**{**past, "rows": int(past["rows"]), "bytes": int(past["bytes"])}) if past["exports"] else None,
        running,
        most if unfinished >= most else None,
    )


def count(context: Context, settings: ExportSettings) -> int:
    """How many contacts the export would have if it read them now. A large number is an estimate.

    Raises QueryCancelled when it takes longer than MEASURE_SECONDS, and what else a query can raise.
    """
    with context.contacts.transaction() as conn, query_errors_translated():
        queries("preview").limit_time(conn, milliseconds=str(int(MEASURE_SECONDS * 1000)))
        queries("changed_contact").prepare_measuring(conn)
        until = min(settings.end, change_log.clock(conn))
        if until <= settings.start:
            return 0
        return changed_contacts.measure(conn, settings, until, 1, contact_table.describe(conn)).contacts


def last_end(context: Context, settings: ExportSettings, team: str) -> datetime | None:
    """Where the newest finished export of the same setting ended, whatever its window was.

    None: none of the team's newest LOOKED_AT exports has this setting.
    """
    with context.database.autocommit() as conn:
        found: datetime | None = queries("preview").last_of_setting(
            conn,
            team=team,
            looked_at=LOOKED_AT,
            of_the_window=OF_THE_WINDOW,
            settings=sorted_json(settings.to_json()),
        )
    return found
