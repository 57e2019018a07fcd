"""Delivery by FTP to real servers, good ones and faulty ones."""

import dataclasses
import json
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from exporting import (
    PASSWORD,
    backend_with,
    by_ftp,
    contact_changed,
    execute,
    make_due,
    request,
    row_of,
    run,
    seconds_until_due,
)
from ftp_hosts import files, refuse_to_overwrite, serving
from pyftpdlib.handlers import DTPHandler, FTPHandler

from contactexport.backend import Backend
from contactexport.embedded import ftp_server as embedded_server
from contactexport.errors import UsageError
from contactexport.models import FtpTarget
from contactexport.services import deliver_export


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def requested(backend: Backend, port: int, folder: str | None = "path/of/a/folder", **others: str) -> int:
    contact_changed(backend, first_name="Zoë")
    return request(backend, by_ftp(port, folder, **others))


def answers(reply: str) -> Callable[[FTPHandler, str], None]:
    """A command of the server that says this, whatever it is told."""
    return lambda handler, line: handler.respond(reply.format(line=line))


def told_by_us(caplog: pytest.LogCaptureFixture) -> str:
    return "".join(record.getMessage() for record in caplog.records if record.name.startswith("contactexport"))


def move_to_port(backend: Backend, port: int, folder: str | None) -> None:
    """The host of the waiting export answers again (in these tests, on another port)."""
    target = json.dumps({"ftp": dataclasses.asdict(FtpTarget("127.0.0.1", port, "user", folder))})
    execute(backend, "UPDATE export SET due_at = clock_timestamp(), settings = settings || %s::jsonb", (target,))


@pytest.fixture
def closed_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("folder", ["path/of/a/folder", "/absolute//twice/", "weiß/ŷ", "", None])
def test_the_file_arrives_whole_in_a_folder_made_on_the_way_and_leaves_the_storage(
    backend: Backend, inbox: Path, folder: str | None
):
    with serving(inbox) as (port, _told):
        done = run(backend, requested(backend, port, folder))
        again = run(backend, request(backend, by_ftp(port, folder)))
    path = "/".join(filter(None, (folder or "").split("/")))
    assert (done.status, again.status) == ("done", "done")
    assert files(inbox) == sorted(str(Path(path, one.file_name)) for one in (done, again))
    assert (inbox / path / done.file_name).read_bytes() == f"{1},Zoë,,2012-02-09 00:00:00\n".encode()
    assert list(backend.settings.storage_dir.glob("[!.]*")) == []


def test_the_demo_server_takes_an_export(backend: Backend, inbox: Path):
    inbox.mkdir()
    with embedded_server.running(inbox, "user", PASSWORD, 0) as port:
        assert run(backend, requested(backend, port)).status == "done"
        with pytest.raises(UsageError, match=f"No FTP server on port {port}: .*in use"):
            embedded_server.running(inbox, "user", PASSWORD, port).__enter__()
    assert len(files(inbox)) == 1


def test_while_the_host_is_down_the_export_stays_ready_and_is_tried_hourly_at_the_latest(
    backend: Backend, inbox: Path, closed_port: int
):
    export_id = requested(backend, closed_port)
    for attempt, seconds in enumerate((60, 300, 900, 3600, 3600), 1):
        waiting = run(backend, export_id)
        assert (waiting.status, waiting.delivery_attempts, waiting.run_attempts) == ("ready", attempt, 1)
        assert waiting.error == "FTP host: Connection refused"
        assert seconds - 10 < seconds_until_due(backend, export_id) <= seconds
        assert (backend.settings.storage_dir / waiting.file_name).stat().st_size == waiting.bytes
        make_due(backend, export_id)
    execute(backend, "UPDATE contact SET first_name = 'changed since'")
    with serving(inbox) as (port, _told):
        move_to_port(backend, port, None)
        done = run(backend, export_id)
    assert (done.status, done.error, done.sha256) == ("done", None, waiting.sha256)
    assert "Zoë" in (inbox / done.file_name).read_text()


def test_a_host_that_stays_down_is_given_up_after_the_limit(backend: Backend, closed_port: int):
    export_id = requested(backend, closed_port)
    assert run(backend, export_id).status == "ready"
    execute(backend, "UPDATE export SET ready_at = ready_at - interval '1 day'")
    make_due(backend, export_id)
    failed = run(backend, export_id)
    assert (failed.status, failed.error) == ("error", "FTP host: Connection refused")
    assert row_of(backend, export_id)["ftp_secret"] is None


