"""What a run of a feed must find when it reads the contacts. Otherwise the feed pauses itself."""

from datetime import datetime, timedelta, tzinfo

from contactexport.catalogue import Catalogue
from contactexport.db.connection import Connection
from contactexport.errors import WindowOpen
from contactexport.exports.models import Export
from contactexport.feeds import store
from contactexport.feeds.errors import FeedMustPause
from contactexport.feeds.models import PauseKind
from contactexport.files import csv_format
from contactexport.moments import in_zone

LONGEST_SET_BACK = timedelta(days=1)


def require_kept(
    conn: Connection, export: Export, catalogue: Catalogue, until: datetime, now: datetime, zone: tzinfo
) -> None:
    """Raises FeedMustPause if the file would be short, or would have other columns than the one before.

    It would be short if the log is pruned since the cursor, or if `now`, the clock of the contacts, is more than a day
    before it: only for a day does the log hide that a clock was set back. A file with all contacts may have other
    columns: its reader starts anew. Raises WindowOpen if it is not known `until` when that file has all changes.
    """
    feed = store.find(conn, export.feed_id) if export.feed_id is not None else None
    settings = export.settings
    if settings.type == "full" and until == settings.start:
        raise WindowOpen("A transaction of unknown age changes contacts, so the next window would begin at no time")
    gone = [field for field in settings.contact_fields if not catalogue.is_exportable(field)]
    if gone:
        named = ", ".join(map(str, gone))
        raise FeedMustPause(
            PauseKind.COLUMNS, f"Contact fields are gone: {named}. Resume the feed once it has other contact_fields"
        )
    if settings.type == "full" or feed is None:
        return
    removals_since = catalogue.removals_only_from(settings.start) if settings.removed else None
    for what, since in (
        ("changes", catalogue.complete_only_from(settings.start)),
        ("removed contacts", removals_since),
    ):
        if since is not None:
            raise FeedMustPause(
                PauseKind.LOG,
                f"The log has {what} from {in_zone(since, zone).isoformat()} on, the last file ends at "
                f"{in_zone(settings.start, zone).isoformat()}. `flask feeds reset {feed.name} --full` starts anew",
            )
    if settings.start - now > LONGEST_SET_BACK:
        raise FeedMustPause(
            PauseKind.LOG,
            f"The clock was set back to {in_zone(now, zone).isoformat()}, the last file ends at "
            f"{in_zone(settings.start, zone).isoformat()}. `flask feeds reset {feed.name} --full` starts anew",
        )
    fields = [catalogue.fields[field] for field in settings.contact_fields]
    columns = csv_format.columns(fields, settings.language, settings.last_columns)
    if feed.columns is not None and feed.columns != columns:
        old, new = (", ".join(name for _, name in columns) for columns in (feed.columns, columns))
        raise FeedMustPause(
            PauseKind.COLUMNS,
            f"The columns would change from {old} to {new}. Resume the feed to export all contacts with these",
        )
