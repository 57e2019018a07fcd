"""`flask export`: its output, its exit codes, and the bytes that arrive."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from contactexport.embedded import ftp_server, sample_contacts
from contactexport.errors import ALREADY_RUNNING
from contactexport.exports import run
from tests.support.contexts import database_url, make_context
from tests.support.exporting import context_with, database_time, execute, other_session

WINDOW = ("--from", "2012-02-09", "--to", "2012-04-02")
CHANGES = ("export", "changes", "--origin", "form", "--origin-id", "123", *WINDOW, "--fields", "1,3")


@pytest.fixture(scope="module")
def template(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The database that each test gets a copy of has contacts here."""
    name = f"{template}_with_contacts"
    with closing(psycopg2.connect(server_url)) as conn, conn.cursor() as cursor:
        conn.autocommit = True
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        context = make_context(database_url(server_url, name), tmp_path_factory.mktemp("contacts"))
        sample_contacts.generate(context.contacts, 200)
        context.database.close()
        yield name
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def stored(context):
    """The content of the newest finished file."""
    return lambda: max(context.settings.storage_dir.glob("*.csv"), key=lambda file: file.stat().st_mtime).read_bytes()


def shown(runner, export_id: int) -> dict:
    return json.loads(runner.invoke(args=["export", "show", str(export_id), "--json"]).stdout)


def test_export_runs_at_once_and_prints_path_of_its_file(runner, context, stored):
    ended = runner.invoke(args=CHANGES)
    assert (ended.exit_code, ended.stderr) == (0, "")
    told = dict(line.split(": ", 1) for line in ended.stdout.splitlines())
    assert told["status"] == "done"
    assert Path(told["file"]).read_bytes() == stored()
    assert int(told["rows"]) == len(list(csv.reader(io.StringIO(stored().decode(), newline="")))) - 1


def test_json_output_equals_status_of_api(runner, api):
    told = json.loads(runner.invoke(args=[*CHANGES, "--json"]).stdout)
    assert told == api.get(f"/api/v2/export/{told['id']}").json["data"]


def test_output_file_has_same_bytes_as_stored_file(runner, stored, tmp_path):
    target = tmp_path / "changes.csv"
    assert runner.invoke(args=[*CHANGES, "--output", str(target)]).exit_code == 0
    assert target.read_bytes() == stored()
    assert list(tmp_path.glob("*.part")) == []


def test_standard_output_gets_same_bytes_and_nothing_else(runner, stored):
    ended = runner.invoke(args=[*CHANGES, "--output", "-"])
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout_bytes == stored()


def test_output_to_device_leaves_device_in_place(runner):
    assert runner.invoke(args=[*CHANGES, "--output", "/dev/null"]).exit_code == 0
    assert Path("/dev/null").is_char_device()


def test_full_disk_error_names_stored_file(runner):
    ended = runner.invoke(args=[*CHANGES, "--output", "/dev/full"])
    assert (ended.exit_code, ended.stderr.count("\n")) == (1, 1)
    assert Path(ended.stderr.strip().rpartition(" ")[2]).is_file()


def test_header_language_and_delimiter_options_reach_file(runner, stored):
    runner.invoke(args=[*CHANGES, "--language", "de", "--delimiter", ";"])
    assert stored().startswith(b"user_id;Vorname;")
    runner.invoke(args=[*CHANGES, "--no-header"])
    assert not stored().startswith(b"user_id")


def test_field_list_may_contain_spaces(runner):
    assert runner.invoke(args=[*CHANGES[:-1], " 1, 3 "]).exit_code == 0


def test_fields_may_be_named_in_any_language(runner, stored):
    assert runner.invoke(args=[*CHANGES[:-1], "email,Vorname,last_name,5"]).exit_code == 0
    told = json.loads(runner.invoke(args=["export", "show", "1", "--json"]).stdout)
    assert told["contact_fields"] == [3, 1, 2, 5]


def test_file_arrives_by_ftp(runner, monkeypatch, tmp_path):
    monkeypatch.setenv("FTP_PASSWORD", "geheim")
    with ftp_server.running(tmp_path, "anna", "geheim", 0) as port:
        ended = runner.invoke(args=[*CHANGES, "--ftp", f"ftp://anna@127.0.0.1:{port}/in", "--json"])
    assert ended.exit_code == 0, ended.stderr
    assert (tmp_path / "in" / json.loads(ended.stdout)["file_name"]).is_file()


def test_ftp_password_prompt_goes_to_standard_error(runner, tmp_path):
    with ftp_server.running(tmp_path, "anna", "geheim", 0) as port:
        ended = runner.invoke(args=[*CHANGES, "--ftp", f"ftp://anna@127.0.0.1:{port}/in"], input="geheim\n")
    assert ended.exit_code == 0, ended.stderr
    assert ended.stderr.startswith("FTP password:")
    assert "geheim" not in ended.output


