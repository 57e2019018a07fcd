"""A broker that is down or silent when exports are asked for: they are accepted all the same, and each is done once."""

import brokers
import pytest
from broker_line import broker_line
from exporting import contact_changed, other_session, request, row_of, settings_for
from invariants import require_all_done, require_nothing_lost, wait_until_final
from processes import Server, server, worker
from served import EXAMPLE, wait_until

from contactexport.backend import Backend
from contactexport.export_queue import message_folders


def accepted(asked: Server, language: str) -> int:
    answer = asked.post(EXAMPLE | {"language": language})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["id"]


@pytest.mark.parametrize("broker", brokers.URLS)
def test_exports_that_no_broker_took_are_found_by_a_worker(backend: Backend, broker: str):
    """It may have another broker by then: a message only wakes it up."""
    contact_changed(backend)
    with broker_line() as line, server(backend, BROKER_URL=brokers.URLS[broker].format(port=line.port)) as asked:
        ids = [accepted(asked, "en")]
        line.silent()
        ids.append(accepted(asked, "de"))
    require_nothing_lost(backend, ids)
    with worker(backend):
        assert [wait_until_final(backend, export_id)["attempt"] for export_id in ids] == [1, 1]
        require_all_done(backend, ids, logs=[asked.log])


def test_exports_whose_messages_cannot_be_written_are_found_by_a_worker(backend: Backend):
    contact_changed(backend)
    folder = message_folders(backend.settings.data_dir)[0].parent
    folder.parent.mkdir(exist_ok=True)
    folder.touch()
    with server(backend) as asked:
        ids = [accepted(asked, "en")]
    folder.unlink()
    with worker(backend):
        assert wait_until_final(backend, ids[0])["attempt"] == 1
        require_all_done(backend, ids, logs=[asked.log])


@pytest.mark.parametrize("broker", brokers.URLS)
def test_exports_are_done_whenever_their_broker_falls_silent_breaks_down_and_comes_back(backend: Backend, broker: str):
    contact_changed(backend)
    with brokers.behind(broker, backend) as remote, broker_line(brokers.PORTS[broker]) as line:
        line.up()
        through = {"BROKER_URL": brokers.URLS[broker].format(port=line.port)}
        with server(remote, **through) as asked, worker(remote, **through) as running:
            ids = [accepted(asked, "en")]
            wait_until_final(remote, ids[0])
            line.silent()
            ids.append(accepted(asked, "de"))
            line.down()
            ids.append(accepted(asked, "fr"))
            line.up()
            ids.append(accepted(asked, "hu"))
            assert [wait_until_final(remote, export_id)["attempt"] for export_id in ids] == [1, 1, 1, 1]
            require_all_done(remote, ids, logs=[asked.log, running.log])


@pytest.mark.parametrize("broker", brokers.URLS)
def test_a_worker_goes_on_although_its_broker_was_down_when_an_export_ended(backend: Backend, broker: str):
    """It could not confirm the message of that export."""
    contact_changed(backend)
    with brokers.behind(broker, backend) as remote, broker_line(brokers.PORTS[broker]) as line:
        line.up()
        with (
            worker(remote, BROKER_URL=brokers.URLS[broker].format(port=line.port)) as running,
            other_session(backend, autocommit=False) as blocking,
            blocking.cursor() as cursor,
        ):
            cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
            ids = [request(remote, settings_for())]
            wait_until(lambda: row_of(backend, ids[0])["status"] == "in progress", "the export has begun")
            line.down()
            blocking.rollback()
            wait_until_final(backend, ids[0])
            wait_until(lambda: running.said("Connection to broker lost"), "it notices")
            line.up()
            ids.append(request(remote, settings_for(language="de")))
            assert [wait_until_final(backend, export_id)["attempt"] for export_id in ids] == [1, 1]
            require_all_done(backend, ids, logs=[running.log])
