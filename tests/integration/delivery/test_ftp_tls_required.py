"""CONTACTEXPORT_FTP_TLS_REQUIRED: nothing is sent to an FTP host in plain text, not even for older exports."""

from pathlib import Path

import pytest
from flask import Flask
from pyftpdlib.handlers import TLS_FTPHandler

from contactexport.context import Context
from contactexport.errors import SettingsError, UsageError
from contactexport.exports import retry
from contactexport.exports import store as export_store
from contactexport.settings import load_settings
from tests.support import certificates
from tests.support.exporting import PASSWORD, REQUIRED_ONLY, context_with, execute, make_due, row_of, run
from tests.support.ftp_hosts import files, is_whole, large_export, serving

REFUSED = "Plain FTP is refused: CONTACTEXPORT_FTP_TLS_REQUIRED is set"
FTP = {"host": "127.0.0.1", "port": 2121, "username": "user", "password": PASSWORD}


@pytest.fixture
def strict(app: Flask, context: Context) -> Context:
    """The context and the application, with TLS required."""
    made = context_with(context, ftp_tls_required=True)
    app.extensions["contactexport"] = made
    return made


@pytest.mark.parametrize("tls", [{}, {"tls": 0}, {"tls": "0"}, {"tls": None}])
@pytest.mark.parametrize("call", ["getchanges", "getregistrations"])
def test_request_for_plain_ftp_is_refused_with_remedy(strict: Context, api, tls: dict, call: str):
    asked = REQUIRED_ONLY | {"distribution_method": "ftp", "ftp_settings": FTP | tls}
    answer = api.post(f"/api/v2/contact/{call}", json=asked)
    assert (answer.status_code, answer.json) == (400, {
        "replyCode": 10001,
        "replyText": "Invalid value for ftp_settings.tls: 0. This service uploads files with TLS only: send 1",
        "data": "",
    })  # fmt: skip
    assert execute(strict, "SELECT id FROM export") == []


def test_tls_and_local_exports_are_accepted(strict: Context, api):
    for asked in ({"distribution_method": "ftp", "ftp_settings": FTP | {"tls": 1}}, {"ftp_settings": FTP}):
        assert api.post("/api/v2/contact/getchanges", json=REQUIRED_ONLY | asked).json["replyCode"] == 0


def test_other_errors_of_the_target_come_first(strict: Context, api):
    asked = REQUIRED_ONLY | {"distribution_method": "ftp", "ftp_settings": FTP | {"host": "10.0.0.1"}}
    answer = api.post("/api/v2/contact/getchanges", json=asked)
    assert answer.json["replyText"] == "Invalid value for ftp_settings.host: 10.0.0.1"


def test_command_refuses_plain_ftp_and_names_ftps(strict: Context, runner, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FTP_PASSWORD", PASSWORD)
    options = ["--origin", "form", "--origin-id", "123", "--from", "2012-02-09", "--to", "2012-04-02", "--fields", "1"]
    ended = runner.invoke(args=["export", "changes", *options, "--ftp", "ftp://user@127.0.0.1/in"])
    assert ended.exit_code == 2
    assert ended.stderr == (
        "Error: Invalid value for --ftp: ftp://user@127.0.0.1/in: this service uploads files with TLS only, "
        "ftps://user@host:port/folder expected\n"
    )
    assert execute(strict, "SELECT id FROM export") == []


@pytest.mark.parametrize("waiting", [False, True])
def test_export_accepted_earlier_ends_in_error_without_connection(context: Context, tmp_path: Path, waiting: bool):
    strict = context_with(context, ftp_tls_required=True)
    with serving(tmp_path / "inbox", max_cons=1 if waiting else 512) as (port, told):
        export_id = large_export(context, port)
        if waiting:  # it has a file and was put off once by its host
            execute(context, "UPDATE export SET settings = jsonb_set(settings, '{ftp,port}', '1')")
            assert run(context, export_id).status == "ready"
            execute(context, f"UPDATE export SET settings = jsonb_set(settings, '{{ftp,port}}', '{port}')")
            make_due(context, export_id)
        ended = run(strict, export_id)
        assert told == []
    assert (ended.status, ended.error, row_of(context, export_id)["ftp_secret"]) == ("error", REFUSED, None)
    with pytest.raises(UsageError, match=f"^Export {export_id}: {REFUSED}$"):
        retry.retry(strict, export_id, PASSWORD)
    retry.retry(context, export_id, PASSWORD)
    with context.database.transaction() as conn:
        assert export_store.get(conn, export_id).status == "ready"  # its file was kept


def test_host_that_refuses_prot_gets_no_data(context: Context, tmp_path: Path):
    class NoProtection(TLS_FTPHandler):
        def ftp_PROT(self, line: str) -> None:
            self.respond("536 Requested PROT level not supported.")

    pem = certificates.self_signed(tmp_path / "host.pem", "ftp.example.com")
    inbox = tmp_path / "inbox"
    with serving(inbox, NoProtection, certfile=str(pem), ssl_context=None) as (port, told):
        strict = context_with(context, ftp_tls_required=True, ftp_ca_file=pem)
        export = run(strict, large_export(strict, port, tls=True))
    assert (export.status, export.error) == ("ready", "FTP host: 536 Requested PROT level not supported.")
    assert "STOR" not in told
    assert files(inbox) == []


def test_export_over_tls_is_delivered(context: Context, tmp_path: Path):
    pem = certificates.self_signed(tmp_path / "host.pem", "ftp.example.com")
    inbox = tmp_path / "inbox"
    with serving(inbox, TLS_FTPHandler, certfile=str(pem), ssl_context=None, tls_data_required=True) as (port, _told):
        strict = context_with(context, ftp_tls_required=True, ftp_ca_file=pem)
        done = run(strict, large_export(strict, port, tls=True))
    assert done.status == "done", done.error
    assert is_whole(inbox / "in" / done.file_name, done)


@pytest.mark.parametrize("value", ["yes", "2", "true", "-1", "01"])
def test_setting_is_0_or_1(value: str):
    with pytest.raises(SettingsError, match=f"^CONTACTEXPORT_FTP_TLS_REQUIRED is '{value}': 0 or 1 expected$"):
        load_settings({}, {"CONTACTEXPORT_FTP_TLS_REQUIRED": value})
    assert load_settings({}, {"CONTACTEXPORT_FTP_TLS_REQUIRED": "1"}).ftp_tls_required is True
    assert load_settings({}, {}).ftp_tls_required is False
