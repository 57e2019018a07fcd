"""`flask export`: what the user sees, what the exit code says, and the bytes that arrive."""

import csv
import io
import json
from pathlib import Path

import pytest
from exporting import backend_with, database_time, execute, other_session

from contactexport.embedded import ftp_server, sample_contacts
from contactexport.errors import ALREADY_RUNNING
from contactexport.services import run_export

WINDOW = ("--from", "2012-02-09", "--to", "2012-04-02")
CHANGES = ("export", "changes", "--origin", "form", "--origin-id", "123", *WINDOW, "--fields", "1,3")


@pytest.fixture(autouse=True)
def _contacts(backend) -> None:
    sample_contacts.generate(backend.contacts, 200)


@pytest.fixture
def stored(backend):
    """The content of the newest finished file."""
    return lambda: max(backend.settings.storage_dir.glob("*.csv"), key=lambda file: file.stat().st_mtime).read_bytes()


def shown(runner, export_id: int) -> dict:
    return json.loads(runner.invoke(args=["export", "show", str(export_id), "--json"]).stdout)


def test_export_runs_at_once_and_tells_where_its_file_is(runner, backend, stored):
    ended = runner.invoke(args=CHANGES)
    assert (ended.exit_code, ended.stderr) == (0, "")
    told = dict(line.split(": ", 1) for line in ended.stdout.splitlines())
    assert told["status"] == "done"
    assert Path(told["file"]).read_bytes() == stored()
    assert int(told["rows"]) == len(list(csv.reader(io.StringIO(stored().decode(), newline="")))) - 1


def test_json_is_the_status_of_the_api(runner, api):
    told = json.loads(runner.invoke(args=[*CHANGES, "--json"]).stdout)
    assert told == api.get(f"/api/v2/export/{told['id']}").json["data"]


def test_output_file_has_the_very_bytes(runner, stored, tmp_path):
    target = tmp_path / "changes.csv"
    assert runner.invoke(args=[*CHANGES, "--output", str(target)]).exit_code == 0
    assert target.read_bytes() == stored()
    assert list(tmp_path.glob("*.part")) == []


def test_standard_output_gets_the_very_bytes_and_nothing_else(runner, stored):
    ended = runner.invoke(args=[*CHANGES, "--output", "-"])
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout_bytes == stored()


def test_output_to_a_device_leaves_the_device_in_place(runner):
    assert runner.invoke(args=[*CHANGES, "--output", "/dev/null"]).exit_code == 0
    assert Path("/dev/null").is_char_device()


def test_full_disk_is_told_with_the_file_that_is_still_there(runner):
    ended = runner.invoke(args=[*CHANGES, "--output", "/dev/full"])
    assert (ended.exit_code, ended.stderr.count("\n")) == (1, 1)
    assert Path(ended.stderr.strip().rpartition(" ")[2]).is_file()


def test_no_header_language_and_delimiter_reach_the_file(runner, stored):
    runner.invoke(args=[*CHANGES, "--language", "de", "--delimiter", ";"])
    assert stored().startswith(b"user_id;Vorname;")
    runner.invoke(args=[*CHANGES, "--no-header"])
    assert not stored().startswith(b"user_id")


def test_fields_may_have_spaces_between_them(runner):
    assert runner.invoke(args=[*CHANGES[:-1], " 1, 3 "]).exit_code == 0


def test_file_arrives_by_ftp(runner, monkeypatch, tmp_path):
    monkeypatch.setenv("FTP_PASSWORD", "geheim")
    with ftp_server.running(tmp_path, "anna", "geheim", 0) as port:
        ended = runner.invoke(args=[*CHANGES, "--ftp", f"ftp://anna@127.0.0.1:{port}/in", "--json"])
    assert ended.exit_code == 0, ended.stderr
    assert (tmp_path / "in" / json.loads(ended.stdout)["file_name"]).is_file()


def test_ftp_password_is_asked_for_on_standard_error(runner, tmp_path):
    with ftp_server.running(tmp_path, "anna", "geheim", 0) as port:
        ended = runner.invoke(args=[*CHANGES, "--ftp", f"ftp://anna@127.0.0.1:{port}/in"], input="geheim\n")
    assert ended.exit_code == 0, ended.stderr
    assert ended.stderr.startswith("FTP password:")
    assert "geheim" not in ended.output


def test_failed_delivery_is_told_with_what_can_be_done(runner, monkeypatch):
    monkeypatch.setenv("FTP_PASSWORD", "geheim")
    ended = runner.invoke(args=[*CHANGES, "--ftp", "ftp://anna@127.0.0.1:1/in"])
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "Connection refused; a worker tries again, or `flask export cancel 1`" in ended.stderr


def test_same_setting_is_refused_with_3_while_unfinished(runner, monkeypatch):
    monkeypatch.setenv("FTP_PASSWORD", "geheim")
    again = [*CHANGES, "--ftp", "ftp://anna@127.0.0.1:1/in"]
    runner.invoke(args=again)
    ended = runner.invoke(args=again)
    running = "It is export 1: `flask export show 1` tells how it is doing"
    assert (ended.exit_code, ended.stdout, ended.stderr) == (3, "", f"Error: {ALREADY_RUNNING} {running}\n")


