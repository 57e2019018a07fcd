"""The page: what needs attention first, what runs now, and how exports went in the last days."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import render_template, request, url_for

from contactexport import doctor
from contactexport.changes import log as change_log
from contactexport.console import progress, store
from contactexport.console.blueprint import Viewer, console, current_context, current_viewer
from contactexport.context import Context
from contactexport.db.connection import Connection

# Period: its name, the length of a part, and how many parts.
PERIODS = {"24h": ("24 hours", "hour", 24), "7d": ("7 days", "day", 7), "30d": ("30 days", "day", 30)}


@dataclass(frozen=True)
class Matter:
    """Something to look at. `kind` is `bad` or `warn`. `url` leads to it."""

    kind: str
    text: str
    detail: str = ""
    url: str = ""


@console.get("/")
def overview() -> str | tuple[str, int]:
    """Answers the page, or with `part=now` what changes by itself, and 204 if that is still the same."""
    context, viewer = current_context(), current_viewer()
    period = request.args.get("period", "24h")
    if period not in PERIODS:
        period = "24h"
    is_part = request.args.get("part") == "now"
    with context.database.autocommit() as conn:
        running = store.running(conn, viewer)
        counts, matters = attention(context, conn, viewer)
        version = progress.version_of(running, counts, matters)
        if is_part and request.args.get("seen") == version:
            return "", 204
        figures = [] if is_part else of_period(conn, context, viewer, period)
    return render_template(
        "console/_now.html" if is_part else "console/overview.html",
        matters=matters,
        counts=counts,
        running=running,
        progress_of=progress.of_export,
        periods=PERIODS,
        period=period,
        parts=figures,
        totals=_totals(figures),
        plots=_plots(figures),
        zone=str(context.settings.time_zone),
        live_url=url_for("console.overview", part="now", seen=version),
    )


def attention(context: Context, conn: Connection, viewer: Viewer) -> tuple[store.Row, list[Matter]]:
    """Counts of the queue, and what somebody should look at, the worst first."""
    patience = doctor.OVERDUE_SECONDS + 2 * context.settings.sweep_interval
    counts = store.queue(conn, viewer, patience)
    matters = _of_queue(counts)
    lines = doctor.look_at(context, "disk", doctor.check_disk) if viewer.sees_all else []
    system = url_for("console.system")
    matters += [Matter("bad", f"Disk: {one.text}", one.remedy, system) for one in lines if one.state != doctor.OK]
    for feed in store.feeds_in_trouble(conn, viewer):
        state = "is late" if feed["paused_at"] is None else "has paused itself"
        text = f"Feed {feed['name']} of the team {feed['team']} {state}"
        matters.append(Matter("warn", text, feed["pause_reason"] or "", url_for("console.feeds")))
    return counts, matters + _errors(store.latest_errors(conn, viewer))


def _of_queue(counts: store.Row) -> list[Matter]:
    matters = []
    url = url_for("console.exports", status="unfinished")
    if overdue := counts["overdue"]:
        text, kind, detail = f"{overdue:,} exports are overdue", "warn", "More workers would help."
        if not counts["running"]:
            text, kind, detail = "No worker works on exports", "bad", f"{overdue:,} wait for one. Start a worker."
        matters.append(Matter(kind, text, detail, url))
    if put_off := counts["put_off"]:
        text = (
            "An export was put off after an error" if put_off == 1 else f"{put_off:,} exports were put off after errors"
        )
        matters.append(Matter("warn", text, "They are retried.", url))
    return matters


def _errors(errors: list[store.Row]) -> list[Matter]:
    matters = []
    for error in errors[: store.MOST_SHOWN]:
        text, url = f"Export {error['id']} ended in error", url_for("console.export", export_id=error["id"])
        if error["exports"] > 1:
            text = f"{error['exports']:,} exports ended in error, the last one is {error['id']}"
        matters.append(Matter("bad", text, error["error"] or "", url))
    if len(errors) > store.MOST_SHOWN:
        text = "More exports ended in error in the last 24 hours"
        matters.append(Matter("bad", text, "", url_for("console.exports", status="error")))
    return matters


def of_period(conn: Connection, context: Context, viewer: Viewer, period: str) -> list[store.Row]:
    """How exports ended in each hour or day, in the service's time zone. The last part is not over yet."""
    _name, part, number = PERIODS[period]
    now = change_log.clock(conn)
    local = now.astimezone(context.settings.time_zone)
    if part == "hour":  # hours are the same in every zone, but for the minutes of some
        last = now - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        begins = [last - timedelta(hours=back) for back in range(number - 1, -1, -1)]
    else:
        days = [local.date() - timedelta(days=back) for back in range(number - 1, -1, -1)]
        begins = [datetime.combine(day, datetime.min.time(), context.settings.time_zone) for day in days]
    return store.ended(conn, viewer, begins, [*begins[1:], now + timedelta(seconds=1)])


def _totals(parts: list[store.Row]) -> dict[str, int]:
    return {name: sum(part[name] for part in parts) for name in ("done", "failed", "rows")}


def _plots(parts: list[store.Row]) -> dict[str, list[list[float | None]]]:
    """The numbers of the plots, as uPlot takes them: the times first, then each line."""
    times: list[float | None] = [part["begins_at"].timestamp() for part in parts]
    timed = {
        f"{name} {share}": [part[name] and round(part[name][index], 2) for part in parts]
        for name in ("waited", "ran")
        for index, share in enumerate(("half", "most"))
    }
    return {
        "ended": [times, [part["done"] for part in parts], [part["failed"] for part in parts]],
        "rows": [times, [part["rows"] for part in parts]],
        "times": [times, *timed.values()],
    }
