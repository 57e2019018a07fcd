"""A broker that is down or silent never holds a request, and never loses an export."""

import dataclasses
import json
import os
import socket
import threading
from contextlib import contextmanager

import pytest
from exporting import messages, request, row_of, settings_for

import contactexport
from contactexport import export_queue
from contactexport.errors import BrokerUnavailable
from contactexport.services import sweep_exports

SCHEMES = ["amqp://guest:guest@127.0.0.1:{port}//", "redis://127.0.0.1:{port}/0"]


@contextmanager
def silent_broker():
    """Accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def with_broker(backend, url):
    return contactexport.make_backend(dataclasses.replace(backend.settings, broker_url=url))


@pytest.mark.timeout(20)  # without timeouts of our own a silent Redis would hold this test for ever
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_silent_broker_does_not_hold_the_request_and_the_sweep_publishes_later(backend, scheme):
    with silent_broker() as port:
        export_id = request(with_broker(backend, scheme.format(port=port)), settings_for())
    assert row_of(backend, export_id)["status"] == "scheduled"
    assert sweep_exports.sweep(backend) == 1
    assert [json.loads(file.read_text())["headers"]["argsrepr"] for file in messages(backend)] == ["[]"]


@pytest.mark.timeout(60)
def test_a_silent_redis_does_not_hold_a_worker_for_ever(backend, monkeypatch):
    monkeypatch.setattr(export_queue, "SILENT_SECONDS", 0.1)
    with silent_broker() as port:
        celery = with_broker(backend, f"redis://127.0.0.1:{port}/0").queue.celery
        with celery.connection_for_read() as connection, pytest.raises(connection.connection_errors, match="Timeout"):
            connection.channel()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_broker_that_is_down_is_named_by_the_readiness_check(backend, scheme):
    queue = with_broker(backend, scheme.format(port=free_port())).queue
    assert queue.publish_export() is False
    with pytest.raises(BrokerUnavailable, match="broker does not answer"):
        queue.ping()


def test_folders_that_cannot_be_made_are_a_broker_that_does_not_answer(backend, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    queue = contactexport.make_backend(dataclasses.replace(backend.settings, data_dir=blocked)).queue
    assert queue.publish_export() is False
    with pytest.raises(BrokerUnavailable):
        queue.ping()


def test_a_message_holds_nothing_of_the_export(backend):
    request(backend, settings_for())
    (file,) = messages(backend)
    message = json.loads(file.read_text())
    assert message["headers"]["task"] == "contactexport.run_export"
    assert message["headers"]["argsrepr"] == "[]"
    assert message["headers"]["expires"] is None  # two machines' clocks would be compared
    assert (file.stat().st_mode & 0o077, file.parent.stat().st_mode & 0o077) == (0, 0)


def test_a_process_forked_after_publishing_has_connections_of_its_own(backend):
    assert backend.queue.publish_export()
    before = backend.queue._idle
    child = os.fork()
    if child == 0:
        published = backend.queue.publish_export() and backend.queue._idle is not before
        os._exit(0 if published else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(messages(backend)) == 2


def test_many_threads_publish_at_once(backend):
    results = []
    threads = [threading.Thread(target=lambda: results.append(backend.queue.publish_export())) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 30
    assert len(messages(backend)) == 30


def test_a_message_is_held_until_its_task_has_ended_and_never_goes_round_in_circles(backend):
    rules = backend.queue.celery.conf
    assert rules.task_acks_late
    assert not rules.task_reject_on_worker_lost
    assert rules.worker_prefetch_multiplier == 1
    assert (rules.task_ignore_result, rules.result_backend) == (True, None)
