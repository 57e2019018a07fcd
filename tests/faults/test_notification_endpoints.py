"""Endpoints of notifications are down, slow, hung or redirecting: they delay and change no export."""

import signal
import socket
import threading
from contextlib import ExitStack
from typing import Any

import psutil

from contactexport.context import Context
from tests.support.exporting import contact_changed, execute, request, settings_for
from tests.support.invariants import require_all_done, wait_until_final
from tests.support.notification_receiver import Receiver, held, receiver, silence, status
from tests.support.notifying import due_again, rest, told
from tests.support.processes import Process, worker
from tests.support.served import wait_until

PASSWORD_OF_URL = "notgeheim"


def test_failing_endpoints_change_no_export_and_are_notified_in_the_end(context: Context):
    contact_changed(context)
    answered = threading.Event()
    with ExitStack() as running:
        elsewhere = running.enter_context(receiver())
        slow = running.enter_context(receiver(held(answered, status(204))))
        hung = running.enter_context(receiver(silence, status(204)))
        redirecting = running.enter_context(receiver(status(307, Location=elsewhere.url()), status(204)))
        unused = running.enter_context(socket.socket())
        unused.bind(("127.0.0.1", 0))
        down = unused.getsockname()[1]
        started = running.enter_context(worker(context, concurrency=4, SWEEP_INTERVAL="0.3"))

        ports = [slow.port, hung.port, redirecting.port, down]
        told_to = {port: _asked(context, number, port) for number, port in enumerate(ports)}
        wait_until(lambda: len(hung.received) == 1, "the hung one is being told")
        _process_that_tells(started, hung).send_signal(signal.SIGKILL)
        wait_until(lambda: len(slow.received) == 1, "the slow one is being told")
        answered.set()
        _succeeds(context, told_to[slow.port])
        for export_id in told_to.values():
            wait_until_final(context, export_id)
        before = {export_id: rest(context, export_id) for export_id in told_to.values()}
        _fails(context, told_to[redirecting.port], "Notification: the host answered 307")
        _fails(context, told_to[down], "Notification: Connection refused")
        assert _is_due_later(context, told_to[hung.port])

        unused.close()
        back = running.enter_context(receiver(port=down))
        for one in (hung, redirecting, back):
            due_again(context, told_to[one.port])
            _succeeds(context, told_to[one.port])
        assert {export_id: rest(context, export_id) for export_id in before} == before
    assert [len(one.received) for one in (slow, hung, redirecting, back, elsewhere)] == [1, 2, 2, 1, 0]
    assert all(len(_keys(one)) == 1 for one in (slow, hung, redirecting, back))
    require_all_done(context, before, logs=[started.log])
    assert PASSWORD_OF_URL not in started.log.read_text()


def _asked(context: Context, number: int, port: int) -> int:
    url = f"http://anna:{PASSWORD_OF_URL}@127.0.0.1:{port}/"
    return request(context, settings_for(contact_fields=(number + 3,), notification_url=url))


def _fails(context: Context, export_id: int, reason: str) -> None:
    wait_until(lambda: told(context, export_id)["error"] == reason, reason)
    assert _is_due_later(context, export_id)


def _succeeds(context: Context, export_id: int) -> None:
    wait_until(lambda: told(context, export_id)["due_at"] is None, f"export {export_id} is told")
    assert told(context, export_id)["notified_at"] is not None


def _is_due_later(context: Context, export_id: int) -> bool:
    return bool(
        execute(context, "SELECT id FROM export WHERE id = %s AND notify_due_at > clock_timestamp()", (export_id,))
    )


def _process_that_tells(worker: Process, one: Receiver) -> psutil.Process:
    def is_connected(child: psutil.Process) -> bool:
        return any(found.raddr and found.raddr.port == one.port for found in child.net_connections())

    (found,) = filter(is_connected, worker.children())
    return found


def _keys(one: Receiver) -> set[Any]:
    return {received.headers["Idempotency-Key"] for received in one.received}
