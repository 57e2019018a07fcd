"""Files that are compressed and encrypted for their host, by FTP and SFTP, and what status and manifest say of them."""

import gzip
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner
from pyftpdlib.handlers import FTPHandler

from contactexport.cli.verify import verify as verify_command
from contactexport.context import Context
from contactexport.delivery import openpgp
from contactexport.delivery.encoding import encoded
from contactexport.errors import DeliveryFailed, ExportLost
from contactexport.exports import status as export_status
from contactexport.exports.models import Export
from contactexport.manifests import store as manifests
from tests.support.exporting import TESTER, by_ftp, contact_changed, make_due, request, row_of, run, settings_for
from tests.support.feeds import add_feed, run_feed
from tests.support.ftp_hosts import files, many_changed, serving
from tests.support.gpg_keys import Gpg, key_ring
from tests.support.ssh_hosts import odd_host


@pytest.fixture(scope="module")
def gpg() -> Iterator[Gpg]:
    with key_ring() as ring:
        ring.new_key("receiver")
        yield ring


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def test_compressed_file_arrives_by_ftp(context: Context, inbox: Path):
    many_changed(context)
    with serving(inbox) as (port, _told):
        done = run(context, request(context, replace(by_ftp(port, "in"), compression="gzip")))
    assert (done.status, done.error) == ("done", None)
    assert files(inbox) == [f"in/{done.file_name}.gz"]
    arrived = (inbox / "in" / f"{done.file_name}.gz").read_bytes()
    plain = gzip.decompress(arrived)
    assert (len(plain), hashlib.sha256(plain).hexdigest()) == (done.bytes, done.sha256)
    assert len(arrived) < len(plain)
    status = export_status.status(context, done.id, TESTER)
    assert status["compression"] == "gzip"
    assert status["file_name"] == done.file_name
    assert status["delivered"] == {
        "file_name": f"{done.file_name}.gz",
        "bytes": len(arrived),
        "sha256": hashlib.sha256(arrived).hexdigest(),
    }
    assert "encryption" not in status


@pytest.mark.parametrize("compression,suffix", [(None, ".pgp"), ("gzip", ".gz.pgp")])
def test_encrypted_file_arrives_by_sftp_and_gpg_reads_it(
    context: Context, inbox: Path, gpg: Gpg, compression: str | None, suffix: str
):
    many_changed(context)
    key = gpg.public("receiver")
    with odd_host(inbox) as host:
        settings = host.settings(openpgp_key=key, compression=compression)
        done = run(context, request(context, settings, host.credentials.to_text()))
    assert (done.status, done.error, files(inbox)) == ("done", None, [done.file_name + suffix])
    arrived = (inbox / (done.file_name + suffix)).read_bytes()
    packed = gpg.decrypted(arrived)
    plain = gzip.decompress(packed) if compression else packed
    assert hashlib.sha256(plain).hexdigest() == done.sha256
    status = export_status.status(context, done.id, TESTER)
    assert status["delivered"]["sha256"] == hashlib.sha256(arrived).hexdigest()
    assert status["encryption"]["openpgp_fingerprint"] in gpg("--with-colons", "--fingerprint").decode()
    assert "PGP" not in json.dumps(status)


def test_single_export_has_both_hashes_in_its_manifest(context: Context, inbox: Path):
    contact_changed(context)
    with odd_host(inbox) as host:
        done = run(context, request(context, host.settings(compression="gzip"), host.credentials.to_text()))
    with context.database.transaction() as conn:
        manifest = json.loads(manifests.signed_on_request(context, conn, done, done.created_at))
    assert manifest["sha256"] == done.sha256
    assert manifest["delivered"] == export_status.status(context, done.id, TESTER)["delivered"]


def test_same_file_is_compressed_to_the_same_bytes(tmp_path: Path):
    (source := tmp_path / "x.csv").write_bytes(b"1,Zo\n" * 1000)
    made = []
    for name in ("x.csv", "y.csv"):
        export = SimpleNamespace(file_name=name, settings=settings_for(compression="gzip"))
        with source.open("rb") as file, encoded(export, file, tmp_path, lambda: None) as (content, _form):
            made.append(content.read())
    assert made[0] == made[1]