def test_failed_delivery_error_names_next_step(runner, monkeypatch):
    monkeypatch.setenv("FTP_PASSWORD", "geheim")
    ended = runner.invoke(args=[*CHANGES, "--ftp", "ftp://anna@127.0.0.1:1/in"])
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "Connection refused; a worker retries, or `flask export cancel 1`" in ended.stderr


def test_same_setting_exits_with_3_while_unfinished(runner, monkeypatch):
    monkeypatch.setenv("FTP_PASSWORD", "geheim")
    again = [*CHANGES, "--ftp", "ftp://anna@127.0.0.1:1/in"]
    runner.invoke(args=again)
    ended = runner.invoke(args=again)
    running = "It is export 1, see `flask export show 1`"
    assert (ended.exit_code, ended.stdout, ended.stderr) == (3, "", f"Error: {ALREADY_RUNNING} {running}\n")


def test_export_waiting_for_transaction_names_it_and_next_step(runner, app, context):
    app.extensions["contactexport"] = context_with(context, writers_wait=0)
    start = database_time(context)
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        pid = writer.get_backend_pid()
        window = ("--from", start.isoformat(), "--to", database_time(context).isoformat())
        command = ["export", "changes", "--origin", "all", *window, "--fields", "1"]
        ended = runner.invoke(args=command)
        cut = runner.invoke(args=[*command, "--may-end-early", "--json"])
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert (
        f"Export 1 is in progress: Open transactions may still add changes to the window: process {pid} "
        in ended.stderr
    )
    assert ended.stderr.endswith(
        "; a worker continues when that has ended (`flask export show 1`), or `flask export cancel 1`\n"
    )
    assert json.loads(cut.stdout)["status"] == "done"


def test_export_of_pruned_window_is_refused_unless_it_may_be_incomplete(runner, context):
    execute(context, "UPDATE contact_log_horizon SET complete_from = '2012-03-01'")
    refused = runner.invoke(args=CHANGES)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "changes before 2012-03-01T00:00:00+00:00 are no longer kept; may_be_incomplete" in refused.stderr
    told = json.loads(runner.invoke(args=[*CHANGES, "--may-be-incomplete", "--json"]).stdout)
    assert (told["status"], told["complete_from"]) == ("done", "2012-03-01T00:00:00+00:00")


def test_ctrl_c_cancels_export(runner, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run", interrupted)
    ended = runner.invoke(args=CHANGES)
    assert (ended.exit_code, ended.stderr) == (1, "Error: Export 1 is cancelled\n")
    assert shown(runner, 1)["error"] == "cancelled"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--from", "gestern"], "(--from gestern --to 2012-04-02): YYYY-MM-DD"),
        (["--from", "2013-01-01"], "end_date is earlier than the start_date"),
        (["--fields", "1,99"], "Invalid contact field id: 99"),
        (["--fields", "1,Firstname"], 'Unknown field: "Firstname"; did you mean "First Name" (1)'),
        (["--fields", "email;city"], 'Unknown field: "email;city"; '),
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


def test_empty_catalogue_error_names_command_that_helps(runner, context):
    with context.contacts.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("TRUNCATE contact_field, contact_field_choice, origin")
    ended = runner.invoke(args=CHANGES)
    assert ended.exit_code == 2
    assert "`flask contacts sample --contacts 0`" in ended.stderr


def test_list_shows_newest_first_and_filters(runner):
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


def test_finished_export_is_neither_retried_nor_cancelled(runner):
    runner.invoke(args=CHANGES)
    refused = runner.invoke(args=["export", "retry", "1"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert runner.invoke(args=["export", "cancel", "1"]).exit_code == 0
    assert shown(runner, 1)["status"] == "done"


def test_cancelled_export_can_be_retried_with_password(runner, monkeypatch):
    monkeypatch.setenv("FTP_PASSWORD", "geheim")
    runner.invoke(args=[*CHANGES, "--ftp", "ftp://anna@127.0.0.1:1/in"])
    cancelled = json.loads(runner.invoke(args=["export", "cancel", "1", "--json"]).stdout)
    assert (cancelled["status"], cancelled["error"]) == ("error", "cancelled")
    again = json.loads(runner.invoke(args=["export", "retry", "1", "--username", "berta", "--json"]).stdout)
    assert again["status"] in {"scheduled", "ready"}


def test_show_prints_request_and_requester(runner):
    runner.invoke(args=CHANGES)
    told = dict(line.split(": ", 1) for line in runner.invoke(args=["export", "show", "1"]).stdout.splitlines())
    assert (told["origin"], told["origin_id"], told["contact_fields"]) == ("form", "123", "1, 3")
    assert told["time_range"] == "2012-02-09T00:00:00+00:00 to 2012-04-02T00:00:00+00:00"
    assert told["created_by"]
    assert "delivery" not in told
