"""Notifications go only to an address that was checked, with a certificate that is valid for the name."""

import socket
from pathlib import Path

import pytest

from contactexport.context import Context
from tests.support.notification_receiver import FAILURES, make_certificate, receiver, status
from tests.support.notifying import assert_tried_again, due_again, finished, notify, rest, with_resolver


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trusted certificate for the name receiver.test."""
    file = make_certificate(tmp_path / "receiver.pem", "receiver.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(context: Context, code: int):
    with receiver() as elsewhere, receiver(status(code, Location=elsewhere.url())) as there:
        export_id = finished(context, there.url())
        before = rest(context, export_id)
        assert notify(context, export_id)["error"] == f"Notification: the host answered {code}"
        assert (len(there.received), elsewhere.received) == (1, [])
    assert_tried_again(context, export_id, before)


def test_host_that_is_not_public_is_not_called(context: Context):
    closed = with_resolver(context, lambda *_: ["127.0.0.1"], allowed="")
    with receiver() as there:
        for host in ("127.0.0.1", "inside.test", "localhost"):
            export_id = finished(context, there.url(host=host))
            before = rest(context, export_id)
            assert notify(closed, export_id)["error"] == f"Host {host} is not on the public internet"
            assert_tried_again(context, export_id, before)
        assert there.received == []


def test_name_with_one_address_that_is_not_public_is_not_called(context: Context):
    closed = with_resolver(context, lambda *_: ["93.184.215.14", "127.0.0.1"], allowed="")
    with receiver() as there:
        assert "not on the public internet" in notify(closed, finished(context, there.url(host="mixed.test")))["error"]
        assert there.received == []


def test_name_without_an_address_is_retried(context: Context):
    def nothing(name: str, port: int) -> list[str]:
        raise socket.gaierror

    export_id = finished(context, "http://gone.test/")
    before = rest(context, export_id)
    assert notify(with_resolver(context, nothing), export_id)["error"] == "Host gone.test has no address"
    assert_tried_again(context, export_id, before)


def test_name_that_resolves_differently_later_is_checked_again(context: Context):
    answers = iter(["127.0.0.1", "127.0.0.2"])
    rebinding = with_resolver(context, lambda *_: [next(answers)])
    with receiver(status(500)) as there, receiver(address="127.0.0.2", port=there.port) as inside:
        export_id = finished(context, there.url(host="rebinding.test"))
        assert notify(rebinding, export_id)["error"] == "Notification: the host answered 500"
        due_again(context, export_id)
        assert notify(rebinding, export_id)["error"] == "Host rebinding.test is not on the public internet"
        assert (len(there.received), inside.received) == (1, [])
    assert there.received[0].headers["Host"] == f"rebinding.test:{there.port}"
    assert next(answers, None) is None, "one look-up for each attempt"


def test_tls_refuses_certificate_for_another_name(context: Context, certificate: Path):
    named = with_resolver(context, lambda *_: ["127.0.0.1"])
    with receiver(certificate=certificate) as there:
        for host, reason in (
            ("receiver.test", None),
            ("another.test", "Hostname mismatch, certificate is not valid for 'another.test'."),
            ("127.0.0.1", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        ):
            after = notify(named, finished(context, there.url(host=host, scheme="https")))
            assert after["error"] == (reason and f"Notification: the certificate is refused: {reason}")
    assert [sent.headers["Host"] for sent in there.received] == [f"receiver.test:{there.port}"]


def test_tls_refuses_self_signed_certificate(context: Context, tmp_path: Path):
    named = with_resolver(context, lambda *_: ["127.0.0.1"])
    with receiver(certificate=make_certificate(tmp_path / "own.pem", "receiver.test")) as there:
        export_id = finished(context, there.url(host="receiver.test", scheme="https"))
        before = rest(context, export_id)
        assert notify(named, export_id)["error"] == "Notification: the certificate is refused: self-signed certificate"
        assert there.received == []
    assert_tried_again(context, export_id, before)


@pytest.mark.parametrize("name", ["silent", "dripping headers", "endless headers", "500"])
def test_failures_have_the_same_reason_over_tls(context: Context, certificate: Path, name: str):
    named = with_resolver(context, lambda *_: ["127.0.0.1"])
    answer, reason = FAILURES[name]
    with receiver(answer, certificate=certificate) as there:
        export_id = finished(context, there.url(host="receiver.test", scheme="https"))
        before = rest(context, export_id)
        assert notify(named, export_id)["error"] == f"Notification: {reason}"
    assert_tried_again(context, export_id, before)


def test_tls_to_a_host_without_tls_is_retried(context: Context):
    with receiver() as there:
        export_id = finished(context, there.url(scheme="https"))
        before = rest(context, export_id)
        assert notify(context, export_id)["error"].startswith("Notification: ")
    assert_tried_again(context, export_id, before)


def test_proxies_from_the_environment_are_not_used(context: Context, monkeypatch: pytest.MonkeyPatch):
    with receiver() as proxy, receiver() as there:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        assert notify(context, finished(context, there.url()))["notified_at"] is not None
        assert (len(there.received), proxy.received) == (1, [])
