"""Exports with a notification due, attempts to send it, and what the row says afterwards."""

import dataclasses
from collections.abc import Callable
from typing import Any

from exporting import execute, request, row_of, run, settings_for

from contactexport.allowed_hosts import parse_allowed_hosts
from contactexport.backend import Backend
from contactexport.db import notification_repository
from contactexport.network_guard import NetworkGuard
from contactexport.services import notify_export

SHORT = 0.3  # seconds until a silent receiver is given up


def finished(backend: Backend, url: str | None) -> int:
    """An export that is done and whose notification is due."""
    export_id = request(backend, settings_for(notification_url=url))
    assert run(backend, export_id).status == "done"
    return export_id


def notify(backend: Backend, export_id: int) -> dict[str, Any]:
    """One attempt; returns what the row says about it afterwards."""
    notify_export.notify(backend, export_id, answer_seconds=SHORT)
    return told(backend, export_id)


def told(backend: Backend, export_id: int) -> dict[str, Any]:
    row = row_of(backend, export_id)
    return {
        name.removeprefix("notify_"): row[name] for name in row if name.startswith("notif") and name != "notify_secret"
    }


def rest(backend: Backend, export_id: int) -> dict[str, Any]:
    """What the export itself is."""
    return {name: value for name, value in row_of(backend, export_id).items() if not name.startswith("notif")}


def seconds_until(backend: Backend, export_id: int) -> float | None:
    return execute(
        backend,
        "SELECT extract(epoch FROM notify_due_at - clock_timestamp())::float AS s FROM export WHERE id = %s",
        (export_id,),
    )[0]["s"]


def due_again(backend: Backend, export_id: int) -> None:
    execute(backend, "UPDATE export SET notify_due_at = clock_timestamp() WHERE id = %s", (export_id,))


def due(backend: Backend) -> list[int]:
    with backend.database.transaction() as conn:
        return notification_repository.due(conn)


def with_resolver(backend: Backend, resolver: Callable[[str, int], list[str]], allowed: str = "127.0.0.1") -> Backend:
    return dataclasses.replace(backend, guard=NetworkGuard(parse_allowed_hosts(allowed), resolver))


def assert_tried_again(backend: Backend, export_id: int, before: dict[str, Any]) -> None:
    """The export is as it was, and the next attempt comes in a minute."""
    assert rest(backend, export_id) == before
    after = told(backend, export_id)
    assert (before["status"], after["attempts"], after["notified_at"]) == ("done", 1, None)
    assert 50 < seconds_until(backend, export_id) <= 60
