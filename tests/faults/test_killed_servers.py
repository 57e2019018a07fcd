"""A server that is killed while it accepts an export: the export is stored and done, or nothing is left of it."""

import pytest
import requests
from exporting import contact_changed, execute
from invariants import require_all_done, wait_until_final
from processes import server, worker
from served import EXAMPLE

from contactexport.backend import Backend
from contactexport.errors import ExportAlreadyRunning


def test_an_export_whose_request_died_before_the_commit_can_be_asked_for_again(backend: Backend):
    contact_changed(backend)
    with server(backend, CRASH_POINT="export asked for:0:SIGKILL") as killed:
        with pytest.raises(requests.ConnectionError):
            killed.post(EXAMPLE)
        assert execute(backend, "SELECT id FROM export") == []
    with server(backend) as again, worker(backend):
        answer = again.post(EXAMPLE)
        assert answer.status_code == 200, answer.text
        export_id = answer.json()["data"]["id"]
        assert wait_until_final(backend, export_id)["attempt"] == 1
        require_all_done(backend, [export_id], logs=[killed.log, again.log])


def test_an_export_whose_request_died_after_the_commit_is_done_although_nobody_was_told(backend: Backend):
    """No message was published either: a later sweep finds the row."""
    contact_changed(backend)
    with server(backend, CRASH_POINT="export accepted:0:SIGKILL") as killed:
        with pytest.raises(requests.ConnectionError):
            killed.post(EXAMPLE)
        (row,) = execute(backend, "SELECT id, status FROM export")
        assert row["status"] == "scheduled"
    with server(backend) as again:
        refused = again.post(EXAMPLE).json()
        assert (refused["replyCode"], refused["replyText"]) == (4001, ExportAlreadyRunning().text)
        with worker(backend):
            assert wait_until_final(backend, row["id"])["attempt"] == 1
            require_all_done(backend, [row["id"]], logs=[killed.log, again.log])
        assert again.post(EXAMPLE).status_code == 200
