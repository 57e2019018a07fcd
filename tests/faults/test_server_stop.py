"""A server that is told to stop says so first, and answers until it ends."""

import signal

from exporting import contact_changed
from processes import server
from served import EXAMPLE, wait_until

from contactexport.backend import Backend


def test_readyz_says_that_the_server_is_shutting_down_while_it_still_accepts_exports(backend: Backend):
    contact_changed(backend)
    with server(backend, drain_seconds="20") as stopping:
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
        assert stopping.started.wait(timeout=15) == 0  # the second one hurries it
