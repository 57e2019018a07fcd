"""SFTP hosts that fail, or behave in their own ways. Then there is one whole file or none, and the status is true."""

import os
import socket
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import paramiko
import pytest
from paramiko import SFTPAttributes, SFTPHandle

from contactexport.context import Context
from contactexport.delivery.host_traits import HostTrait, HostTraits
from contactexport.delivery.sftp import SftpDelivery
from contactexport.errors import DeliveryFailed, ExportLost
from contactexport.exports import cancel
from contactexport.exports import run as run_export
from contactexport.exports import store as export_store
from contactexport.exports.models import Export
from tests.support.exporting import PASSWORD, TESTER, contact_changed, execute, request, row_of, run
from tests.support.ftp_hosts import files
from tests.support.ssh_hosts import OddFolder, Silent, SshHost, Stingy, _Login, odd_host

FILE_BYTES = 5_000_000
PATIENT_SECONDS = 60.0


class TellsNothing(OddFolder):
    """A drop box: nothing in it can be looked at, and no file is replaced."""

    def stat(self, path: str) -> int:
        self.log.append(f"stat {path}")
        return paramiko.SFTP_PERMISSION_DENIED

    lstat = stat


class RenamesNothing(OddFolder):
    def rename(self, oldpath: str, newpath: str) -> int:
        self.log.append(f"rename {newpath}")
        return paramiko.SFTP_OP_UNSUPPORTED


class RefusesTemporaryNames(OddFolder):
    def open(self, path: str, flags: int, attr: SFTPAttributes) -> SFTPHandle | int:
        refused = not path.endswith(".csv")
        return paramiko.SFTP_PERMISSION_DENIED if refused else super().open(path, flags, attr)


class OverwritesNothing(OddFolder):
    def open(self, path: str, flags: int, attr: SFTPAttributes) -> SFTPHandle | int:
        return paramiko.SFTP_FAILURE if self.path(path).exists() else super().open(path, flags, attr)


class RefusesTemporaryNamesAndOverwritesNothing(RefusesTemporaryNames, OverwritesNothing):
    pass


class Archives(OddFolder):
    """Takes each file away when it is complete."""

    def handle(self, file, flags: int) -> SFTPHandle:
        root, name = self.root, Path(f"/proc/self/fd/{file.fileno()}").readlink()

        class Archived(SFTPHandle):
            def close(self) -> None:
                super().close()
                name.rename(root.with_name("archive") / name.name)

        handle = Archived(flags)
        handle.writefile = handle.readfile = file
        return handle


class DiskIsFull(OddFolder):
    def handle(self, file, flags: int) -> SFTPHandle:
        handle = Stingy(flags)
        handle.writefile = handle.readfile = file
        return handle


class NoRoomForTheLastByte(TellsNothing):
    """Only the answer to the last write tells it."""

    def handle(self, file, flags: int) -> SFTPHandle:
        handle = type("Full", (Stingy,), {"room": FILE_BYTES - 1})(flags)
        handle.writefile = handle.readfile = file
        return handle


class LastBytesAreLost(OddFolder):
    """Confirms every write, and has less in the end."""

    def stat(self, path: str) -> SFTPAttributes | int:
        found = super().stat(path)
        if isinstance(found, SFTPAttributes) and found.st_size > 1000:
            found.st_size -= 1000
        return found


class ReadOnly(OddFolder):
    def open(self, path: str, flags: int, attr: SFTPAttributes) -> int:
        return paramiko.SFTP_PERMISSION_DENIED

    def mkdir(self, path: str, attr: SFTPAttributes) -> int:
        return paramiko.SFTP_PERMISSION_DENIED


@pytest.fixture
def content(tmp_path: Path) -> Path:
    file = tmp_path / "content"
    file.write_bytes(os.urandom(FILE_BYTES))
    return file


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "archive").mkdir()
    return tmp_path / "inbox"


def delivery(host: SshHost, folder: str | None = None, timeout: float = 10, **others) -> SftpDelivery:
    return SftpDelivery(host.target(folder), "127.0.0.1", host.credentials, timeout=timeout, **others)


def upload(
    host: SshHost, content: Path, traits: HostTraits | None = None, attempt: int = 1, folder: str | None = None
) -> str:
    export = SimpleNamespace(file_name="x.csv", attempt=attempt, bytes=FILE_BYTES)
    with content.open("rb") as file:
        return delivery(host, folder, traits=traits or HostTraits()).deliver(export, file)


@pytest.mark.parametrize(
    "ways,learned",
    [
        (OddFolder, set()),
        (TellsNothing, {HostTrait.NO_SIZE}),
        (RenamesNothing, {HostTrait.NO_RENAME}),
        (RefusesTemporaryNames, {HostTrait.NO_TEMPORARY_NAME}),
        (RefusesTemporaryNamesAndOverwritesNothing, {HostTrait.NO_TEMPORARY_NAME}),
    ],
)
def test_host_with_its_own_ways_gets_the_file_again_and_again(inbox: Path, content: Path, ways, learned):
    traits = HostTraits()
    with odd_host(inbox, ways) as host:
        for attempt in (1, 2):
            upload(host, content, traits, attempt, "in/side")
            assert files(inbox) == ["in/side/x.csv"]
            assert (inbox / "in" / "side" / "x.csv").read_bytes() == content.read_bytes()
            assert traits.known == learned


