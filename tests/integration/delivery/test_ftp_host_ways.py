"""FTP hosts that deviate get each file once and whole. Their traits are stored."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.handlers.ftp.dispatchers import PassiveDTP

from contactexport.context import Context
from contactexport.exports import cancel
from contactexport.exports import run as run_export
from contactexport.exports.models import Export, FtpTarget
from contactexport.hosts.parse import parse_allowed_hosts
from tests.support import ftp_hosts
from tests.support.exporting import (
    PASSWORD,
    TESTER,
    add_contact,
    around_now,
    context_with,
    execute,
    request,
    run,
    settings_for,
)
from tests.support.ftp_hosts import RenamesNothing, files, large_export, serving


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    made = tmp_path / "inbox"
    made.mkdir()
    return made


def traits(context: Context) -> list[str]:
    return [row["trait"] for row in execute(context, "SELECT trait FROM ftp_host_trait ORDER BY trait")]


def another(context: Context, port: int, **target: Any) -> Export:
    """Delivers one more export to the same host, by the same user."""
    add_contact(context)
    ftp = FtpTarget(**{"host": "127.0.0.1", "port": port, "username": "user", "folder": "in"} | target)
    return run(context, request(context, settings_for(distribution_method="ftp", ftp=ftp, **around_now())))


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files(folder)}


def answers(reply: str) -> Callable[[FTPHandler, str], None]:
    """Returns a command that always replies this."""
    return lambda handler, _line: handler.respond(reply)


# Replies to SIZE


@pytest.mark.parametrize(
    "reply",
    [
        "550 Could not get file size.",
        "502 Not implemented.",
        "500 What?",
        "504 Not for that parameter.",
        "501 Syntax error.",
        "530 Not for you.",
        "450 Not now.",
        "200 Done.",
    ],
)
def test_positive_reply_counts_when_size_is_not_reported(context: Context, inbox: Path, reply: str):
    with serving(inbox, ftp_SIZE=answers(reply)) as (port, told):
        done = run(context, large_export(context, port))
        assert (done.status, done.attempt, told.count("STOR")) == ("done", 1, 1)
        assert digests(inbox) == {f"in/{done.file_name}": done.sha256}
        assert traits(context) == ["no_size"]


def test_trait_is_dropped_when_host_reports_sizes_again(context: Context, inbox: Path):
    class ToldLater(FTPHandler):
        silent = True

        def ftp_SIZE(self, path: str) -> None:
            if self.silent:
                self.respond("550 No.")
            else:
                super().ftp_SIZE(path)

    with serving(inbox, ToldLater) as (port, _told):
        assert another(context, port).status == "done"
        assert traits(context) == ["no_size"]
        ToldLater.silent = False
        assert another(context, port).status == "done"
        assert traits(context) == []


# Hosts that take files away at once


class Archives(FTPHandler):
    """Takes each file away as soon as it arrives."""

    archive: Path

    def on_file_received(self, file: str) -> None:
        shutil.move(file, self.archive)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    made = tmp_path / "archive"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    "host",
    [
        {},
        {"ftp_RNFR": answers("550 RNFR command failed.")},
        {"ftp_RNFR": answers("553 File not found.")},
        {"ftp_RNFR": answers("450 x: No such file or directory.")},
        {"ftp_RNFR": answers("350 Ready."), "ftp_RNTO": answers("550 The system cannot find the file specified.")},
        {"ftp_SIZE": answers("502 What?"), "ftp_MDTM": answers("502 What?"), "ftp_DELE": answers("502 What?")},
    ],
)
def test_file_taken_away_at_once_is_delivered_once(context: Context, inbox: Path, archive: Path, host: dict[str, Any]):
    with serving(inbox, Archives, archive=archive, **host) as (port, told):
        first = run(context, large_export(context, port))
        assert (first.status, first.attempt, told.count("STOR")) == ("done", 1, 1)
        assert digests(archive) == {f"{first.file_name}.1.part": first.sha256}
        assert traits(context) == ["archives"]
        second = another(context, port)
        assert (second.status, told.count("STOR")) == ("done", 2)
    assert digests(archive) == {f"{first.file_name}.1.part": first.sha256, second.file_name: second.sha256}
    assert files(inbox) == []


@pytest.mark.parametrize("moment", ["ftp_SIZE", "ftp_RNFR"])
def test_file_taken_away_a_moment_later_is_delivered_once(context: Context, inbox: Path, archive: Path, moment: str):
    """The host reports the size and then does not know the file. Its words do not say why."""

    def takes_it_away(handler: FTPHandler, path: str) -> None:
        size = Path(path).stat().st_size
        shutil.move(path, archive)
        setattr(type(handler), moment, getattr(FTPHandler, moment))
        handler.respond(f"213 {size}" if moment == "ftp_SIZE" else "350 Ready.")

    refused = {"ftp_RNTO": answers("550 Failed.")} | ({} if moment == "ftp_RNFR" else {"ftp_RNFR": answers("450 No.")})
    with serving(inbox, **{moment: takes_it_away} | refused) as (port, told):
        done = run(context, large_export(context, port))
    assert (done.status, told.count("STOR"), traits(context)) == ("done", 1, ["archives"])
    assert digests(archive) == {f"{done.file_name}.1.part": done.sha256}


# Hosts that refuse whole files


@pytest.mark.parametrize("verdict", ["426 Connection closed; transfer aborted.", "451 Local error.", "450 Busy."])
def test_refused_whole_file_is_renamed(context: Context, inbox: Path, verdict: str):
    with serving(inbox, ftp_hosts.AnswersTheTransfer, verdict=verdict) as (port, told):
        done = run(context, large_export(context, port))
    assert (done.status, done.attempt, told.count("STOR"), told.count("USER")) == ("done", 1, 1, 1)
    assert digests(inbox) == {f"in/{done.file_name}": done.sha256}
    assert traits(context) == ["late_refusal"]


def test_refused_file_without_reported_size_is_retried(context: Context, inbox: Path):
    host = {"verdict": "426 Aborted.", "ftp_SIZE": answers("550 No.")}
    with serving(inbox, ftp_hosts.AnswersTheTransfer, **host) as (port, _told):
        waiting = run(context, large_export(context, port))
    assert (waiting.status, waiting.error, files(inbox)) == ("ready", "FTP host: 426 Aborted.", [])


def test_size_is_checked_after_host_closed_control_connection(context: Context, inbox: Path):
    """Some hosts count the time of a long upload as idle."""

    class CountsTheUploadAsIdle(FTPHandler):
        def respond(self, resp: str, **kwargs: Any) -> None:
            if resp.startswith("226"):
                super().respond("421 Idle for 300 seconds, closing.", **kwargs)
                self.close_when_done()
            else:
                super().respond(resp, **kwargs)

    with serving(inbox, CountsTheUploadAsIdle) as (port, told):
        done = run(context, large_export(context, port))
    assert (done.status, done.attempt, told.count("STOR"), told.count("USER")) == ("done", 1, 1, 2)
    assert digests(inbox) == {f"in/{done.file_name}": done.sha256}


# Hosts that do not rename


NOT_RENAMED = [
    {"ftp_RNFR": answers("550 Permission denied.")},
    {"ftp_RNFR": answers("550 Rename failed.")},
    {"ftp_RNFR": answers("553 Not allowed.")},
    {"ftp_RNFR": answers("502 Not implemented.")},
    {"ftp_RNFR": answers("500 Unknown command.")},
    {"ftp_RNTO": answers("550 Operation not permitted.")},
    {"ftp_RNTO": answers("553 Name not allowed.")},
    {"ftp_RNTO": answers("502 Not implemented.")},
]


@pytest.mark.parametrize("host", NOT_RENAMED)
@pytest.mark.parametrize("tells_sizes", [True, False])
def test_host_that_never_renames_gets_files_under_final_name(
    context: Context, inbox: Path, host: dict[str, Any], tells_sizes: bool
):
    untold = {} if tells_sizes else {"ftp_SIZE": answers("550 No."), "ftp_MDTM": answers("550 No.")}
    with serving(inbox, **host, **untold) as (port, told):
        first = run(context, large_export(context, port))
        assert (first.status, first.attempt, told.count("STOR")) == ("done", 1, 2)
        assert "no_rename" in traits(context)
        second = another(context, port)
        assert (second.status, told.count("STOR")) == ("done", 3)
    assert digests(inbox) == {f"in/{one.file_name}": one.sha256 for one in (first, second)}


def test_drop_box_gets_file_under_final_name(context: Context, inbox: Path):
    """A host where a user may only write: not list, rename or delete."""
    with serving(inbox, perm="ewm") as (port, _told):
        done = run(context, large_export(context, port, folder=None))
        second = another(context, port, folder=None)
    assert (done.status, second.status) == ("done", "done")
    assert files(inbox) == sorted([done.file_name, f"{done.file_name}.1.part", second.file_name])
    assert digests(inbox)[done.file_name] == done.sha256


@pytest.mark.parametrize("reply", ["550 The file is being used by another process.", "450 File busy.", "550 in use"])
def test_file_in_use_is_renamed_later(context: Context, inbox: Path, reply: str):
    with serving(inbox, ftp_RNFR=answers(reply)) as (port, _told):
        waiting = run(context, large_export(context, port))
    assert (waiting.status, waiting.error, traits(context)) == ("ready", f"FTP host: {reply}", [])
    assert files(inbox) == []


def test_host_that_refuses_temporary_name_gets_final_name(context: Context, inbox: Path):
    class TakesCsvOnly(FTPHandler):
        def ftp_STOR(self, file: str, mode: str = "w") -> Any:
            return super().ftp_STOR(file, mode) if file.endswith(".csv") else self.respond("553 Not this kind of file.")

    with serving(inbox, TakesCsvOnly) as (port, told):
        first = run(context, large_export(context, port))
        assert traits(context) == ["no_temporary_name"]
        second = another(context, port)
        assert (first.status, second.status, told.count("STOR")) == ("done", "done", 3)
    assert digests(inbox) == {f"in/{one.file_name}": one.sha256 for one in (first, second)}


@pytest.mark.parametrize("taken_by", ["request", "operator"])
@pytest.mark.parametrize("pattern,part", [("%s.tmp", "in/{}.1.tmp"), ("coming/in/%s", "in/coming/in/{}.1")])
def test_temporary_name_is_that_of_request_or_setting(
    context: Context, inbox: Path, taken_by: str, pattern: str, part: str
):
    renamed = []

    class NotesRenames(FTPHandler):
        def ftp_RNFR(self, path: str) -> Any:
            renamed.append(str(Path(path).relative_to(inbox)))
            return super().ftp_RNFR(path)

    here = context_with(context, ftp_temporary_name=pattern if taken_by == "operator" else "%s.other")
    with serving(inbox, NotesRenames) as (port, _told):
        done = run(here, large_export(here, port, temporary_name=pattern if taken_by == "request" else None))
    assert (done.status, renamed) == ("done", [part.format(done.file_name)])
    assert files(inbox) == [f"in/{done.file_name}"]


def test_file_without_temporary_name_is_sent_under_final_name(context: Context, inbox: Path):
    with serving(inbox) as (port, told):
        done = run(context, large_export(context, port, temporary_name="%s"))
    assert (done.status, "RNFR" in told, files(inbox)) == ("done", False, [f"in/{done.file_name}"])


def test_traits_about_names_hold_for_temporary_name_in_use(context: Context, inbox: Path):
    class RenamesTmpOnly(FTPHandler):
        def ftp_RNFR(self, path: str) -> Any:
            return super().ftp_RNFR(path) if path.endswith(".tmp") else self.respond("550 Permission denied.")

    with serving(inbox, RenamesTmpOnly) as (port, told):
        assert another(context, port).status == "done"
        assert traits(context) == ["no_rename"]
        assert another(context, port, temporary_name="%s.tmp").status == "done"
        assert told.count("RNTO") == 1
        assert another(context, port).status == "done"
        assert (told.count("RNFR"), told.count("STOR")) == (2, 4)


def test_part_of_dead_attempt_is_replaced_at_host_that_never_overwrites(context: Context, inbox: Path):
    class OverwritesNothing(RenamesNothing):
        def ftp_STOR(self, file: str, mode: str = "w") -> Any:
            return self.respond("553 File exists.") if Path(file).exists() else super().ftp_STOR(file, mode)

    with serving(inbox, OverwritesNothing) as (port, _told):
        assert another(context, port, folder=None).status == "done"
        export_id = large_export(context, port, folder=None)
        name = execute(context, "SELECT file_name FROM export WHERE id = %s", (export_id,))[0]["file_name"]
        (inbox / name).write_text("a part of it")
        done = run(context, export_id)
    assert (done.status, digests(inbox)[name]) == ("done", done.sha256)


def test_broken_file_under_final_name_is_removed(context: Context, inbox: Path):
    with serving(inbox, RenamesNothing) as (port, _told):
        first = another(context, port)
    with serving(inbox, RenamesNothing, port=port, dtp_handler=ftp_hosts.DropsTheData) as (_port, told):
        waiting = run(context, large_export(context, port))
        assert (waiting.status, told.count("STOR")) == ("ready", 1)
    assert files(inbox) == [f"in/{first.file_name}"]


@pytest.mark.parametrize("taken_over", [True, False])
def test_file_under_final_name_is_left_to_attempt_that_took_over(context: Context, inbox: Path, taken_over: bool):
    """If nobody took over, because the export was cancelled, the file is removed."""

    class MeanwhileLost(RenamesNothing):
        def ftp_SIZE(self, path: str) -> None:
            if not path.endswith(".part"):
                if taken_over:
                    execute(context, "UPDATE export SET attempt = attempt + 1")
                else:
                    cancel.cancel(context, ids[0], TESTER)
                self.respond("213 1")  # so that this attempt fails
            else:
                super().ftp_SIZE(path)

    with serving(inbox, MeanwhileLost) as (port, _told):
        ids = [large_export(context, port)]
        assert run_export.run(context, ids[0]) is None
    assert len(files(inbox)) == int(taken_over)


# Addresses for data


class ListensElsewhere(PassiveDTP):
    """At 127.0.0.2, while the control connection is at 127.0.0.1."""

    def bind(self, address: tuple[str, int]) -> None:
        super().bind(("127.0.0.2", address[1]))


def test_other_address_is_used_if_guard_allows_it(context: Context, inbox: Path):
    here = context_with(context, allowed_hosts=parse_allowed_hosts("127.0.0.1,127.0.0.2"))
    with serving(inbox, passive_dtp=ListensElsewhere, masquerade_address="127.0.0.2") as (port, _told):
        done = run(here, large_export(here, port))
    assert (done.status, digests(inbox)) == ("done", {f"in/{done.file_name}": done.sha256})
    assert traits(context) == ["other_address"]


def test_both_addresses_are_named_when_neither_takes_data(context: Context, inbox: Path):
    here = context_with(context, allowed_hosts=parse_allowed_hosts("127.0.0.1"))
    with serving(inbox, passive_dtp=ListensElsewhere, masquerade_address="127.0.0.2") as (port, _told):
        waiting = run(here, large_export(here, port))
    begin, _, rest = waiting.error.partition(": its answer to PASV names ")
    assert (waiting.status, waiting.permanent_failures) == ("ready", 0)
    assert begin.startswith("FTP host: no data connection to port ")
    assert rest == "127.0.0.2; 127.0.0.2 may not be connected to; 127.0.0.1: Connection refused"


def test_own_address_is_used_when_allowed_one_does_not_answer(context: Context, inbox: Path):
    here = context_with(context, allowed_hosts=parse_allowed_hosts("127.0.0.1,127.0.0.3"))
    with serving(inbox, masquerade_address="127.0.0.3") as (port, _told):
        assert run(here, large_export(here, port)).status == "done"
        assert traits(context) == ["own_address"]
        assert another(here, port).status == "done"


def test_own_address_is_used_when_host_names_none(context: Context, inbox: Path):
    with serving(inbox, masquerade_address="0.0.0.0") as (port, _told):  # noqa: S104
        assert run(context, large_export(context, port)).status == "done"
    assert traits(context) == []


class ListensByIPv4(PassiveDTP):
    def create_socket(self, _family: int, kind: int) -> None:
        super().create_socket(ftp_hosts.socket.AF_INET, kind)

    def bind(self, address: tuple[str, int]) -> None:
        super().bind(("127.0.0.1", address[1]))


def test_pasv_is_sent_when_epsv_is_refused(context: Context, inbox: Path):
    here = context_with(context, allowed_hosts=parse_allowed_hosts("::1,127.0.0.1"))
    host = {
        "ftp_EPSV": answers("502 No."),
        "passive_dtp": ListensByIPv4,
        "masquerade_address": "127.0.0.1",
        "permit_foreign_addresses": True,
    }
    with serving(inbox, address="::1", **host) as (port, told):
        done = run(here, large_export(here, port, host="[::1]"))
        assert (done.status, told.count("EPSV"), told.count("PASV")) == ("done", 1, 1)
        assert traits(context) == ["no_epsv", "other_address"]
        assert another(here, port, host="::1").status == "done"
        assert told.count("EPSV") == 1


def test_epsv_is_sent_first_when_pasv_was_refused(context: Context, inbox: Path):
    with serving(inbox, ftp_PASV=answers("502 No.")) as (port, told):
        assert another(context, port).status == "done"
        assert traits(context) == ["no_pasv"]
        assert another(context, port).status == "done"
        assert (told.count("PASV"), told.count("EPSV")) == (1, 2)


# What is stored


def test_traits_belong_to_host_port_and_user_and_show_no_password(context: Context, inbox: Path):
    def repeats_all(handler: FTPHandler, _line: str) -> None:
        handler.respond(f"550 {PASSWORD} may not do that: Permission denied")

    with serving(inbox, ftp_RNFR=repeats_all) as (port, told):
        assert another(context, port).status == "done"
        known = execute(context, "SELECT host, port, username, trait, told FROM ftp_host_trait")
        assert known == [
            {
                "host": "127.0.0.1",
                "port": port,
                "username": "user",
                "trait": "no_rename",
                "told": "550 *** may not do that: Permission denied",
            }
        ]
        execute(context, "UPDATE ftp_host_trait SET username = 'another'")
        assert another(context, port).status == "done"
        assert told.count("RNFR") == 2


def test_unknown_trait_of_newer_version_is_ignored(context: Context, inbox: Path):
    with serving(inbox) as (port, _told):
        execute(
            context,
            "INSERT INTO ftp_host_trait (host, port, username, trait, told, temporary_name)"
            " VALUES ('127.0.0.1', %s, 'user', 'sings', '', '')",
            (port,),
        )
        assert another(context, port).status == "done"
