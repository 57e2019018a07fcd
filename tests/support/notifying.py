"""Exports with a due notification, attempts to send it, and what the row says afterwards."""

import dataclasses
from collections.abc import Callable
from typing import Any

from contactexport.context import Context
from contactexport.exports import notify as notify_export
from contactexport.hosts.guard import NetworkGuard
from contactexport.hosts.parse import parse_allowed_hosts
from tests.support.exporting import execute, request, row_of, run, settings_for

SHORT = 0.3  # timeout for a silent receiver in seconds


def finished(context: Context, url: str | None) -> int:
    """The id of a done export whose notification is due."""
    export_id = request(context, settings_for(notification_url=url))
    assert run(context, export_id).status == "done"
    return export_id


def notify(context: Context, export_id: int) -> dict[str, Any]:
    """Makes one attempt. Returns what the row says about it afterwards."""
    notify_export.notify(context, export_id, answer_seconds=SHORT)
    return told(context, export_id)


def told(context: Context, export_id: int) -> dict[str, Any]:
    row = row_of(context, export_id)
    return {
        name.removeprefix("notify_"): row[name] for name in row if name.startswith("notif") and name != "notify_secret"
    }


def rest(context: Context, export_id: int) -> dict[str, Any]:
    """The values of the export itself."""
    return {name: value for name, value in row_of(context, export_id).items() if not name.startswith("notif")}


def seconds_until(context: Context, export_id: int) -> float | None:
    return execute(
        context,
        "SELECT extract(epoch FROM notify_due_at - clock_timestamp())::float AS s FROM export WHERE id = %s",
        (export_id,),
    )[0]["s"]


def due_again(context: Context, export_id: int) -> None:
    execute(context, "UPDATE export SET notify_due_at = clock_timestamp() WHERE id = %s", (export_id,))


def due(context: Context) -> list[int]:
    with context.database.transaction() as conn:
        return notify_export.due(conn)


def with_resolver(context: Context, resolver: Callable[[str, int], list[str]], allowed: str = "127.0.0.1") -> Context:
    return dataclasses.replace(context, guard=NetworkGuard(parse_allowed_hosts(allowed), resolver))


def assert_tried_again(context: Context, export_id: int, before: dict[str, Any]) -> None:
    """Checks that the export has not changed, and that the next attempt is due in a minute."""
    assert rest(context, export_id) == before
    after = told(context, export_id)
    assert (before["status"], after["attempts"], after["notified_at"]) == ("done", 1, None)
    assert 50 < seconds_until(context, export_id) <= 60
