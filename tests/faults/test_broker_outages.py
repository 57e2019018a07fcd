"""The broker is down or silent: requests are still accepted, and each export is done once."""

import pytest

from contactexport.context import Context
from contactexport.queue.publisher import message_folders
from tests.support import brokers
from tests.support.broker_line import broker_line
from tests.support.exporting import contact_changed, other_session, request, row_of, settings_for
from tests.support.invariants import require_all_done, require_nothing_lost, wait_until_final
from tests.support.processes import Server, server, worker
from tests.support.served import EXAMPLE, wait_until


def accepted(asked: Server, language: str) -> int:
    answer = asked.post(EXAMPLE | {"language": language})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["id"]


@pytest.mark.slow
@pytest.mark.parametrize("broker", brokers.URLS)
def test_worker_finds_exports_that_no_broker_took(context: Context, broker: str):
    """The worker may have another broker by then, since a message is only a wake-up."""
    contact_changed(context)
    with broker_line() as line, server(context, BROKER_URL=brokers.URLS[broker].format(port=line.port)) as asked:
        ids = [accepted(asked, "en")]
        line.silent()
        ids.append(accepted(asked, "de"))
    require_nothing_lost(context, ids)
    with worker(context):
        assert [wait_until_final(context, export_id)["attempt"] for export_id in ids] == [1, 1]
        require_all_done(context, ids, logs=[asked.log])


def test_worker_finds_exports_whose_messages_could_not_be_written(context: Context):
    contact_changed(context)
    folder = message_folders(context.settings.data_dir)[0].parent
    folder.parent.mkdir(exist_ok=True)
    folder.touch()
    with server(context) as asked:
        ids = [accepted(asked, "en")]
    folder.unlink()
    with worker(context):
        assert wait_until_final(context, ids[0])["attempt"] == 1
        require_all_done(context, ids, logs=[asked.log])


@pytest.mark.parametrize("broker", brokers.URLS)
def test_exports_are_done_while_their_broker_falls_silent_breaks_down_and_returns(context: Context, broker: str):
    contact_changed(context)
    with brokers.behind(broker, context) as remote, broker_line(brokers.PORTS[broker]) as line:
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


@pytest.mark.slow
@pytest.mark.parametrize("broker", brokers.URLS)
def test_worker_continues_after_its_broker_was_down_at_the_end_of_an_export(context: Context, broker: str):
    """The worker cannot confirm the message of that export."""
    contact_changed(context)
    with brokers.behind(broker, context) as remote, broker_line(brokers.PORTS[broker]) as line:
        line.up()
        with (
            worker(remote, BROKER_URL=brokers.URLS[broker].format(port=line.port)) as running,
            other_session(context, autocommit=False) as blocking,
            blocking.cursor() as cursor,
        ):
            cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
            ids = [request(remote, settings_for())]
            wait_until(lambda: row_of(context, ids[0])["status"] == "in progress", "the export has begun")
            line.down()
            blocking.rollback()
            wait_until_final(context, ids[0])
            wait_until(lambda: running.said("Connection to broker lost"), "it notices")
            line.up()
            ids.append(request(remote, settings_for(language="de")))
            assert [wait_until_final(context, export_id)["attempt"] for export_id in ids] == [1, 1]
            require_all_done(context, ids, logs=[running.log])