def test_host_that_takes_files_away_gets_the_file(inbox: Path, content: Path):
    traits, archive = HostTraits(), inbox.with_name("archive")
    with odd_host(inbox, Archives) as host:
        assert upload(host, content, traits).startswith("taken away as x.csv.1.part: ")
        assert traits.known == {HostTrait.ARCHIVES, HostTrait.NO_SIZE}
        upload(host, content, traits)
    assert files(archive) == ["x.csv", "x.csv.1.part"]


@pytest.mark.parametrize(
    "ways,text,permanent",
    [
        (DiskIsFull, "SFTP host: write x.csv.1.part: failure, perhaps the disk is full", False),
        (NoRoomForTheLastByte, "SFTP host: write x.csv.1.part: failure, perhaps the disk is full", False),
        (LastBytesAreLost, f"The SFTP host has {FILE_BYTES - 1000} bytes of {FILE_BYTES}", False),
        (ReadOnly, "SFTP host: open x.csv: permission denied", True),
    ],
)
def test_failure_leaves_nothing_at_the_host(inbox: Path, content: Path, ways, text: str, permanent: bool):
    with odd_host(inbox, ways) as host:
        with pytest.raises(DeliveryFailed) as failed:
            upload(host, content)
        assert files(inbox) == []
    assert (failed.value.text, failed.value.permanent) == (text, permanent)


def test_folder_that_cannot_be_made_is_told(inbox: Path, content: Path):
    with odd_host(inbox, ReadOnly) as host, pytest.raises(DeliveryFailed) as failed:
        upload(host, content, folder="in/side")
    assert (failed.value.text, failed.value.permanent) == (
        "SFTP host: create the folder in/side: permission denied",
        True,
    )


class Stalled:
    """A delivery in a thread, to a host that falls silent while it gets the file."""

    def __init__(self, inbox: Path, content: Path, timeout: float) -> None:
        self.silenced, self.ended = threading.Event(), threading.Event()
        silent = type("TheSilent", (Silent,), {"silenced": self.silenced, "ended": self.ended})

        class FallsSilent(OddFolder):
            def handle(self, file, flags: int) -> SFTPHandle:
                handle = silent(flags)
                handle.writefile = handle.readfile = file
                return handle

        self.running = ExitStack()
        self.delivery = delivery(self.running.enter_context(odd_host(inbox, FallsSilent)), timeout=timeout)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._deliver, args=(content,))
        self.thread.start()

    def _deliver(self, content: Path) -> None:
        try:
            with content.open("rb") as file:
                self.delivery.deliver(SimpleNamespace(file_name="x.csv", attempt=1, bytes=FILE_BYTES), file)
        except (ExportLost, DeliveryFailed) as error:
            self.error = error

    def result(self) -> BaseException | None:
        self.thread.join(PATIENT_SECONDS / 3)
        assert not self.thread.is_alive()
        self.ended.set()
        self.running.close()
        return self.error


def test_host_that_falls_silent_is_given_up_at_its_timeout(inbox: Path, content: Path):
    stalled = Stalled(inbox, content, timeout=1)
    error = stalled.result()
    assert (error.text, error.permanent, files(inbox)) == ("SFTP host: timed out", False, [])


def test_abort_ends_a_stalled_upload_and_removes_it(inbox: Path, content: Path):
    stalled = Stalled(inbox, content, timeout=PATIENT_SECONDS)
    assert stalled.silenced.wait(PATIENT_SECONDS / 3)
    stalled.delivery.abort()
    assert isinstance(stalled.result(), ExportLost)
    assert files(inbox) == []


def test_host_that_never_speaks_is_given_up(content: Path):
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        host = SshHost(mute.getsockname()[1], "user", {"ecdsa": "SHA256:" + "A" * 43})
        with pytest.raises(DeliveryFailed) as failed, content.open("rb") as file:
            delivery(host, timeout=1).deliver(SimpleNamespace(file_name="x.csv", attempt=1, bytes=1), file)
    assert (failed.value.text, failed.value.permanent) == ("SFTP host: timed out", False)


def test_host_that_speaks_something_else_is_told(content: Path):
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        host = SshHost(other.getsockname()[1], "user", {"ecdsa": "SHA256:" + "A" * 43})

        def answer() -> None:
            for _ in range(2):
                with other.accept()[0] as connected:
                    connected.sendall(b"220 FTP ready\r\n" * 200)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(DeliveryFailed) as failed, content.open("rb") as file:
            delivery(host, timeout=2).deliver(SimpleNamespace(file_name="x.csv", attempt=1, bytes=1), file)
    assert failed.value.text.startswith("SFTP host: SSH failed: ")
    assert not failed.value.permanent


def exported(context: Context, host: SshHost, **changes) -> Export:
    contact_changed(context)
    return run(context, request(context, host.settings(**changes), host.credentials.to_text()))


