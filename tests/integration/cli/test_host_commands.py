"""`flask hosts` shows and forgets what was learned about FTP hosts. A request can set the temporary name."""

import json
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.embedded import ftp_server, sample_contacts
from contactexport.exports.models import ExportSettings, FtpTarget
from tests.support.exporting import REQUIRED_ONLY, add_contact, around_now, execute, request, run, settings_for
from tests.support.ftp_hosts import RenamesNothing, serving


@pytest.fixture
def known(context: Context) -> None:
    execute(
        context,
        "INSERT INTO ftp_host_trait (host, port, username, trait, told, temporary_name) VALUES"
        " ('ftp.example.com', 21, 'anna', 'no_rename', '550 Permission denied.', '%%s.part'),"
        " ('ftp.example.com', 21, 'anna', 'no_size', '502 [red]No[/red]', '%%s.part'),"
        " ('ftp.example.com', 21, 'bert', 'no_size', '502 No', '%%s.part'),"
        " ('ftp.example.com', 2121, 'anna', 'sings', 'la', '%%s.part'),"
        " ('2001:db8::7', 21, 'anna', 'archives', '550 No such file', '%%s.part')",
        (),
    )


def left(context: Context) -> list[str]:
    rows = execute(context, "SELECT host, port, username, trait FROM ftp_host_trait ORDER BY 1, 2, 3, 4")
    return [f"{row['host']} {row['port']} {row['username']} {row['trait']}" for row in rows]


@pytest.mark.usefixtures("known")
def test_list_shows_traits_and_replies_that_showed_them(runner):
    ended = runner.invoke(args=["hosts", "list"])
    assert ended.exit_code == 0
    assert "does not rename: files are uploaded under their own name" in ended.stdout
    assert "550 Permission denied." in ended.stdout
    assert "502 [red]No[/red]" in ended.stdout
    shown = json.loads(runner.invoke(args=["hosts", "list", "--json"]).stdout)
    assert len(shown) == 5
    assert shown[0] | {"learned_at": ""} == {
        "host": "2001:db8::7",
        "port": 21,
        "username": "anna",
        "trait": "archives",
        "meaning": "takes files away at once: they are uploaded under their own name",
        "told": "550 No such file",
        "temporary_name": "%s.part",
        "learned_at": "",
    }


def test_list_is_empty_when_nothing_is_known(runner):
    assert json.loads(runner.invoke(args=["hosts", "list", "--json"]).stdout) == []


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    "arguments,forgotten",
    [
        (["ftp.example.com"], 4),
        (["FTP.Example.com."], 4),
        (["ftp.example.com:21"], 3),
        (["ftp.example.com", "--user", "anna"], 3),
        (["ftp.example.com:21", "--user", "bert"], 1),
        (["2001:db8::7"], 1),
        (["[2001:db8::7]:21"], 1),
    ],
)
def test_forget_drops_traits_of_host_port_or_user(runner, context: Context, arguments, forgotten: int):
    ended = runner.invoke(args=["hosts", "forget", *arguments])
    assert (ended.exit_code, ended.stdout) == (0, f"{forgotten} forgotten about {arguments[0]}\n")
    assert len(left(context)) == 5 - forgotten


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    "arguments,code,error",
    [
        (["ftp.example.org"], 1, "Nothing is known about ftp.example.org; see `flask hosts list`"),
        (["ftp.example.com:22"], 1, "Nothing is known about ftp.example.com:22; see"),
        (["ftp.example.com", "--user", "x"], 1, "Nothing is known about ftp.example.com for the user x; see"),
        (["ftp.example.com:x"], 2, "Invalid value for HOST[:PORT]: ftp.example.com:x: ftp.example.com, 192.0.2.7:2121"),
        (["ftp.example.com:99999"], 2, "Invalid value for HOST[:PORT]: "),
        (["ftp://ftp.example.com"], 2, "Invalid value for HOST[:PORT]: "),
        (["anna@ftp.example.com"], 2, "Invalid value for HOST[:PORT]: "),
        ([""], 2, "Invalid value for HOST[:PORT]: "),
    ],
)
def test_forget_names_unknown_or_invalid_host(runner, context: Context, arguments, code: int, error: str):
    ended = runner.invoke(args=["hosts", "forget", *arguments])
    assert ended.exit_code == code
    assert ended.stderr.startswith(f"Error: {error}")
    assert len(left(context)) == 5


def test_delivery_tries_everything_again_at_forgotten_host(runner, context: Context, tmp_path: Path):
    def deliver() -> None:
        add_contact(context)
        target = FtpTarget("127.0.0.1", port, "user")
        export_id = request(context, settings_for(distribution_method="ftp", ftp=target, **around_now()))
        assert run(context, export_id).status == "done"

    with serving(tmp_path / "inbox", RenamesNothing) as (port, told):
        deliver()
        deliver()
        assert told.count("RNFR") == 1
        assert runner.invoke(args=["hosts", "forget", f"127.0.0.1:{port}"]).exit_code == 0
        deliver()
        assert told.count("RNFR") == 2


# Temporary names


ACCEPTED = ["%s.tmp", "%s", "in/%s.part", "/tmp/%s", ".%s.x-1 y"]
REFUSED = ["", "x", "%s%s", "%d", "%s%", "in/", "%s/x", "%s.tmp\r\nDELE x", "%s.täp", "%s" * 300, 5, ["%s"], True]


def asked(api, name: object):
    ftp = {"host": "127.0.0.1", "username": "user", "password": "x", "temporary_name": name}
    return api.post(
        "/api/v2/contact/getchanges", json=REQUIRED_ONLY | {"distribution_method": "ftp", "ftp_settings": ftp}
    )


@pytest.mark.parametrize("name", ACCEPTED)
def test_request_sets_temporary_name(api, context: Context, name: str):
    answer = asked(api, name)
    assert answer.status_code == 200, answer.json
    stored = execute(context, "SELECT settings FROM export")[0]["settings"]
    assert ExportSettings.from_json(stored).ftp.temporary_name == stored["ftp"]["temporary_name"] == name


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_temporary_name_is_refused(api, name: object):
    shown = name if isinstance(name, str) else json.dumps(name)
    answer = asked(api, name)
    assert (answer.status_code, answer.json["replyCode"]) == (400, 10001)
    assert answer.json["replyText"].startswith(f"Invalid value for ftp_settings.temporary_name: {shown}")


def test_request_without_temporary_name_keeps_its_setting_key(api, context: Context):
    assert asked(api, None).status_code == 200
    assert "temporary_name" not in execute(context, "SELECT settings FROM export")[0]["settings"]["ftp"]
    assert asked(api, None).json["replyCode"] == 4001
    assert asked(api, "%s.tmp").status_code == 200


def test_command_line_sets_temporary_name(runner, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FTP_PASSWORD", "geheim")
    sample_contacts.generate(context.contacts, 20)
    with ftp_server.running(tmp_path, "anna", "geheim", 0) as port:
        command = [
            "export",
            "changes",
            "--origin",
            "all",
            "--from",
            "2012-02-09",
            "--to",
            "2012-04-02",
            "--fields",
            "1",
        ]
        command += ["--ftp", f"ftp://anna@127.0.0.1:{port}/in"]
        refused = runner.invoke(args=[*command, "--ftp-temporary-name", "x"])
        ended = runner.invoke(args=[*command, "--ftp-temporary-name", "tmp/%s", "--json"])
    assert (refused.exit_code, ended.exit_code) == (2, 0)
    assert "a name such as %s.part or in/%s.tmp expected" in refused.stderr
    assert (tmp_path / "in" / "tmp").is_dir()