def test_nothing_is_left_of_a_form_that_nobody_wants(tmp_path: Path, gpg: Gpg):
    (source := tmp_path / "x.csv").write_bytes(os.urandom(3_000_000))
    export = SimpleNamespace(file_name="x.csv", settings=settings_for(openpgp_key=gpg.public("receiver")))
    calls, others = [], set(psutil.Process().children())

    def require_wanted() -> None:
        calls.append(1)
        if len(calls) > 3:
            raise ExportLost("cancelled")

    with source.open("rb") as file, pytest.raises(ExportLost), encoded(export, file, tmp_path, require_wanted):
        pass
    assert files(tmp_path) == ["x.csv"]
    assert set(psutil.Process().children()) <= others


def test_full_disk_and_killed_process_are_no_fault_of_the_key(
    tmp_path: Path, gpg: Gpg, monkeypatch: pytest.MonkeyPatch
):
    (source := tmp_path / "x.csv").write_bytes(os.urandom(3_000_000))
    export = SimpleNamespace(file_name="x.csv", settings=settings_for(openpgp_key=gpg.public("receiver")))
    killing = openpgp.ENCRYPT.replace("try:", "import os\nos.kill(os.getpid(), signal.SIGKILL)\ntry:", 1)
    limiting = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n" + openpgp.ENCRYPT
    for script, told in ((killing, "ended with -9"), (limiting, "os error 27")):
        monkeypatch.setattr(openpgp, "ENCRYPT", script)
        with (
            source.open("rb") as file,
            pytest.raises(DeliveryFailed, match=told) as failed,
            encoded(export, file, tmp_path, lambda: None),
        ):
            pass
        assert not failed.value.permanent


def test_signal_to_all_processes_of_a_service_does_not_end_the_encryption(
    tmp_path: Path, gpg: Gpg, monkeypatch: pytest.MonkeyPatch
):
    """systemd sends it to each of them."""
    (source := tmp_path / "x.csv").write_bytes(os.urandom(3_000_000))
    export = SimpleNamespace(file_name="x.csv", settings=settings_for(openpgp_key=gpg.public("receiver")))
    told = openpgp.ENCRYPT.replace("try:", "import os\nos.kill(os.getpid(), signal.SIGTERM)\ntry:", 1)
    monkeypatch.setattr(openpgp, "ENCRYPT", told)
    with source.open("rb") as file, encoded(export, file, tmp_path, lambda: None) as (made, form):
        assert len(made.read()) == form.bytes > 3_000_000


def test_key_that_has_expired_since_is_told(context: Context, inbox: Path, gpg: Gpg):
    contact_changed(context)
    key = gpg.new_key("signer", "ed25519", "sign")
    with odd_host(inbox) as host:
        waiting = run(context, request(context, host.settings(openpgp_key=key), host.credentials.to_text()))
    assert waiting.error.startswith("The file cannot be encrypted: No suitable encryption subkey")
    assert (waiting.status, waiting.permanent_failures, files(inbox)) == ("ready", 1, [])


class RefusesManifests(FTPHandler):
    def ftp_STOR(self, file: str, mode: str = "w") -> None:
        if ".json" in file:
            self.respond("452 Disk full.")
        else:
            super().ftp_STOR(file, mode)


def verified(context: Context, folder: Path, *options: str) -> tuple[int, str]:
    keys = folder.with_name("keys.json")
    keys.write_text(json.dumps(manifests.public_key_set(context)))
    done = CliRunner().invoke(verify_command, [str(folder), "--key", str(keys), *options])
    return done.exit_code, done.output


def delivered_feed(context: Context, inbox: Path, runs: int = 2, **form: str) -> list[Export]:
    with odd_host(inbox) as host:
        feed = add_feed(
            context, password=host.credentials.to_text(), distribution_method="sftp", sftp=host.target(), **form
        )
        done = []
        for _ in range(runs):
            contact_changed(context)
            done.append(run_feed(context, feed))
    return done


