"""Where notifications go: to the address that was judged, under the name's certificate, and nowhere else."""

import socket
from pathlib import Path

import pytest
from notification_receiver import FAILURES, make_certificate, receiver, status
from notifying import assert_tried_again, due_again, finished, notify, rest, with_resolver

from contactexport.backend import Backend


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For the name receiver.test; trusted."""
    file = make_certificate(tmp_path / "receiver.pem", "receiver.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(backend: Backend, code: int):
    with receiver() as elsewhere, receiver(status(code, Location=elsewhere.url())) as there:
        export_id = finished(backend, there.url())
        before = rest(backend, export_id)
        assert notify(backend, export_id)["error"] == f"Notification: the host answered {code}"
        assert (len(there.received), elsewhere.received) == (1, [])
    assert_tried_again(backend, export_id, before)


def test_a_host_that_is_not_public_is_not_called(backend: Backend):
    closed = with_resolver(backend, lambda *_: ["127.0.0.1"], allowed="")
    with receiver() as there:
        for host in ("127.0.0.1", "inside.test", "localhost"):
            export_id = finished(backend, there.url(host=host))
            before = rest(backend, export_id)
            assert notify(closed, export_id)["error"] == f"Host {host} is not on the public internet"
            assert_tried_again(backend, export_id, before)
        assert there.received == []


def test_a_name_of_which_one_address_is_not_public_is_not_called(backend: Backend):
    closed = with_resolver(backend, lambda *_: ["93.184.215.14", "127.0.0.1"], allowed="")
    with receiver() as there:
        assert "not on the public internet" in notify(closed, finished(backend, there.url(host="mixed.test")))["error"]
        assert there.received == []


def test_a_name_without_an_address_is_tried_again(backend: Backend):
    def nothing(name: str, port: int) -> list[str]:
        raise socket.gaierror

    export_id = finished(backend, "http://gone.test/")
    before = rest(backend, export_id)
    assert notify(with_resolver(backend, nothing), export_id)["error"] == "Host gone.test has no address"
    assert_tried_again(backend, export_id, before)


def test_a_name_that_answers_differently_later_gains_nothing(backend: Backend):
    answers = iter(["127.0.0.1", "127.0.0.2"])
    rebinding = with_resolver(backend, lambda *_: [next(answers)])
    with receiver(status(500)) as there, receiver(address="127.0.0.2", port=there.port) as inside:
        export_id = finished(backend, there.url(host="rebinding.test"))
        assert notify(rebinding, export_id)["error"] == "Notification: the host answered 500"
        due_again(backend, export_id)
        assert notify(rebinding, export_id)["error"] == "Host rebinding.test is not on the public internet"
        assert (len(there.received), inside.received) == (1, [])
    assert there.received[0].headers["Host"] == f"rebinding.test:{there.port}"
    assert next(answers, None) is None, "one look-up for each attempt"


def test_tls_checks_the_certificate_against_the_name(backend: Backend, certificate: Path):
    named = with_resolver(backend, lambda *_: ["127.0.0.1"])
    with receiver(certificate=certificate) as there:
        for host, reason in (
            ("receiver.test", None),
            ("another.test", "Hostname mismatch, certificate is not valid for 'another.test'."),
            ("127.0.0.1", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        ):
            after = notify(named, finished(backend, there.url(host=host, scheme="https")))
            assert after["error"] == (reason and f"Notification: the certificate is refused: {reason}")
    assert [sent.headers["Host"] for sent in there.received] == [f"receiver.test:{there.port}"]


def test_a_certificate_nobody_vouches_for_is_refused(backend: Backend, tmp_path: Path):
    named = with_resolver(backend, lambda *_: ["127.0.0.1"])
    with receiver(certificate=make_certificate(tmp_path / "own.pem", "receiver.test")) as there:
        export_id = finished(backend, there.url(host="receiver.test", scheme="https"))
        before = rest(backend, export_id)
        assert notify(named, export_id)["error"] == "Notification: the certificate is refused: self-signed certificate"
        assert there.received == []
    assert_tried_again(backend, export_id, before)


@pytest.mark.parametrize("name", ["silent", "dripping headers", "endless headers", "500"])
def test_failures_under_tls_are_the_same(backend: Backend, certificate: Path, name: str):
    named = with_resolver(backend, lambda *_: ["127.0.0.1"])
    answer, reason = FAILURES[name]
    with receiver(answer, certificate=certificate) as there:
        export_id = finished(backend, there.url(host="receiver.test", scheme="https"))
        before = rest(backend, export_id)
        assert notify(named, export_id)["error"] == f"Notification: {reason}"
    assert_tried_again(backend, export_id, before)


def test_tls_with_a_host_that_has_none_is_tried_again(backend: Backend):
    with receiver() as there:
        export_id = finished(backend, there.url(scheme="https"))
        before = rest(backend, export_id)
        assert notify(backend, export_id)["error"].startswith("Notification: ")
    assert_tried_again(backend, export_id, before)


def test_proxies_of_the_environment_are_not_asked(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    with receiver() as proxy, receiver() as there:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        assert notify(backend, finished(backend, there.url()))["notified_at"] is not None
        assert (len(there.received), proxy.received) == (1, [])
