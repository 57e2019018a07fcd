"""Exports and feeds by SFTP, compressed and encrypted, on the command line."""

import json
from pathlib import Path

import pytest

from tests.integration.cli.test_export_commands import CHANGES
from tests.support.ftp_hosts import files
from tests.support.gpg_keys import key_ring
from tests.support.ssh_hosts import make_key, odd_host, openssh

FEED = ["feeds", "add", "nightly", "--origin", "form", "--origin-id", "123", "--fields", "1,3"]
PINNED = "SHA256:" + "A" * 43


def to(host, folder: str = "in") -> list[str]:
    pinned = next(iter(host.host_keys.values()))
    return ["--sftp", f"sftp://{host.username}@127.0.0.1:{host.port}/{folder}", "--sftp-host-key", pinned]


def test_file_arrives_by_key_with_passphrase_compressed_and_encrypted(runner, monkeypatch, tmp_path):
    monkeypatch.setenv("SFTP_PASSPHRASE", "geheim")
    make_key(tmp_path / "key", "ed25519", "geheim")
    with key_ring() as gpg, openssh(tmp_path / "ssh") as host:
        (tmp_path / "ssh" / "authorized_keys").write_text((tmp_path / "key.pub").read_text())
        (tmp_path / "partner.asc").write_text(gpg.new_key("partner"))
        form = ["--compression", "gzip", "--openpgp-key", str(tmp_path / "partner.asc")]
        ended = runner.invoke(args=[*CHANGES, *to(host), "--sftp-key-file", str(tmp_path / "key"), *form, "--json"])
        assert ended.exit_code == 0, ended.stderr
        told = json.loads(ended.stdout)
        assert files(tmp_path / "ssh" / "inbox") == [f"in/{told['delivered']['file_name']}"]
        assert told["delivered"]["file_name"] == f"{told['file_name']}.gz.pgp"
        shown = runner.invoke(args=["export", "show", told["id"]]).stdout
    assert f"encryption: {told['encryption']['openpgp_fingerprint']}" in shown
    assert f"delivered: {told['file_name']}.gz.pgp, " in shown


def test_password_is_asked_for_and_not_repeated(runner, tmp_path):
    with odd_host(tmp_path / "odd") as host:
        ended = runner.invoke(args=[*CHANGES, *to(host, "")], input="geheim§1\n")
    assert ended.exit_code == 0, ended.stderr
    assert ended.stderr.startswith("SFTP password:")
    assert "geheim" not in ended.output


@pytest.mark.parametrize(
    "options,text",
    [
        (["--sftp", "sftp://a@h", "--ftp", "ftp://a@h"], "--ftp and --sftp exclude each other"),
        (["--sftp", "sftp://a@h", "--output", "x"], "--output and --sftp exclude each other"),
        (["--sftp", "h"], "sftp://user@host:port/folder expected"),
        (["--sftp", "sftp://a@sftp.example.com"], "Missing parameter: sftp_settings.host_key"),
        (["--sftp-host-key", PINNED], "--sftp-host-key is for --sftp only"),
        (["--compression", "gzip"], "Invalid value for compression: it is for ftp and sftp, not for local"),
        (
            ["--sftp", "sftp://a@h", "--sftp-host-key", PINNED, "--sftp-key-file", "/dev/null"],
            "Invalid value for --sftp-key-file: /dev/null: a private key in PEM or OpenSSH format expected",
        ),
        (
            ["--sftp", "sftp://a@h", "--sftp-host-key", PINNED, "--sftp-key-file", "/nowhere"],
            "Invalid value for --sftp-key-file: /nowhere: No such file or directory",
        ),
    ],
)
def test_wrong_options_are_refused(runner, monkeypatch, options: list[str], text: str):
    monkeypatch.setenv("SFTP_PASSWORD", "geheim")
    monkeypatch.setenv("FTP_PASSWORD", "geheim")
    ended = runner.invoke(args=[*CHANGES, *options])
    assert ended.exit_code == 2, ended.output
    assert text in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_export_in_error_is_retried_with_another_key(runner, monkeypatch, tmp_path):
    monkeypatch.setenv("SFTP_PASSWORD", "wrong")
    with openssh(tmp_path / "ssh") as host:
        runner.invoke(args=[*CHANGES, *to(host)])
        runner.invoke(args=["export", "cancel", "1"])
        monkeypatch.delenv("SFTP_PASSWORD")
        key = str(tmp_path / "ssh" / "user_key")
        again = runner.invoke(args=["export", "retry", "1", "--sftp-key-file", key, "--json"])
        assert again.exit_code == 0, again.stderr
        assert json.loads(again.stdout)["status"] in {"scheduled", "ready"}
        refused = runner.invoke(args=["export", "retry", "1", "--sftp-key-file", key])
        assert refused.exit_code == 2


def test_feed_by_sftp_keeps_its_key_until_it_gets_another(runner, monkeypatch, tmp_path: Path):
    with openssh(tmp_path / "ssh") as host:
        key = str(tmp_path / "ssh" / "user_key")
        added = runner.invoke(args=[*FEED, *to(host), "--sftp-key-file", key, "--compression", "gzip", "--json"])
        assert added.exit_code == 0, added.stderr
        told = json.loads(added.stdout)
        assert (told["distribution_method"], told["compression"], told["ftp_host"]) == ("sftp", "gzip", "127.0.0.1")
        assert "PRIVATE" not in added.stdout
        changed = runner.invoke(args=["feeds", "set", "nightly", "--delimiter", ";"])
        assert changed.exit_code == 0, changed.stderr
        ran = runner.invoke(args=["feeds", "run", "nightly", "--json"])
        assert ran.exit_code == 0, ran.stderr
        monkeypatch.setenv("SFTP_PASSWORD", "wrong")
        assert runner.invoke(args=["feeds", "set", "nightly", "--password"]).exit_code == 0
        failed = runner.invoke(args=["feeds", "run", "nightly"])
        assert "it does not accept the user with this password" in failed.stderr
        renewed = runner.invoke(args=["feeds", "set", "nightly", "--sftp-key-file", key])
        assert renewed.exit_code == 0, renewed.stderr
    assert len(files(tmp_path / "ssh" / "inbox")) == 2