def test_wrong_credentials_are_given_up_after_three_attempts(backend: Backend, inbox: Path, caplog):
    with serving(inbox, auth_failed_timeout=0) as (port, _told), caplog.at_level(logging.INFO):
        export_id = requested(backend, port, username="stranger")
        for status, seconds in (("ready", 60), ("ready", 300), ("error", None)):
            tried = run(backend, export_id)
            assert tried.status == status
            assert tried.error == "FTP host: 530 Authentication failed."
            if seconds:
                assert seconds - 10 < seconds_until_due(backend, export_id) <= seconds
                make_due(backend, export_id)
    assert PASSWORD not in told_by_us(caplog)


def test_a_server_that_repeats_the_password_does_not_give_it_away(backend: Backend, inbox: Path, caplog):
    with (
        serving(inbox, ftp_PASS=answers("500 'PASS {line}': command not understood")) as (port, _told),
        caplog.at_level(logging.DEBUG),
    ):
        waiting = run(backend, requested(backend, port))
    assert (waiting.status, waiting.error) == ("ready", "FTP host: 500 'PASS ***': command not understood")
    assert PASSWORD not in told_by_us(caplog)


class AnswersInLatin1(FTPHandler):
    """An old server whose answers are not UTF-8, though its names are."""

    def push(self, data: str) -> None:
        self.encoding = "latin-1"
        super().push(data.replace("ready", "Grüß Gott").replace("successful", "erfüllt"))
        self.encoding = "utf8"


def test_answers_that_are_no_utf8_do_no_harm(backend: Backend, inbox: Path):
    with serving(inbox, AnswersInLatin1, banner="ready") as (port, _told):
        assert run(backend, requested(backend, port, "weiß")).status == "done"
    assert len(files(inbox / "weiß")) == 1


@pytest.mark.parametrize("rename", [FTPHandler.ftp_RNTO, refuse_to_overwrite])
def test_a_file_left_by_an_attempt_that_died_after_its_rename_is_replaced(backend: Backend, inbox: Path, rename):
    with serving(inbox, ftp_RNTO=rename) as (port, _told):
        export_id = requested(backend, port, None)
        name = row_of(backend, export_id)["file_name"]
        (inbox / name).write_text("an earlier attempt's file")
        done = run(backend, export_id)
    assert (done.status, files(inbox)) == ("done", [name])
    assert (inbox / name).stat().st_size == done.bytes


def test_a_refused_rename_tells_its_own_reason(backend: Backend, inbox: Path):
    class KnowsPartsOnly(FTPHandler):
        def ftp_STOR(self, file: str, mode: str = "w") -> None:
            if file.endswith(".part"):
                return super().ftp_STOR(file, mode)
            return self.respond("553 Name not allowed.")

    with serving(inbox, KnowsPartsOnly, ftp_RNTO=answers("553 Name not allowed.")) as (port, _told):
        waiting = run(backend, requested(backend, port))
    assert (waiting.status, waiting.error) == ("ready", "FTP host: 553 Name not allowed.")


class DropsTheDataConnection(DTPHandler):
    def handle_read(self) -> None:
        self.recv(1000)
        self.cmd_channel.close()
        self.close()

    handle_read_event = handle_read


class ClosesItsDataHalfway(DTPHandler):
    def handle_read(self) -> None:
        self.recv(1000)
        self.close()
        self.cmd_channel.respond("426 Connection closed; transfer aborted.")

    handle_read_event = handle_read