def test_export_that_waits_for_a_transaction_says_for_which_and_how_it_goes_on(runner, app, backend):
    app.extensions["contactexport"] = backend_with(backend, writers_wait=0)
    start = database_time(backend)
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        pid = writer.get_backend_pid()
        window = ("--from", start.isoformat(), "--to", database_time(backend).isoformat())
        command = ["export", "changes", "--origin", "all", *window, "--fields", "1"]
        ended = runner.invoke(args=command)
        cut = runner.invoke(args=[*command, "--may-end-early", "--json"])
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert f"Export 1 is in progress: Still changing contacts, maybe of the window: process {pid} " in ended.stderr
    assert ended.stderr.endswith(
        "; a worker goes on once that has ended (`flask export show 1`), or `flask export cancel 1`\n"
    )
    assert json.loads(cut.stdout)["status"] == "done"


def test_export_of_a_window_that_is_not_kept_is_refused_unless_it_may_be_incomplete(runner, backend):
    execute(backend, "UPDATE contact_log_horizon SET complete_from = '2012-03-01'")
    refused = runner.invoke(args=CHANGES)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "changes before 2012-03-01T00:00:00+00:00 are no longer kept; may_be_incomplete" in refused.stderr
    told = json.loads(runner.invoke(args=[*CHANGES, "--may-be-incomplete", "--json"]).stdout)
    assert (told["status"], told["complete_from"]) == ("done", "2012-03-01T00:00:00+00:00")


def test_ctrl_c_cancels_the_export(runner, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_export, "run", interrupted)
    ended = runner.invoke(args=CHANGES)
    assert (ended.exit_code, ended.stderr) == (1, "Error: Export 1 is cancelled\n")
    assert shown(runner, 1)["error"] == "cancelled"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--from", "gestern"], "(--from gestern --to 2012-04-02): YYYY-MM-DD"),
        (["--from", "2013-01-01"], "end_date is earlier than the start_date"),
        (["--fields", "1,x"], "Invalid contact field id: x"),
        (["--fields", ""], "Invalid number of fields"),
        (["--origin-id", ""], "Missing option '--origin-id'"),
        (["--origin-id", "9"], "Invalid value for origin_id: 9"),
        (["--origin", "nix"], "'nix' is not one of"),
        (["--delimiter", "|"], "'|' is not one of"),
        (["--language", "xx"], "Invalid value for language: xx"),
        (["--ftp", "ftp://h"], "ftp://user@host:port/folder expected"),
        (["--ftp", "ftp://a@h", "--output", "x"], "exclude each other"),
        (["--json", "--output", "-"], "exclude each other"),
        (["--output", "/nothing/there.csv"], "/nothing/there.csv: a file in an existing folder expected"),
        (["--output", "/"], "a file in an existing folder expected"),
    ],
)
def test_wrong_option_exits_with_2_and_is_named(runner, arguments, text):
    ended = runner.invoke(args=[*CHANGES, *arguments])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert text in ended.stderr.splitlines()[-1]


def test_database_without_a_catalogue_is_told_with_the_command_that_helps(runner, backend):
    with backend.contacts.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("TRUNCATE contact_field, contact_field_choice, origin")
    ended = runner.invoke(args=CHANGES)
    assert ended.exit_code == 2
    assert "`flask contacts sample --contacts 0`" in ended.stderr


def test_list_shows_the_newest_first_and_filters(runner):
    runner.invoke(args=CHANGES)
    runner.invoke(args=[*CHANGES, "--language", "de"])
    ids = [one["id"] for one in json.loads(runner.invoke(args=["export", "list", "--json"]).stdout)]
    assert ids == ["2", "1"]
    assert json.loads(runner.invoke(args=["export", "list", "--before", "2", "--json"]).stdout)[0]["id"] == "1"
    assert json.loads(runner.invoke(args=["export", "list", "--status", "error", "--json"]).stdout) == []
    table = runner.invoke(args=["export", "list"]).stdout.splitlines()
    assert table[0].split()[:3] == ["id", "created", "status"]
    assert table[1].split()[0] == "2"


@pytest.mark.parametrize("verb", ["show", "retry", "cancel"])
def test_unknown_export_exits_with_1(runner, verb):
    ended = runner.invoke(args=["export", verb, "99"])
    assert (ended.exit_code, ended.stdout, ended.stderr) == (1, "", "Error: Invalid export ID\n")


def test_finished_export_is_neither_tried_again_nor_cancelled(runner):
    runner.invoke(args=CHANGES)
    refused = runner.invoke(args=["export", "retry", "1"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert runner.invoke(args=["export", "cancel", "1"]).exit_code == 0
    assert shown(runner, 1)["status"] == "done"


def test_cancelled_export_can_be_tried_again_with_its_password(runner, monkeypatch):
    monkeypatch.setenv("FTP_PASSWORD", "geheim")
    runner.invoke(args=[*CHANGES, "--ftp", "ftp://anna@127.0.0.1:1/in"])
    cancelled = json.loads(runner.invoke(args=["export", "cancel", "1", "--json"]).stdout)
    assert (cancelled["status"], cancelled["error"]) == ("error", "cancelled")
    again = json.loads(runner.invoke(args=["export", "retry", "1", "--username", "berta", "--json"]).stdout)
    assert again["status"] in {"scheduled", "ready"}


def test_show_tells_what_was_asked_for_and_by_whom(runner):
    runner.invoke(args=CHANGES)
    told = dict(line.split(": ", 1) for line in runner.invoke(args=["export", "show", "1"]).stdout.splitlines())
    assert (told["origin"], told["origin_id"], told["contact_fields"]) == ("form", "123", "1, 3")
    assert told["time_range"] == "2012-02-09T00:00:00+00:00 to 2012-04-02T00:00:00+00:00"
    assert told["created_by"]
    assert "delivery" not in told
