"""A server that is told to stop first says so, and answers until it ends."""

import signal

from contactexport.context import Context
from tests.support.exporting import contact_changed
from tests.support.processes import server
from tests.support.served import EXAMPLE, wait_until


def test_readyz_reports_shutdown_while_the_server_still_accepts_exports(context: Context):
    contact_changed(context)
    with server(context, drain_seconds="20") as stopping:
        assert stopping.get("/readyz").status_code == 200
        stopping.signal(signal.SIGTERM)
        wait_until(lambda: stopping.get("/readyz").status_code == 503, "it says that it ends")
        answer = stopping.get("/readyz")
        assert answer.json() == {
            "replyCode": 1, "replyText": "Not ready: shutting down", "data": {"server": "shutting down"},
        }  # fmt: skip
        assert stopping.get("/healthz").status_code == 200
        assert stopping.post(EXAMPLE).status_code == 200
        stopping.signal(signal.SIGTERM)
        assert stopping.started.wait(timeout=15) == 0  # the second signal ends the wait
