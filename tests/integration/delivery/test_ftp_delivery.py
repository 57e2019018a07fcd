"""Delivery by FTP to real servers, good and faulty ones."""

import dataclasses
import json
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from pyftpdlib.handlers import DTPHandler, FTPHandler

from contactexport.context import Context
from contactexport.embedded import ftp_server as embedded_server
from contactexport.errors import UsageError
from contactexport.exports import deliver
from contactexport.exports.models import FtpTarget
from tests.support.exporting import (
    PASSWORD,
    by_ftp,
    contact_changed,
    context_with,
    execute,
    make_due,
    request,
    row_of,
    run,
    seconds_until_due,
)
from tests.support.ftp_hosts import files, refuse_to_overwrite, serving


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def requested(context: Context, port: int, folder: str | None = "path/of/a/folder", **others: str) -> int:
    contact_changed(context, first_name="Zoë")
    return request(context, by_ftp(port, folder, **others))


def answers(reply: str) -> Callable[[FTPHandler, str], None]:
    """Returns a command that always replies this."""
    return lambda handler, line: handler.respond(reply.format(line=line))


def told_by_us(caplog: pytest.LogCaptureFixture) -> str:
    return "".join(record.getMessage() for record in caplog.records if record.name.startswith("contactexport"))


def move_to_port(context: Context, port: int, folder: str | None) -> None:
    """Makes the host of the waiting export answer again, in these tests on another port."""
    target = json.dumps({"ftp": dataclasses.asdict(FtpTarget("127.0.0.1", port, "user", folder))})
    execute(context, "UPDATE export SET due_at = clock_timestamp(), settings = settings || %s::jsonb", (target,))


@pytest.fixture
def closed_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("folder", ["path/of/a/folder", "/absolute//twice/", "weiß/ŷ", "", None])
def test_file_arrives_whole_in_created_folder_and_leaves_storage(context: Context, inbox: Path, folder: str | None):
    with serving(inbox) as (port, _told):
        done = run(context, requested(context, port, folder))
        again = run(context, request(context, by_ftp(port, folder)))
    path = "/".join(filter(None, (folder or "").split("/")))
    assert (done.status, again.status) == ("done", "done")
    assert files(inbox) == sorted(str(Path(path, one.file_name)) for one in (done, again))
    assert (inbox / path / done.file_name).read_bytes() == f"{1},Zoë,,2012-02-09 00:00:00\n".encode()
    assert list(context.settings.storage_dir.glob("[!.]*")) == []


def test_demo_server_gets_export(context: Context, inbox: Path):
    inbox.mkdir()
    with embedded_server.running(inbox, "user", PASSWORD, 0) as port:
        assert run(context, requested(context, port)).status == "done"
        with pytest.raises(UsageError, match=f"No FTP server on port {port}: .*in use"):
            embedded_server.running(inbox, "user", PASSWORD, port).__enter__()
    assert len(files(inbox)) == 1


def test_export_stays_ready_and_is_retried_hourly_while_host_is_down(context: Context, inbox: Path, closed_port: int):
    export_id = requested(context, closed_port)
    for attempt, seconds in enumerate((60, 300, 900, 3600, 3600), 1):
        waiting = run(context, export_id)
        assert (waiting.status, waiting.delivery_attempts, waiting.run_attempts) == ("ready", attempt, 1)
        assert waiting.error == "FTP host: Connection refused"
        assert seconds - 10 < seconds_until_due(context, export_id) <= seconds
        assert (context.settings.storage_dir / waiting.file_name).stat().st_size == waiting.bytes
        make_due(context, export_id)
    execute(context, "UPDATE contact SET first_name = 'changed since'")
    with serving(inbox) as (port, _told):
        move_to_port(context, port, None)
        done = run(context, export_id)
    assert (done.status, done.error, done.sha256) == ("done", None, waiting.sha256)
    assert "Zoë" in (inbox / done.file_name).read_text()


def test_host_that_stays_down_is_given_up_after_limit(context: Context, closed_port: int):
    export_id = requested(context, closed_port)
    assert run(context, export_id).status == "ready"
    execute(context, "UPDATE export SET ready_at = ready_at - interval '1 day'")
    make_due(context, export_id)
    failed = run(context, export_id)
    assert (failed.status, failed.error) == ("error", "FTP host: Connection refused")
    assert row_of(context, export_id)["ftp_secret"] is None


def test_wrong_credentials_are_given_up_after_three_attempts(context: Context, inbox: Path, caplog):
    with serving(inbox, auth_failed_timeout=0) as (port, _told), caplog.at_level(logging.INFO):
        export_id = requested(context, port, username="stranger")
        for status, seconds in (("ready", 60), ("ready", 300), ("error", None)):
            tried = run(context, export_id)
            assert tried.status == status
            assert tried.error == "FTP host: 530 Authentication failed."
            if seconds:
                assert seconds - 10 < seconds_until_due(context, export_id) <= seconds
                make_due(context, export_id)
    assert PASSWORD not in told_by_us(caplog)


def test_password_repeated_by_server_is_masked(context: Context, inbox: Path, caplog):
    with (
        serving(inbox, ftp_PASS=answers("500 'PASS {line}': command not understood")) as (port, _told),
        caplog.at_level(logging.DEBUG),
    ):
        waiting = run(context, requested(context, port))
    assert (waiting.status, waiting.error) == ("ready", "FTP host: 500 'PASS ***': command not understood")
    assert PASSWORD not in told_by_us(caplog)


class AnswersInLatin1(FTPHandler):
    """An old server. Its names are UTF-8, but its replies are not."""

    def push(self, data: str) -> None:
        self.encoding = "latin-1"
        super().push(data.replace("ready", "Grüß Gott").replace("successful", "erfüllt"))
        self.encoding = "utf8"