@pytest.mark.parametrize("data_handler", [DropsTheDataConnection, ClosesItsDataHalfway])
def test_an_upload_that_breaks_off_is_done_again_and_leaves_no_part(backend: Backend, inbox: Path, data_handler):
    execute(
        backend,
        "INSERT INTO contact (origin_kind, origin_id, first_name)"
        " SELECT 'form', 123, repeat('x', 999) FROM generate_series(1, 3000)",
    )
    execute(backend, "UPDATE contact_change SET changed_at = '2012-03-01'")
    with serving(inbox, dtp_handler=data_handler) as (port, _told):
        export_id = request(backend, by_ftp(port, "in"))
        waiting = run(backend, export_id)
    assert waiting.status == "ready"
    assert waiting.error.startswith("FTP host: ")
    assert files(inbox) == []
    assert [path.name for path in backend.settings.storage_dir.glob("[!.]*")] == [waiting.file_name]
    with serving(inbox) as (port, _told):
        move_to_port(backend, port, "in")
        done = run(backend, export_id)
    assert (done.status, done.attempt) == ("done", 2)
    assert files(inbox) == [f"in/{done.file_name}"]
    assert (inbox / "in" / done.file_name).stat().st_size == done.bytes > 3_000_000


def test_a_file_that_arrived_short_is_not_renamed(backend: Backend, inbox: Path):
    with serving(inbox, ftp_SIZE=answers("213 5")) as (port, _told):
        waiting = run(backend, requested(backend, port, None))
    assert (waiting.status, waiting.error) == ("ready", f"The FTP host has 5 bytes of {waiting.bytes}")
    assert files(inbox) == []


def test_an_answer_that_cannot_be_understood_is_tried_again_later(backend: Backend, inbox: Path):
    with serving(inbox, ftp_SIZE=answers("213 many")) as (port, _told):
        waiting = run(backend, requested(backend, port))
    assert (waiting.status, waiting.error) == (
        "ready",
        "FTP host: its answer to SIZE cannot be understood: 213 many",
    )


def test_a_folder_that_cannot_be_made_or_entered_is_given_up_after_three_attempts(backend: Backend, inbox: Path):
    refused = answers("550 Permission denied.")
    with serving(inbox, ftp_CWD=refused, ftp_MKD=refused) as (port, _told):
        export_id = requested(backend, port)
        statuses = []
        for _ in range(3):
            statuses.append(run(backend, export_id).status)
            if statuses[-1] == "ready":
                make_due(backend, export_id)
    assert statuses == ["ready", "ready", "error"]
    assert row_of(backend, export_id)["error"] == "FTP host: 550 Permission denied."


def test_a_server_that_hangs_up_instead_of_saying_goodbye_has_got_the_file(backend: Backend, inbox: Path):
    with serving(inbox, ftp_QUIT=lambda handler, _line: handler.close()) as (port, _told):
        assert run(backend, requested(backend, port)).status == "done"


def test_a_host_that_accepts_and_says_nothing_is_given_up_after_the_timeout(backend: Backend):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        impatient = backend_with(backend, ftp_timeout=0.2)
        waiting = run(impatient, requested(backend, silent.getsockname()[1]))
    assert (waiting.status, waiting.error) == ("ready", "FTP host: timed out")


def test_a_host_that_hangs_up_at_once_is_tried_again(backend: Backend):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        waiting = run(backend, requested(backend, server.getsockname()[1]))
        thread.join()
    assert waiting.status == "ready"
    assert waiting.error in {"FTP host: connection closed", "FTP host: Connection reset by peer"}


def test_a_key_that_was_lost_keeps_the_export_ready_until_it_is_back(backend: Backend, inbox: Path):
    with serving(inbox) as (port, _told):
        export_id = requested(backend, port)
        waiting = run(backend_with(backend, secret_key="another"), export_id)
        assert waiting.status == "ready"
        assert "CONTACTEXPORT_SECRET_KEY was changed or lost" in waiting.error
        make_due(backend, export_id)
        execute(backend, "UPDATE installation SET key_fingerprint = NULL")  # it was the first that anybody came with
        assert run(backend, export_id).status == "done"


def test_a_finished_file_that_vanished_is_a_permanent_failure(backend: Backend, closed_port: int):
    export_id = requested(backend, closed_port)
    deliver_export.stored_file(backend, run(backend, export_id)).unlink()
    for status in ("ready", "ready", "error"):
        make_due(backend, export_id)
        tried = run(backend, export_id)
        assert (tried.status, tried.error) == (status, "The finished file is not in the storage folder any more")


def test_a_host_that_is_not_public_is_refused(backend: Backend):
    guarded = backend_with(backend, allowed_hosts=())
    waiting = run(guarded, requested(backend, 21))
    assert (waiting.status, waiting.error) == ("ready", "Host 127.0.0.1 is not on the public internet")
