"""A server is killed while it accepts an export: the export is stored and done, or nothing is left of it."""

import pytest
import requests

from contactexport.context import Context
from contactexport.errors import ExportAlreadyRunning
from tests.support.exporting import contact_changed, execute
from tests.support.invariants import require_all_done, wait_until_final
from tests.support.processes import server, worker
from tests.support.served import EXAMPLE


def test_request_can_be_repeated_after_its_server_died_before_the_commit(context: Context):
    contact_changed(context)
    with server(context, CRASH_POINT="export asked for:0:SIGKILL") as killed:
        with pytest.raises(requests.ConnectionError):
            killed.post(EXAMPLE)
        assert execute(context, "SELECT id FROM export") == []
    with server(context) as again, worker(context):
        answer = again.post(EXAMPLE)
        assert answer.status_code == 200, answer.text
        export_id = answer.json()["data"]["id"]
        assert wait_until_final(context, export_id)["attempt"] == 1
        require_all_done(context, [export_id], logs=[killed.log, again.log])


def test_export_is_done_although_its_server_died_after_the_commit(context: Context):
    """The client got no answer, and no message was published. A later sweep finds the row."""
    contact_changed(context)
    with server(context, CRASH_POINT="export accepted:0:SIGKILL") as killed:
        with pytest.raises(requests.ConnectionError):
            killed.post(EXAMPLE)
        (row,) = execute(context, "SELECT id, status FROM export")
        assert row["status"] == "scheduled"
    with server(context) as again:
        refused = again.post(EXAMPLE).json()
        assert (refused["replyCode"], refused["replyText"]) == (4001, ExportAlreadyRunning().text)
        with worker(context):
            assert wait_until_final(context, row["id"])["attempt"] == 1
            require_all_done(context, [row["id"]], logs=[killed.log, again.log])
        assert again.post(EXAMPLE).status_code == 200
