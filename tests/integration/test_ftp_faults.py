"""FTP hosts that fail in the middle: afterwards there is one whole file or none, and the status tells the truth."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ftp_hosts
import pytest
from exporting import TESTER, backend_with, execute, make_due, row_of, run, seconds_until_due
from ftp_hosts import files, host_is_back, is_whole, large_export, serving
from pyftpdlib.handlers import FTPHandler

from contactexport.allowed_hosts import parse_allowed_hosts
from contactexport.backend import Backend
from contactexport.services import run_export, track_export


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def impatient(backend: Backend) -> Backend:
    return backend_with(backend, ftp_timeout=2)


def replies(backend: Backend, export_id: int) -> list[str]:
    return [one["reply"] for one in track_export.status(backend, export_id, TESTER)["delivery"]]


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
def test_what_may_pass_leaves_nothing_at_the_host_and_is_tried_again(
    impatient: Backend, inbox: Path, attributes, error
):
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
def test_what_will_not_pass_is_tried_three_times(backend: Backend, inbox: Path, answer: str):
    with serving(inbox, ftp_hosts.RefusesUploads, answer=answer) as (port, _told):
        export_id = large_export(backend, port)
        for status in ("ready", "ready", "error"):
            tried = run(backend, export_id)
            assert (tried.status, tried.error) == (status, f"FTP host: {answer}")
            assert files(inbox) == []
            if status == "ready":
                make_due(backend, export_id)
    assert replies(backend, export_id) == [f"FTP host: {answer}"] * 3
    assert (backend.settings.storage_dir / tried.file_name).stat().st_size == tried.bytes


@pytest.mark.parametrize(
    "handler", [ftp_hosts.Swallows226, ftp_hosts.HangsUpInsteadOf226, ftp_hosts.HangsUpAfterRenaming]
)
def test_a_whole_file_that_was_not_confirmed_is_not_sent_again(impatient: Backend, inbox: Path, handler):
    with serving(inbox, handler) as (port, told):
        done = run(impatient, large_export(impatient, port))
    assert (done.status, done.attempt) == ("done", 1)
    assert files(inbox) == [f"in/{done.file_name}"]
    assert is_whole(inbox / "in" / done.file_name, done)
    assert told.count("STOR") == 1
    assert told.count("USER") == 2


def test_a_short_file_that_was_not_confirmed_is_sent_again_at_once(impatient: Backend, inbox: Path):
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


def test_leftovers_of_all_earlier_attempts_are_removed(backend: Backend, inbox: Path):
    with serving(inbox) as (port, _told):
        export_id = large_export(backend, port)
        name = row_of(backend, export_id)["file_name"]
        (inbox / "in").mkdir()
        for attempt in (1, 2, 3):
            (inbox / "in" / f"{name}.{attempt}.part").touch()
        (inbox / "in" / "of_somebody_else.1.part").touch()
        execute(backend, "UPDATE export SET attempt = 3")
        assert run(backend, export_id).status == "done"
    assert files(inbox) == sorted([f"in/{name}", "in/of_somebody_else.1.part"])


def answers(reply: str) -> Callable[[FTPHandler, str], None]:
    """A command of the host that says this, whatever it is told."""
    return lambda handler, _line: handler.respond(reply)


def test_a_part_that_is_gone_leaves_the_file_of_the_attempt_that_has_taken_over(backend: Backend, inbox: Path):
    def taken_over(handler: FTPHandler, path: str) -> None:
        execute(backend, "UPDATE export SET attempt = attempt + 1")
        Path(path).unlink()
        (inbox / name).write_text("the other attempt's file")
        handler.respond("550 No such file.")

    with serving(inbox, ftp_RNFR=taken_over) as (port, told):
        export_id = large_export(backend, port, folder=None)
        name = row_of(backend, export_id)["file_name"]
        assert run_export.run(backend, export_id) is None
    assert "RNTO" not in told
    assert files(inbox) == [name]
    assert (inbox / name).read_text() == "the other attempt's file"


class SaysWhatNoTerminalShouldShow(FTPHandler):
    def respond(self, resp: str, **kwargs: Any) -> None:
        refused = resp.startswith("500")
        super().respond("553 \x1b[31mno\0way\x07" if refused else resp, **kwargs)


@pytest.mark.parametrize("tls,said", [(True, "it offers no TLS: "), (False, "")])
def test_control_characters_in_a_reply_become_question_marks(backend: Backend, inbox: Path, tls: bool, said: str):
    """In the reply to AUTH, or to a later command."""
    with serving(inbox, SaysWhatNoTerminalShouldShow, ftp_STOR=answers("500 No.")) as (port, _told):
        export_id = large_export(backend, port, tls=tls)
        assert run(backend, export_id).status == "ready"
    assert row_of(backend, export_id)["error"] == f"FTP host: {said}553 ?[31mno?way?"
    assert track_export.status(backend, export_id, TESTER)["delivery"][0]["reply"].endswith("553 ?[31mno?way?")


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
def test_hosts_with_their_ways_get_the_file(backend: Backend, inbox: Path, attributes):
    with serving(inbox, **attributes) as (port, _told):
        done = run(backend, large_export(backend, port))
    assert (done.status, files(inbox)) == ("done", [f"in/{done.file_name}"])


def test_a_host_with_an_ipv6_address_gets_the_file(backend: Backend, inbox: Path):
    here = backend_with(backend, allowed_hosts=parse_allowed_hosts("::1"))
    with serving(inbox, address="::1") as (port, told):
        done = run(here, large_export(here, port, host="[::1]"))
    assert (done.status, files(inbox)) == ("done", [f"in/{done.file_name}"])
    assert "EPSV" in told


class SpeaksLatin1(FTPHandler):
    encoding = "latin-1"

    def ftp_FEAT(self, line: str) -> None:
        self.respond("500 What?")


def test_a_folder_is_found_by_its_latin_1_name_on_a_host_that_knows_no_utf8(backend: Backend, inbox: Path):
    (inbox / "Büro").mkdir(parents=True)
    with serving(inbox, SpeaksLatin1) as (port, _told):  # the password is not ASCII either
        done = run(backend, large_export(backend, port, folder="Büro/new"))
    assert (done.status, files(inbox)) == ("done", [f"Büro/new/{done.file_name}"])


@pytest.mark.parametrize("folder", ["Büro", "ŷ", "in/Büro"])
def test_a_new_folder_with_umlauts_is_refused_where_utf8_is_not_announced(backend: Backend, inbox: Path, folder: str):
    with serving(inbox, SpeaksLatin1) as (port, _told):
        waiting = run(backend, large_export(backend, port, folder=folder))
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


def test_a_folder_with_a_latin_1_name_is_found_whatever_the_host_announces(backend: Backend, inbox: Path):
    (inbox / "Büro").mkdir(parents=True)
    with serving(inbox, AnnouncesUtf8ForAllThat) as (port, told):
        done = run(backend, large_export(backend, port, folder="Büro"))
    assert (done.status, files(inbox)) == ("done", [f"Büro/{done.file_name}"])
    assert "MKD" not in told
