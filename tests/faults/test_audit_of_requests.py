"""What a server writes into the audit log about each request: the client's address, and nothing about health probes."""

import json

import pytest
import requests

from contactexport.context import Context
from tests.support.processes import Server, server


def audited(server: Server) -> list[dict]:
    lines = server.log.read_text().splitlines()
    events = [
        json.loads(line.partition("contactexport.audit: ")[2]) for line in lines if "contactexport.audit:" in line
    ]
    return [event for event in events if event["event"] == "request"]


def ask(server: Server, forwarded_for: str | None = None) -> None:
    headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
    assert requests.get(f"{server.url}/api/v2/form", headers=headers, timeout=30).status_code == 401


@pytest.mark.parametrize(
    "trusted,addresses",
    [
        (None, ["127.0.0.1", "198.51.100.7", "198.51.100.7"]),  # gunicorn's default: proxies on the same machine
        ("10.0.0.0/8", ["127.0.0.1", "127.0.0.1", "127.0.0.1"]),
        ("127.0.0.0/8,198.51.100.7", ["127.0.0.1", "198.51.100.7", "6.6.6.6"]),
        pytest.param("*", ["127.0.0.1", "198.51.100.7", "6.6.6.6"], marks=pytest.mark.slow),
    ],
)
def test_audit_log_has_the_address_of_the_client(
    context: Context, monkeypatch: pytest.MonkeyPatch, trusted: str | None, addresses: list[str]
):
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if trusted:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    with server(context) as started:
        for forwarded_for in (None, "198.51.100.7", "6.6.6.6, 198.51.100.7"):
            ask(started, forwarded_for)
        assert [event["address"] for event in audited(started)] == addresses


def test_health_probes_are_no_audit_events_but_failures_are_logged(context: Context):
    with server(context) as started:
        for path in ("/healthz", "/readyz", "/readyz/"):
            assert started.get(path).status_code == 200
        assert requests.post(f"{started.url}/readyz", timeout=30).status_code == 405
        assert [(event["method"], event["path"]) for event in audited(started)] == [("POST", "/readyz")]
        assert not started.said("not ready")
    with server(context, BROKER_URL="amqp://guest:guest@127.0.0.1:1//") as failing:
        failing.get("/readyz")
        assert failing.said("not ready: broker: ")
        assert audited(failing) == []
