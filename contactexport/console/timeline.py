"""The timeline of one export: what happened when, from accepted to done, with each reply of the host."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contactexport.exports.models import Export, ExportStatus

# Event of the history: its name on the page, and the kind of its badge.
NAMES = {
    "claimed": ("Claimed by a worker", "running"),
    "file ready": ("File written", "good"),
    "delivery begun": ("Delivery begun", "running"),
    "postponed": ("Put off", "warn"),
    "failed": ("Ended in error", "bad"),
    "cancelled": ("Cancelled", "bad"),
    "retried": ("Retried", "waiting"),
    "done": ("Done", "good"),
}


@dataclass(frozen=True)
class Moment:
    """`note` may be a text of another computer. `after` are the seconds since the moment before."""

    at: datetime
    name: str
    kind: str
    note: str = ""
    attempt: int | None = None
    after: float | None = None


def of_export(export: Export, history: Sequence[Mapping[str, Any]]) -> list[Moment]:
    """All moments in order. Without a history, which is deleted after some time, those that the export itself has."""
    moments = [*_told_by_export(export), *(_told_by_history(export, history) if history else _without_history(export))]
    moments.sort(key=lambda moment: moment.at)
    before = [None, *(moment.at for moment in moments)]
    return [
        Moment(
            one.at,
            one.name,
            one.kind,
            one.note,
            one.attempt,
            None if former is None else (one.at - former).total_seconds(),
        )
        for one, former in zip(moments, before, strict=False)
    ]


def _told_by_export(export: Export) -> Iterator[Moment]:
    by = f"{export.feed_name}, run {export.feed_sequence}" if export.feed_id is not None else export.created_by
    yield Moment(export.created_at, "Accepted", "good", f"by {by}")
    for delivery in export.deliveries:
        at = datetime.fromisoformat(delivery["at"])
        yield Moment(at, "Host replied", "waiting", str(delivery["reply"]), delivery["attempt"])
    if export.notified_at:
        yield Moment(export.notified_at, "Receiver notified", "good")
    if export.file_deleted_at:
        yield Moment(export.file_deleted_at, "File deleted", "off")


def _told_by_history(export: Export, history: Sequence[Mapping[str, Any]]) -> Iterator[Moment]:
    replies = {str(delivery["reply"]) for delivery in export.deliveries}
    for event in history:
        name, kind = NAMES.get(event["event"], (event["event"], "off"))
        note = event["note"] or ""
        if event["event"] == "file ready" and export.rows is not None:
            note = f"{export.rows:,} rows"
        yield Moment(event["happened_at"], name, kind, "" if note in replies else note, event["attempt"])


def _without_history(export: Export) -> Iterator[Moment]:
    if export.started_at:
        yield Moment(export.started_at, *NAMES["claimed"])
    if export.ready_at:
        yield Moment(export.ready_at, *NAMES["file ready"], f"{export.rows:,} rows")
    if export.finished_at:
        done = export.status is ExportStatus.DONE
        yield Moment(export.finished_at, *NAMES["done" if done else "failed"], "" if done else export.error or "")
