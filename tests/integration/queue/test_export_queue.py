"""A broker that is down or silent never blocks a request and never loses an export."""

import dataclasses
import json
import os
import socket
import threading
from contextlib import contextmanager

import pytest

import contactexport
from contactexport.errors import BrokerUnavailable
from contactexport.exports import sweep
from contactexport.queue import publisher
from contactexport.queue.publisher import RUN_EXPORT
from tests.support.exporting import messages, request, row_of, settings_for

SCHEMES = ["amqp://guest:guest@127.0.0.1:{port}//", "redis://127.0.0.1:{port}/0"]


@contextmanager
def silent_broker():
    """Accepts connections and stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def with_broker(context, url):
    return contactexport.make_context(dataclasses.replace(context.settings, broker_url=url))


@pytest.mark.timeout(20)  # without timeouts of our own a silent Redis would hold this test for ever
@pytest.mark.parametrize("scheme", SCHEMES)
def test_silent_broker_does_not_block_request_and_sweep_publishes_later(context, scheme):
    with silent_broker() as port:
        export_id = request(with_broker(context, scheme.format(port=port)), settings_for())
    assert row_of(context, export_id)["status"] == "scheduled"
    assert sweep.sweep(context) == 1
    assert [json.loads(file.read_text())["headers"]["argsrepr"] for file in messages(context)] == ["[]"]


@pytest.mark.timeout(60)
def test_silent_redis_does_not_block_worker_for_ever(context, monkeypatch):
    monkeypatch.setattr(publisher, "SILENT_SECONDS", 0.1)
    with silent_broker() as port:
        celery = with_broker(context, f"redis://127.0.0.1:{port}/0").queue.celery
        with celery.connection_for_read() as connection, pytest.raises(connection.connection_errors, match="Timeout"):
            connection.channel()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_readiness_check_names_unreachable_broker(context, scheme):
    queue = with_broker(context, scheme.format(port=free_port())).queue
    assert queue.publish(RUN_EXPORT) is False
    with pytest.raises(BrokerUnavailable, match="broker does not answer"):
        queue.ping()


def test_impossible_folders_count_as_unreachable_broker(context, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    queue = contactexport.make_context(dataclasses.replace(context.settings, data_dir=blocked)).queue
    assert queue.publish(RUN_EXPORT) is False
    with pytest.raises(BrokerUnavailable):
        queue.ping()


def test_message_contains_nothing_of_export(context):
    request(context, settings_for())
    (file,) = messages(context)
    message = json.loads(file.read_text())
    assert message["headers"]["task"] == "contactexport.run_export"
    assert message["headers"]["argsrepr"] == "[]"
    assert message["headers"]["expires"] is None  # two machines' clocks would be compared
    assert (file.stat().st_mode & 0o077, file.parent.stat().st_mode & 0o077) == (0, 0)


def test_process_forked_after_publishing_has_own_connections(context):
    assert context.queue.publish(RUN_EXPORT)
    before = context.queue._idle
    child = os.fork()
    if child == 0:
        published = context.queue.publish(RUN_EXPORT) and context.queue._idle is not before
        os._exit(0 if published else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(messages(context)) == 2


def test_many_threads_publish_at_once(context):
    results = []
    threads = [threading.Thread(target=lambda: results.append(context.queue.publish(RUN_EXPORT))) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 30
    assert len(messages(context)) == 30


def test_message_is_held_until_its_task_ends_and_is_never_redelivered(context):
    rules = context.queue.celery.conf
    assert rules.task_acks_late
    assert not rules.task_reject_on_worker_lost
    assert rules.worker_prefetch_multiplier == 1
    assert (rules.task_ignore_result, rules.result_backend) == (True, None)
