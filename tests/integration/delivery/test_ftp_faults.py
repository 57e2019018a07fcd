"""FTP hosts that fail during an upload. Then there is one whole file or none, and the status is true."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyftpdlib.handlers import FTPHandler

from contactexport.context import Context
from contactexport.exports import run as run_export
from contactexport.exports import status as export_status
from contactexport.hosts.parse import parse_allowed_hosts
from tests.support import ftp_hosts
from tests.support.exporting import TESTER, context_with, execute, make_due, row_of, run, seconds_until_due
from tests.support.ftp_hosts import files, host_is_back, is_whole, large_export, serving


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def impatient(context: Context) -> Context:
    return context_with(context, ftp_timeout=2)


def replies(context: Context, export_id: int) -> list[str]:
    return [one["reply"] for one in export_status.status(context, export_id, TESTER)["delivery"]]


@pytest.mark.parametrize(
    "attributes,error",
    [
        ({"dtp_handler": ftp_hosts.DropsTheData}, "FTP host: 426 Connection closed; transfer aborted."),
        ({"dtp_handler": ftp_hosts.DiskIsFull}, "FTP host: 452 No space left on device."),
        ({"dtp_handler": ftp_hosts.TakesOnlySomeBytes}, "FTP host: "),
        ({"dtp_handler": ftp_hosts.DropsTheControl}, "FTP host: "),
        ({"dtp_handler": ftp_hosts.LosesTheEnd}, "The FTP host has "),
        ({"handler": ftp_hosts.AnswersTheTransfer}, "FTP host: 552 Quota exceeded."),
        ({"handler": ftp_hosts.RefusesUploads, "answer": "452 Disk full."}, "FTP host: 452 Disk full."),
        ({"handler": ftp_hosts.RefusesUploads, "answer": "421 Too many."}, "FTP host: 421 Too many."),
        ({"handler": ftp_hosts.Swallows226, "dtp_handler": ftp_hosts.LosesTheEnd}, "FTP host: all bytes were sent"),
    ],
)
def test_temporary_failure_leaves_nothing_at_host_and_is_retried(impatient: Context, inbox: Path, attributes, error):
    with serving(inbox, **attributes) as (port, _told):
        waiting = run(impatient, export_id := large_export(impatient, port))
        assert files(inbox) == []
    assert (waiting.status, waiting.permanent_failures) == ("ready", 0)
    assert waiting.error.startswith(error)
    assert 50 < seconds_until_due(impatient, export_id) <= 60
    with serving(inbox) as (port, _told):
        host_is_back(impatient, waiting, port)
        done = run(impatient, export_id)
    assert (done.status, done.error, done.attempt) == ("done", None, 2)
    assert files(inbox) == [f"in/{done.file_name}"]
    assert is_whole(inbox / "in" / done.file_name, done)
    assert replies(impatient, export_id) == [waiting.error, "250 Renaming ok."]


@pytest.mark.parametrize("answer", ["550 Permission denied.", "553 Name not allowed.", "530 Not logged in."])
def test_permanent_failure_is_tried_three_times(context: Context, inbox: Path, answer: str):
    with serving(inbox, ftp_hosts.RefusesUploads, answer=answer) as (port, _told):
        export_id = large_export(context, port)
        for status in ("ready", "ready", "error"):
            tried = run(context, export_id)
            assert (tried.status, tried.error) == (status, f"FTP host: {answer}")
            assert files(inbox) == []
            if status == "ready":
                make_due(context, export_id)
    assert replies(context, export_id) == [f"FTP host: {answer}"] * 3
    assert (context.settings.storage_dir / tried.file_name).stat().st_size == tried.bytes


@pytest.mark.parametrize(
    "handler", [ftp_hosts.Swallows226, ftp_hosts.HangsUpInsteadOf226, ftp_hosts.HangsUpAfterRenaming]
)
def test_unconfirmed_whole_file_is_not_sent_again(impatient: Context, inbox: Path, handler):
    with serving(inbox, handler) as (port, told):
        done = run(impatient, large_export(impatient, port))
    assert (done.status, done.attempt) == ("done", 1)
    assert files(inbox) == [f"in/{done.file_name}"]
    assert is_whole(inbox / "in" / done.file_name, done)
    assert told.count("STOR") == 1
    assert told.count("USER") == 2


def test_unconfirmed_short_file_is_sent_again_at_once(impatient: Context, inbox: Path):
    class LosesTheEndOnce(ftp_hosts.HangsUpInsteadOf226):
        dtp_handler = ftp_hosts.LosesTheEnd

        def ftp_SIZE(self, path: str) -> None:
            super().ftp_SIZE(path)
            type(self).dtp_handler = FTPHandler.dtp_handler
            type(self).respond = FTPHandler.respond

    with serving(inbox, LosesTheEndOnce) as (port, told):
        done = run(impatient, large_export(impatient, port))
    assert (done.status, done.attempt, told.count("STOR")) == ("done", 1, 2)
    assert files(inbox) == [f"in/{done.file_name}"]
    assert is_whole(inbox / "in" / done.file_name, done)


def test_parts_of_all_earlier_attempts_are_removed(context: Context, inbox: Path):
    with serving(inbox) as (port, _told):
        export_id = large_export(context, port)
        name = row_of(context, export_id)["file_name"]
        (inbox / "in").mkdir()
        for attempt in (1, 2, 3):
            (inbox / "in" / f"{name}.{attempt}.part").touch()
        (inbox / "in" / "of_somebody_else.1.part").touch()
        execute(context, "UPDATE export SET attempt = 3")
        assert run(context, export_id).status == "done"
    assert files(inbox) == sorted([f"in/{name}", "in/of_somebody_else.1.part"])


def answers(reply: str) -> Callable[[FTPHandler, str], None]:
    """Returns a command that always replies this."""
    return lambda handler, _line: handler.respond(reply)


def test_file_of_attempt_that_took_over_stays(context: Context, inbox: Path):
    def taken_over(handler: FTPHandler, path: str) -> None:
        execute(context, "UPDATE export SET attempt = attempt + 1")
        Path(path).unlink()
        (inbox / name).write_text("the other attempt's file")
        handler.respond("550 No such file.")

    with serving(inbox, ftp_RNFR=taken_over) as (port, told):
        export_id = large_export(context, port, folder=None)
        name = row_of(context, export_id)["file_name"]
        assert run_export.run(context, export_id) is None
    assert "RNTO" not in told
    assert files(inbox) == [name]
    assert (inbox / name).read_text() == "the other attempt's file"


class SaysWhatNoTerminalShouldShow(FTPHandler):
    def respond(self, resp: str, **kwargs: Any) -> None:
        refused = resp.startswith("500")
        super().respond("553 \x1b[31mno\0way\x07" if refused else resp, **kwargs)


@pytest.mark.parametrize("tls,said", [(True, "it offers no TLS: "), (False, "")])
def test_control_characters_in_reply_become_question_marks(context: Context, inbox: Path, tls: bool, said: str):
    """In the reply to AUTH, or to a later command."""
    with serving(inbox, SaysWhatNoTerminalShouldShow, ftp_STOR=answers("500 No.")) as (port, _told):
        export_id = large_export(context, port, tls=tls)
        assert run(context, export_id).status == "ready"
    assert row_of(context, export_id)["error"] == f"FTP host: {said}553 ?[31mno?way?"
    assert export_status.status(context, export_id, TESTER)["delivery"][0]["reply"].endswith("553 ?[31mno?way?")


class KnowsNoPasv(FTPHandler):
    def ftp_PASV(self, line: str) -> None:
        self.respond("502 Not implemented.")


class KnowsNoSize(FTPHandler):
    def ftp_SIZE(self, path: str) -> None:
        self.respond("502 Not implemented.")


@pytest.mark.parametrize(
    "attributes",
    [
        {"masquerade_address": "203.0.113.9"},  # behind a NAT it knows nothing of
        {"handler": KnowsNoPasv},
        {"handler": KnowsNoSize},
    ],
)
def test_hosts_that_deviate_get_file(context: Context, inbox: Path, attributes):
    with serving(inbox, **attributes) as (port, _told):
        done = run(context, large_export(context, port))
    assert (done.status, files(inbox)) == ("done", [f"in/{done.file_name}"])


def test_host_with_ipv6_address_gets_file(context: Context, inbox: Path):
    here = context_with(context, allowed_hosts=parse_allowed_hosts("::1"))
    with serving(inbox, address="::1") as (port, told):
        done = run(here, large_export(here, port, host="[::1]"))
    assert (done.status, files(inbox)) == ("done", [f"in/{done.file_name}"])
    assert "EPSV" in told


class SpeaksLatin1(FTPHandler):
    encoding = "latin-1"

    def ftp_FEAT(self, line: str) -> None:
        self.respond("500 What?")


def test_folder_is_found_by_latin_1_name_on_host_without_utf8(context: Context, inbox: Path):
    (inbox / "Büro").mkdir(parents=True)
    with serving(inbox, SpeaksLatin1) as (port, _told):  # the password is not ASCII either
        done = run(context, large_export(context, port, folder="Büro/new"))
    assert (done.status, files(inbox)) == ("done", [f"Büro/new/{done.file_name}"])


@pytest.mark.parametrize("folder", ["Büro", "ŷ", "in/Büro"])
def test_new_folder_with_umlauts_is_refused_without_announced_utf8(context: Context, inbox: Path, folder: str):
    with serving(inbox, SpeaksLatin1) as (port, _told):
        waiting = run(context, large_export(context, port, folder=folder))
    assert (waiting.status, waiting.permanent_failures) == ("ready", 1)
    assert waiting.error.startswith(
        f"FTP host: it does not announce UTF8, so the new folder '{folder[-4:].strip('n/')}'"
    )
    assert not [path for path in inbox.rglob("*") if not path.name.isascii()]


class AnnouncesUtf8ForAllThat(SpeaksLatin1):
    def ftp_FEAT(self, line: str) -> None:
        if self.authenticated:
            self.push("211-Features\r\n UTF8\r\n211 End\r\n")
        else:
            self.respond("530 Log in first.")


def test_folder_with_latin_1_name_is_found_whatever_host_announces(context: Context, inbox: Path):
    (inbox / "Büro").mkdir(parents=True)
    with serving(inbox, AnnouncesUtf8ForAllThat) as (port, told):
        done = run(context, large_export(context, port, folder="Büro"))
    assert (done.status, files(inbox)) == ("done", [f"Büro/{done.file_name}"])
    assert "MKD" not in told