def test_folder_of_compressed_files_is_proved(context: Context, inbox: Path):
    first, second = delivered_feed(context, inbox, compression="gzip")
    names = [f"{one.file_name}.gz" for one in (first, second)]
    assert files(inbox) == sorted(name + end for name in names for end in ("", ".json"))
    code, told = verified(context, inbox)
    assert (code, told.splitlines()[-1].startswith("ok: 2 files, ")) == (0, True)
    plain = gzip.decompress((inbox / names[0]).read_bytes())
    (inbox / first.file_name).write_bytes(plain)  # as `gunzip --keep` leaves it
    assert verified(context, inbox)[0] == 0
    (inbox / first.file_name).write_bytes(plain[:-1] + b"?")
    assert verified(context, inbox) == (
        1,
        f"{first.file_name}: has another content than its manifest says (SHA-256)\n",
    )
    (inbox / first.file_name).unlink()
    (inbox / names[1]).write_bytes((inbox / names[0]).read_bytes())
    code, told = verified(context, inbox)
    assert code == 1
    assert told.startswith(f"{names[1]}: has ")


def test_folder_of_encrypted_files_is_proved_as_delivered(context: Context, inbox: Path, gpg: Gpg):
    (only,) = delivered_feed(context, inbox, 1, compression="gzip", openpgp_key=gpg.public("receiver"))
    name = f"{only.file_name}.gz.pgp"
    assert files(inbox) == [name, f"{name}.json"]
    code, told = verified(context, inbox)
    assert code == 0
    assert told.endswith(", 1 of them encrypted and compared as delivered only\n")
    packed = gpg.decrypted((inbox / name).read_bytes())
    (inbox / name.removesuffix(".pgp")).write_bytes(packed)
    code, told = verified(context, inbox)
    assert (code, "encrypted" in told) == (0, False)
    (inbox / name.removesuffix(".pgp")).write_bytes(packed[:-9])
    assert verified(context, inbox) == (1, f"{name.removesuffix('.pgp')}: is no whole gzip file\n")


def test_manifest_tells_the_form_of_the_attempt_that_is_done(context: Context, inbox: Path, gpg: Gpg):
    key = gpg.public("receiver")
    with serving(inbox, RefusesManifests) as (port, _told):
        settings = by_ftp(port, None)
        feed = add_feed(context, password="geheim§1", distribution_method="ftp", ftp=settings.ftp, openpgp_key=key)
        contact_changed(context)
        waiting = run_feed(context, feed)
        assert (waiting.status, waiting.delivered) == ("ready", None)
        first = (inbox / f"{waiting.file_name}.pgp").read_bytes()
        make_due(context, waiting.id)
        RefusesManifests.ftp_STOR = FTPHandler.ftp_STOR
        done = run(context, waiting.id)
    assert (done.status, done.error) == ("done", None)
    second = (inbox / f"{done.file_name}.pgp").read_bytes()
    assert first != second
    assert gpg.decrypted(first) == gpg.decrypted(second)
    assert row_of(context, done.id)["delivered"]["sha256"] == hashlib.sha256(second).hexdigest()
    assert verified(context, inbox)[0] == 0


@pytest.mark.slow  # it encrypts 60 MB
def test_memory_stays_flat_while_a_file_is_encrypted(tmp_path: Path, gpg: Gpg):
    class Long:
        left = 240

        def read(self, size: int) -> bytes:
            self.left -= 1
            return os.urandom(size) if self.left >= 0 else b""

    this, most, ended = psutil.Process(), [0, 0], threading.Event()
    before, others = this.memory_info().rss, set(this.children())

    def watch() -> None:
        while not ended.wait(0.01):
            most[0] = max(most[0], this.memory_info().rss)
            for child in set(this.children()) - others:
                try:
                    most[1] = max(most[1], child.memory_full_info().uss)  # a fork has the memory of its parent
                except psutil.Error:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    form = settings_for(openpgp_key=gpg.public("receiver"), compression="gzip")
    with encoded(SimpleNamespace(file_name="x", settings=form), Long(), tmp_path, lambda: None) as (_content, made):
        ended.set()
    watcher.join()
    assert made.bytes > 60_000_000
    assert most[0] - before < 30_000_000
    assert most[1] < 60_000_000
