"""Feeds: each as the line of its windows. One feed: its settings, files and events. Pause, resume, run, verify."""

from flask import flash, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from contactexport.catalogue import Catalogue
from contactexport.console import feed_store
from contactexport.console.blueprint import console, current_context, current_viewer
from contactexport.console.errors import Forbidden
from contactexport.console.guard import alone, note_action
from contactexport.db.connection import Connection
from contactexport.errors import ContactExportError, ExportAlreadyRunning
from contactexport.exports import download, verify_feed
from contactexport.exports.verify_feed import FeedReport
from contactexport.feeds import manage, store
from contactexport.feeds import run as feed_run
from contactexport.feeds.models import Feed
from contactexport.files import csv_format
from contactexport.queue.publisher import RUN_EXPORT

PERIODS = {"1": "24 hours", "7": "7 days", "30": "30 days"}
ONE_FEED_WINDOWS = 400
LONGEST_NAME = 200  # of a team or feed, in a link


@console.get("/feeds")
def feeds() -> str:
    """The feeds that the viewer may see, each with its line of the chosen period. Those to look at come first.

    `rank`, `of` and `after` are the place of the last feed on the page before: its rank, team and name.
    """
    days, rank = period(), request.args.get("rank", type=int)
    after = None
    if rank is not None and 0 <= rank < 10:
        of, name = (request.args.get(one, "").replace("\0", "")[:LONGEST_NAME] for one in ("of", "after"))
        after = (rank, of, name)
    shown = feed_store.list_feeds(current_context(), g.caller, float(days), after)
    following = None
    if shown.has_more:
        last_rank, of, name = store.place(shown.feeds[-1].feed)
        following = url_for("console.feeds", days=days, rank=last_rank, of=of, after=name)
    return render_template(
        "console/feeds.html",
        feeds=shown.feeds,
        since=shown.since,
        now=shown.now,
        days=days,
        periods=PERIODS,
        middle=shown.since + (shown.now - shown.since) / 2,
        following=following,
        first=None if after is None else url_for("console.feeds", days=days),
    )


@console.get("/feeds/<name>")
def feed(name: str) -> str:
    """One feed. `before` is SEQUENCE-EXPORT of the last file on the page of newer ones."""
    return feed_page(name)


@console.post("/feeds/<name>/pause")
def pause_feed(name: str) -> Response:
    """No run starts until it is resumed."""
    found = to_act_on(name)
    manage.pause(current_context(), found, g.caller)
    note_action("feed paused", feed=found.name, team=found.team)
    flash(f"{found.name} is paused. Nothing is lost: its next window begins where the last file ended.", "done")
    return back(found)


@console.post("/feeds/<name>/resume")
def resume_feed(name: str) -> Response:
    """Ends a pause. One that paused itself because its columns would change goes on with the new ones."""
    found = to_act_on(name)
    try:
        manage.resume(current_context(), found, g.caller)
    except ContactExportError as refusal:
        if refusal.http_status >= 500:
            raise
        flash(refusal.text, "problem")
    else:
        note_action("feed resumed", feed=found.name, team=found.team)
        flash(f"{found.name} goes on.", "done")
    return back(found)


@console.post("/feeds/<name>/run")
def run_feed(name: str) -> Response:
    """Starts a run now, and leads to its export. If the last one is unfinished, to that."""
    context, found = current_context(), to_act_on(name)
    try:
        export_id = feed_run.start(context, found.id)
    except ExportAlreadyRunning as refusal:
        flash(f"{found.name} is running already.", "problem")
        return redirect(url_for("console.export", export_id=refusal.export_id), 303)
    except ContactExportError as refusal:
        if refusal.http_status >= 500:
            raise
        flash(refusal.text, "problem")
        return back(found)
    context.queue.publish(RUN_EXPORT)
    note_action("feed started by hand", feed=found.name, team=found.team, export=export_id)
    return redirect(url_for("console.export", export_id=export_id), 303)


@console.post("/feeds/<name>/verify")
def verify(name: str) -> str:
    """Checks the chain of manifests and the stored files, and shows one line for each fault."""
    found = to_act_on(name)
    with alone("A check"):
        report = verify_feed.verify(current_context(), found)
    note_action("feed verified", feed=found.name, team=found.team, faults=len(report.faults))
    return feed_page(name, report)


@console.get("/feeds/manifest/<int:export_id>")
def manifest(export_id: int) -> Response:
    """The manifest of a run, as it was signed."""
    answer = make_response(download.manifest(current_context(), export_id, g.caller))
    answer.mimetype = "application/json"
    return answer


def feed_page(name: str, report: FeedReport | None = None) -> str:
    """The page of one feed."""
    context, days = current_context(), period()
    before = position(request.args.get("before", ""))
    catalogue = context.catalogue.current()
    with context.database.transaction() as conn:
        found = named(conn, name)
        shown = feed_store.with_line(conn, found, float(days), ONE_FEED_WINDOWS)
        files, has_older = feed_store.files_of(conn, found, before)
        events = feed_store.events_of(conn, found)
    return render_template(
        "console/feed.html",
        shown=shown,
        feed=found,
        files=files,
        older=f"{files[-1]['sequence']}-{files[-1]['id']}" if has_older else None,
        is_first=before is None,
        events=events,
        days=days,
        periods=PERIODS,
        report=report,
        catalogue=catalogue,
        next_columns=next_columns(found, catalogue),
    )


def next_columns(found: Feed, catalogue: Catalogue) -> list[str]:
    """The names of the columns that the next file has, and the ids of fields that are gone."""
    ids = found.settings.contact_fields
    gone = [f"{field} (gone)" for field in ids if not catalogue.is_exportable(field)]
    fields = [catalogue.fields[field] for field in ids if catalogue.is_exportable(field)]
    columns = csv_format.columns(fields, found.settings.language, found.settings.last_columns)
    return [name for _, name in columns] + gone


def named(conn: Connection, name: str) -> Feed:
    """The feed of the path, if the viewer may see it. `team` in the query tells two of the same name apart."""
    return store.get_visible(conn, name, g.caller, request.values.get("team"))


def to_act_on(name: str) -> Feed:
    """The feed, if the viewer may change it. Raises Forbidden."""
    with current_context().database.autocommit() as conn:
        found = named(conn, name)
    if not current_viewer().may_act_on(found):
        raise Forbidden("You may see this feed and not change it")
    return found


def back(found: Feed) -> Response:
    """To the page on which the button was."""
    if request.form.get("from") == "list":
        return redirect(url_for("console.feeds"), 303)
    return redirect(url_for("console.feed", name=found.name, team=found.team), 303)


def period() -> str:
    """The days that the lines show."""
    days = request.values.get("days", "7")
    return days if days in PERIODS else "7"


def position(text: str) -> tuple[int, int] | None:
    """Sequence and export of a place in the list of files. None for anything else."""
    sequence, _, export_id = text.partition("-")
    numbers = [one for one in (sequence, export_id) if one.isascii() and one.isdigit() and len(one) < 19]
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else None
