"""Requests for SFTP, compression and encryption, from the request to the status."""

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from contactexport.context import Context
from contactexport.delivery import openpgp
from contactexport.delivery.sftp_credentials import SftpCredentials
from contactexport.exports import store
from contactexport.exports.models import SftpTarget
from contactexport.feeds import store as feed_store
from tests.support.exporting import REQUIRED_ONLY, TESTER, row_of
from tests.support.gpg_keys import Gpg, key_ring
from tests.support.ssh_hosts import make_key

GETCHANGES = "/api/v2/contact/getchanges"
PINNED = "SHA256:" + "A" * 43
TARGET = {"host": "sftp.example.com", "username": "user", "host_key": PINNED, "folder": "in"}
BODY = REQUIRED_ONLY | {"distribution_method": "sftp"}


@pytest.fixture(scope="module")
def gpg():
    with key_ring() as ring:
        ring.new_key("receiver")
        yield ring


def test_request_is_stored_with_its_secrets_encrypted(api: FlaskClient, context: Context, tmp_path: Path, gpg: Gpg):
    key = make_key(tmp_path / "key", "ed25519", "geheim")
    body = BODY | {
        "sftp_settings": TARGET | {"private_key": key, "passphrase": "geheim", "port": "2022"},
        "compression": "gzip",
        "encryption": {"openpgp_key": gpg.public("receiver")},
    }
    answer = api.post(GETCHANGES, json=body)
    assert answer.status_code == 200, answer.json
    export_id = answer.json["data"]["id"]
    with context.database.transaction() as conn:
        export = store.get(conn, export_id)
    assert export.settings.sftp == SftpTarget("sftp.example.com", 2022, "user", PINNED, "in")
    assert export.settings.distribution_method == "sftp"
    assert openpgp.read_certificate(export.settings.openpgp_key) == export.settings.openpgp_key
    credentials = SftpCredentials.from_text(context.secrets.decrypt(export.ftp_secret))
    assert credentials.private_key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert "geheim" not in credentials.to_text()
    row = row_of(context, export_id)
    row["settings"] = json.dumps(row["settings"])
    assert not [value for value in row.values() if "PRIVATE" in str(value)]
    status = api.get(f"/api/v2/export/{export_id}").json["data"]
    assert (status["ftp_host"], status["compression"], "delivered" in status) == ("sftp.example.com", "gzip", False)
    assert set(status["encryption"]) == {"openpgp_fingerprint"}
    assert "BEGIN" not in json.dumps(status)
    again = api.post(GETCHANGES, json=body | {"sftp_settings": TARGET | {"password": "x", "port": 2022}})
    assert again.json["replyCode"] == 4001
    other = api.post(GETCHANGES, json={**body, "compression": None})
    assert other.json["replyCode"] == 0


@pytest.mark.parametrize(
    "passphrase,text",
    [(None, "the key needs its passphrase"), ("wrong", "the key cannot be read with it")],
)
def test_wrong_passphrase_is_refused_at_once(api: FlaskClient, tmp_path: Path, passphrase: str | None, text: str):
    key = make_key(tmp_path / "key", "ed25519", "geheim")
    target = TARGET | {"private_key": key, "passphrase": passphrase}
    answer = api.post(GETCHANGES, json=BODY | {"sftp_settings": target})
    assert (answer.status_code, answer.json["replyText"]) == (
        400,
        f"Invalid value for sftp_settings.passphrase: ***: {text}",
    )


@pytest.mark.parametrize(
    "name,usage,text",
    [
        ("signer", ("ed25519", "sign"), "it has no subkey that can encrypt now"),
        ("old", ("default", "default", "seconds=1"), "it has expired: "),
        ("two", (), "2 keys are in it, and one is expected"),
        ("private", (), "it is a private key, which must not be sent: export the public key"),
    ],
)
def test_key_that_cannot_encrypt_is_refused_at_once(api: FlaskClient, gpg: Gpg, name: str, usage, text: str):
    key = gpg.new_key(name, *usage)
    if name == "two":
        key = gpg("--armor", "--export", "two@example.com", "receiver@example.com").decode()
    if name == "private":
        key = gpg.private(name)
    body = BODY | {"sftp_settings": TARGET | {"password": "x"}, "encryption": {"openpgp_key": key}}
    for _ in range(100):  # until it has expired
        answer = api.post(GETCHANGES, json=body)
        if answer.status_code == 400:
            break
    assert answer.json["replyText"].startswith(f"Invalid value for encryption.openpgp_key: ***: {text}")


def test_feed_by_sftp_keeps_its_secret_until_it_is_given_again(api: FlaskClient, context: Context):
    body = {name: value for name, value in BODY.items() if name != "time_range"}
    added = api.post("/api/v2/feed", json=body | {"name": "nightly", "sftp_settings": TARGET | {"password": "first"}})
    assert added.status_code == 200, added.json
    assert "first" not in added.text
    for change, secret in (
        ({"compression": "gzip"}, "first"),
        ({"sftp_settings": TARGET | {"password": "second"}}, "second"),
    ):
        assert api.patch("/api/v2/feed/nightly", json=change).json["replyCode"] == 0
        with context.database.transaction() as conn:
            (feed,) = feed_store.visible(conn, TESTER, None)
        assert feed.settings.compression == "gzip"
        assert SftpCredentials.from_text(context.secrets.decrypt(feed.ftp_secret)).password == secret
    moved = api.patch("/api/v2/feed/nightly", json={"distribution_method": "local", "compression": None})
    assert (moved.json["data"]["distribution_method"], moved.json["data"]["ftp_host"]) == ("local", None)
    pulled = api.get("/api/v2/feed/nightly/next")
    assert pulled.status_code == 204