def test_replies_that_are_not_utf8_do_no_harm(context: Context, inbox: Path):
    with serving(inbox, AnswersInLatin1, banner="ready") as (port, _told):
        assert run(context, requested(context, port, "weiß")).status == "done"
    assert len(files(inbox / "weiß")) == 1


@pytest.mark.parametrize("rename", [FTPHandler.ftp_RNTO, refuse_to_overwrite])
def test_file_of_attempt_that_died_after_rename_is_replaced(context: Context, inbox: Path, rename):
    with serving(inbox, ftp_RNTO=rename) as (port, _told):
        export_id = requested(context, port, None)
        name = row_of(context, export_id)["file_name"]
        (inbox / name).write_text("an earlier attempt's file")
        done = run(context, export_id)
    assert (done.status, files(inbox)) == ("done", [name])
    assert (inbox / name).stat().st_size == done.bytes


def test_refused_rename_is_reported_with_its_reason(context: Context, inbox: Path):
    class KnowsPartsOnly(FTPHandler):
        def ftp_STOR(self, file: str, mode: str = "w") -> None:
            if file.endswith(".part"):
                return super().ftp_STOR(file, mode)
            return self.respond("553 Name not allowed.")

    with serving(inbox, KnowsPartsOnly, ftp_RNTO=answers("553 Name not allowed.")) as (port, _told):
        waiting = run(context, requested(context, port))
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
def test_broken_upload_is_retried_and_leaves_no_part(context: Context, inbox: Path, data_handler):
    execute(
        context,
        "INSERT INTO contact (origin_kind, origin_id, first_name)"
        " SELECT 'form', 123, repeat('x', 999) FROM generate_series(1, 3000)",
    )
    execute(context, "UPDATE contact_change SET changed_at = '2012-03-01'")
    with serving(inbox, dtp_handler=data_handler) as (port, _told):
        export_id = request(context, by_ftp(port, "in"))
        waiting = run(context, export_id)
    assert waiting.status == "ready"
    assert waiting.error.startswith("FTP host: ")
    assert files(inbox) == []
    assert [path.name for path in context.settings.storage_dir.glob("[!.]*")] == [waiting.file_name]
    with serving(inbox) as (port, _told):
        move_to_port(context, port, "in")
        done = run(context, export_id)
    assert (done.status, done.attempt) == ("done", 2)
    assert files(inbox) == [f"in/{done.file_name}"]
    assert (inbox / "in" / done.file_name).stat().st_size == done.bytes > 3_000_000


def test_short_file_is_not_renamed(context: Context, inbox: Path):
    with serving(inbox, ftp_SIZE=answers("213 5")) as (port, _told):
        waiting = run(context, requested(context, port, None))
    assert (waiting.status, waiting.error) == ("ready", f"The FTP host has 5 bytes of {waiting.bytes}")
    assert files(inbox) == []


def test_malformed_reply_is_retried(context: Context, inbox: Path):
    with serving(inbox, ftp_SIZE=answers("213 many")) as (port, _told):
        waiting = run(context, requested(context, port))
    assert (waiting.status, waiting.error) == (
        "ready",
        "FTP host: its answer to SIZE cannot be understood: 213 many",
    )


def test_impossible_folder_is_given_up_after_three_attempts(context: Context, inbox: Path):
    refused = answers("550 Permission denied.")
    with serving(inbox, ftp_CWD=refused, ftp_MKD=refused) as (port, _told):
        export_id = requested(context, port)
        statuses = []
        for _ in range(3):
            statuses.append(run(context, export_id).status)
            if statuses[-1] == "ready":
                make_due(context, export_id)
    assert statuses == ["ready", "ready", "error"]
    assert row_of(context, export_id)["error"] == "FTP host: 550 Permission denied."


def test_file_is_delivered_when_server_hangs_up_at_quit(context: Context, inbox: Path):
    with serving(inbox, ftp_QUIT=lambda handler, _line: handler.close()) as (port, _told):
        assert run(context, requested(context, port)).status == "done"


def test_silent_host_is_given_up_at_timeout(context: Context):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        impatient = context_with(context, ftp_timeout=0.2)
        waiting = run(impatient, requested(context, silent.getsockname()[1]))
    assert (waiting.status, waiting.error) == ("ready", "FTP host: timed out")


def test_host_that_hangs_up_at_once_is_retried(context: Context):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        waiting = run(context, requested(context, server.getsockname()[1]))
        thread.join()
    assert waiting.status == "ready"
    assert waiting.error in {"FTP host: connection closed", "FTP host: Connection reset by peer"}


def test_export_stays_ready_while_key_is_lost(context: Context, inbox: Path):
    with serving(inbox) as (port, _told):
        export_id = requested(context, port)
        waiting = run(context_with(context, secret_key="another"), export_id)
        assert waiting.status == "ready"
        assert "CONTACTEXPORT_SECRET_KEY was changed or lost" in waiting.error
        make_due(context, export_id)
        execute(context, "UPDATE installation SET key_fingerprint = NULL")  # it was the first that anybody came with
        assert run(context, export_id).status == "done"


def test_missing_file_is_permanent_failure(context: Context, closed_port: int):
    export_id = requested(context, closed_port)
    deliver.stored_file(context, run(context, export_id)).unlink()
    for status in ("ready", "ready", "error"):
        make_due(context, export_id)
        tried = run(context, export_id)
        assert (tried.status, tried.error) == (status, "The finished file is missing from the storage folder")


def test_host_that_is_not_public_is_refused(context: Context):
    guarded = context_with(context, allowed_hosts=())
    waiting = run(guarded, requested(context, 21))
    assert (waiting.status, waiting.error) == ("ready", "Host 127.0.0.1 is not on the public internet")
