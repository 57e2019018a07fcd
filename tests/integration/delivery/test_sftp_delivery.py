"""Delivery by SFTP to OpenSSH, and to a server that takes passwords."""

import socket
from contextlib import closing
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.delivery.sftp_credentials import SftpCredentials, read_private_key
from contactexport.exports import status as export_status
from contactexport.exports.models import Export, ExportSettings
from contactexport.secrets.rotate import rotate_secrets
from tests.support.exporting import (
    PASSWORD,
    TESTER,
    contact_changed,
    context_with,
    execute,
    make_due,
    request,
    row_of,
    run,
)
from tests.support.ftp_hosts import files
from tests.support.ssh_hosts import SshHost, make_key, odd_host, openssh


@pytest.fixture
def host(tmp_path: Path):
    with openssh(tmp_path / "ssh") as running:
        yield running


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "ssh" / "inbox"


def requested(context: Context, host: SshHost, settings: ExportSettings, credentials: SftpCredentials | None = None):
    contact_changed(context, first_name="Zoë")
    return request(context, settings, (credentials or host.credentials).to_text())


def delivered(context: Context, host: SshHost, folder: str | None = None, **changes: str | None) -> Export:
    return run(context, requested(context, host, host.settings(folder, **changes)))


@pytest.mark.parametrize("folder", ["path/of/a/folder", "weiß/ŷ//", "", None])
def test_file_arrives_whole_in_created_folder_and_leaves_storage(
    context: Context, host: SshHost, inbox: Path, folder: str | None
):
    done = delivered(context, host, folder)
    assert (done.status, done.error, done.delivered) == ("done", None, None)
    path = "/".join(filter(None, (folder or "").split("/")))
    assert files(inbox) == [str(Path(path, done.file_name))]
    assert (inbox / path / done.file_name).read_text() == "1,Zoë,,2012-02-09 00:00:00\n"
    assert list(context.settings.storage_dir.glob("[!.]*")) == []
    assert row_of(context, done.id)["ftp_secret"] is None
    status = export_status.status(context, done.id, TESTER)
    assert (status["ftp_host"], status["ftp_dir"]) == ("127.0.0.1", done.settings.sftp.folder)
    assert [one["reply"] for one in status["delivery"]] == ["renamed"]


def test_absolute_folder_starts_at_the_root(context: Context, host: SshHost, inbox: Path):
    done = delivered(context, host, f"{inbox}/in")
    assert files(inbox) == [f"in/{done.file_name}"]


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_of_every_kind_open_the_host(context: Context, tmp_path: Path, kind: str):
    with openssh(tmp_path / "ssh", kinds=(kind,), user_key=kind) as host:
        assert delivered(context, host).status == "done"


@pytest.mark.parametrize("pinned", ["rsa", "ecdsa", "ed25519"])
def test_pinned_key_may_be_any_of_the_host(context: Context, tmp_path: Path, pinned: str):
    with openssh(tmp_path / "ssh", kinds=("ed25519", "ecdsa", "rsa")) as host:
        assert delivered(context, host, host_key=host.host_keys[pinned]).status == "done"


def test_changed_host_key_is_refused_with_both_fingerprints(context: Context, host: SshHost, inbox: Path):
    pinned = "SHA256:" + "A" * 43
    waiting = delivered(context, host, host_key=pinned)
    assert (waiting.status, waiting.permanent_failures) == ("ready", 1)
    shown = host.host_keys["ed25519"]
    assert waiting.error == (
        f"SFTP host: its key is {shown} (ssh-ed25519), and {pinned} is pinned: it was set up anew, or somebody is in "
        "between"
    )
    for _ in range(2):
        make_due(context, waiting.id)
        failed = run(context, waiting.id)
    assert (failed.status, failed.attempt, files(inbox)) == ("error", 3, [])


def test_host_of_another_key_gets_no_credentials(context: Context, tmp_path: Path):
    with odd_host(tmp_path / "odd") as host:
        assert "is pinned" in delivered(context, host, host_key="SHA256:" + "A" * 43).error
        assert host.connections == []