def test_what_a_host_lacks_is_stored_and_used(context: Context, inbox: Path):
    with odd_host(inbox, RenamesNothing) as host:
        assert exported(context, host).status == "done"
        assert [row["trait"] for row in execute(context, "SELECT trait FROM ftp_host_trait")] == ["no_rename"]
        del host.connections[:]
        assert exported(context, host).status == "done"
        assert not [asked for asked in host.connections if asked.startswith("rename")]
    assert len(files(inbox)) == 2


def test_export_cancelled_before_the_rename_does_not_arrive(context: Context, inbox: Path):
    ids: list[int] = []

    class MeanwhileCancelled(OddFolder):
        def stat(self, path: str) -> SFTPAttributes | int:
            cancel.cancel(context, ids[0], TESTER)
            return super().stat(path)

    contact_changed(context)
    with odd_host(inbox, MeanwhileCancelled) as host:
        ids.append(request(context, host.settings(), host.credentials.to_text()))
        assert run_export.run(context, ids[0]) is None
    assert (files(inbox), row_of(context, ids[0])["error"]) == ([], "cancelled")


def end_connection(transport: paramiko.Transport) -> int:
    """An answer that arrives nowhere."""
    transport.sock.shutdown(socket.SHUT_RDWR)
    return paramiko.SFTP_OK


class LosesTheReply(OddFolder):
    """Renames the file, and the connection ends before it says so."""

    taken = False

    def rename(self, oldpath: str, newpath: str) -> int:
        super().rename(oldpath, newpath)
        if self.taken:
            self.path(newpath).rename(self.root.with_name("archive") / "taken")
        return end_connection(threading.current_thread().get_server().transport)


class LosesTheReplyAndTakesFilesAway(LosesTheReply):
    taken = True


class LosesTheRequest(OddFolder):
    """The connection ends before the host renames."""

    lost: bool = False

    def rename(self, oldpath: str, newpath: str) -> int:
        if not type(self).lost:
            type(self).lost = True
            return end_connection(threading.current_thread().get_server().transport)
        return super().rename(oldpath, newpath)


@pytest.mark.parametrize("ways", [LosesTheReply, LosesTheReplyAndTakesFilesAway, LosesTheRequest])
def test_file_whose_rename_is_not_confirmed_is_sent_once(inbox: Path, content: Path, ways):
    with odd_host(inbox, ways) as host:
        assert upload(host, content).startswith("renamed")
        assert len([asked for asked in host.connections if asked.startswith("open")]) == 1
    assert files(inbox) + files(inbox.with_name("archive")) == ["taken" if ways.__name__.endswith("Away") else "x.csv"]


def test_connection_that_ends_during_the_login_is_no_wrong_password(
    inbox: Path, content: Path, monkeypatch: pytest.MonkeyPatch
):
    def check_and_end(self: _Login, username: str, password: str) -> int:
        return end_connection(threading.current_thread())

    monkeypatch.setattr(_Login, "check_auth_password", check_and_end)
    with odd_host(inbox) as host, pytest.raises(DeliveryFailed) as failed:
        upload(host, content)
    assert (failed.value.text, failed.value.permanent) == ("SFTP host: connection lost during the login", False)


def test_words_of_a_host_are_stored_in_one_line(context: Context, inbox: Path, monkeypatch: pytest.MonkeyPatch):
    """Postgres does not store NUL."""
    monkeypatch.setattr(_Login, "check_auth_password", lambda *_: paramiko.AUTH_PARTIALLY_SUCCESSFUL)
    monkeypatch.setattr(_Login, "get_allowed_auths", lambda *_: f"a\x00b\nc {PASSWORD} {'x' * 5000}")
    with odd_host(inbox) as host:
        waiting = exported(context, host)
    assert waiting.error.startswith("SFTP host: it wants more than the password: a?b c *** xxx")
    assert (waiting.status, waiting.permanent_failures, len(waiting.error) < 300) == ("ready", 1, True)


@pytest.mark.parametrize("outcome", ["postpone_delivery", "mark_done", "mark_error"])
def test_whatever_is_told_can_be_stored(context: Context, inbox: Path, outcome: str):
    with odd_host(inbox, ReadOnly) as host:
        waiting = exported(context, host)
    reason = "a\x00\ud800\n" + "x" * 5000
    arguments = {
        "postpone_delivery": ((1, reason), {"permanent": False}),
        "mark_done": ((reason,), {}),
        "mark_error": ((reason,), {"reply": reason}),
    }
    with context.database.transaction() as conn:
        given, named = arguments[outcome]
        stored = getattr(export_store, outcome)(conn, waiting, *given, **named)
    assert stored.deliveries[-1]["reply"].startswith("a?? xxx")


def test_only_parts_of_the_last_attempts_are_looked_for(inbox: Path, content: Path):
    with odd_host(inbox) as host:
        upload(host, content, attempt=10_000)
        removed = [asked for asked in host.connections if asked.startswith("remove")]
    assert (len(removed), removed[0], removed[-1]) == (51, "remove x.csv.0.part", "remove x.csv.9999.part")