def test_host_without_a_pinned_key_must_be_allowed(context: Context, host: SshHost):
    refused = delivered(context, host, host_key=None)
    assert (refused.status, refused.error) == (
        "error",
        "A host without a pinned key is refused: CONTACTEXPORT_SFTP_UNKNOWN_HOSTS is not set",
    )
    assert delivered(context_with(context, sftp_unknown_hosts=True), host, host_key=None).status == "done"


def test_password_opens_the_host(context: Context, tmp_path: Path):
    with odd_host(tmp_path / "odd") as host:
        assert delivered(context, host, "in").status == "done"


@pytest.mark.parametrize(
    "credentials,text",
    [
        (SftpCredentials("wrong§password"), "SFTP host: it does not accept the user with this password"),
        (SftpCredentials(private_key="another"), "SFTP host: it does not accept the user with this private key"),
    ],
)
def test_wrong_credentials_are_given_up_after_three_attempts(
    context: Context, host: SshHost, tmp_path: Path, credentials: SftpCredentials, text: str, caplog
):
    if credentials.private_key:
        credentials = SftpCredentials(private_key=read_private_key(make_key(tmp_path / "other"), None))
    export_id = requested(context, host, host.settings(), credentials)
    for status in ("ready", "ready", "error"):
        tried = run(context, export_id)
        assert (tried.status, tried.error) == (status, text)
        make_due(context, export_id) if status == "ready" else None
    assert "wrong§password" not in caplog.text


def test_kind_of_login_that_the_host_lacks_is_told(context: Context, tmp_path: Path):
    key = SftpCredentials(private_key=read_private_key(make_key(tmp_path / "key"), None))
    with odd_host(tmp_path / "odd") as host:
        tried = run(context, requested(context, host, host.settings(), key))
    assert tried.error == "SFTP host: it takes no private key, only: password"


def test_unreachable_host_is_retried(context: Context, host: SshHost):
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        gone = SshHost(probe.getsockname()[1], "user", host.host_keys)
    waiting = delivered(context, gone)
    assert (waiting.status, waiting.error, waiting.permanent_failures) == ("ready", "SFTP host: Connection refused", 0)


def test_addresses_are_refused_as_for_ftp(context: Context, host: SshHost, inbox: Path):
    guarded = context_with(context, allowed_hosts=())
    waiting = delivered(guarded, host)
    assert (waiting.status, waiting.error) == ("ready", "Host 127.0.0.1 is not on the public internet")
    assert files(inbox) == []


def test_file_of_an_attempt_that_died_is_replaced(context: Context, host: SshHost, inbox: Path):
    export_id = requested(context, host, host.settings())
    name = row_of(context, export_id)["file_name"]
    (inbox / name).write_text("old")
    assert run(context, export_id).status == "done"
    assert files(inbox) == [name]
    assert (inbox / name).read_text() != "old"


def test_secrets_are_rotated(context: Context, host: SshHost):
    export_id = requested(context, host, host.settings())
    before = bytes(row_of(context, export_id)["ftp_secret"])
    renewed = context_with(context, secret_key=f"new,{(context.settings.data_dir / 'secret_key').read_text()}")
    assert rotate_secrets(renewed)[1] == []
    assert bytes(row_of(context, export_id)["ftp_secret"]) != before
    only = context_with(context, secret_key="new")
    assert only.secrets.decrypt(bytes(row_of(context, export_id)["ftp_secret"])) == host.credentials.to_text()
    assert run(only, export_id).status == "done"


def test_secrets_are_in_no_status_and_no_log(context: Context, tmp_path: Path, caplog):
    with odd_host(tmp_path / "odd") as host, caplog.at_level("DEBUG"):
        done = delivered(context, host)
    shown = str(export_status.status(context, done.id, TESTER)) + caplog.text
    stored = str(execute(context, "SELECT settings, deliveries, error FROM export"))
    assert PASSWORD not in shown + stored
