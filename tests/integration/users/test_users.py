"""`flask users` and `flask secrets`: add, list, rotate and revoke, and what is stored."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from contactexport.cli import secrets as secret_commands
from contactexport.cli import users as user_commands
from contactexport.context import Context
from contactexport.errors import SecretUnreadable, Unauthorized
from contactexport.secrets.box import SecretBox
from contactexport.users import manage
from contactexport.users.authenticate import authenticate
from contactexport.users.client_rules import COMPATIBLE
from tests.support.wsse_header import wsse_header


def add(runner: FlaskCliRunner, name: str, *options: str) -> dict[str, str]:
    return json.loads(users(runner, "add", name, "--json", *options).stdout)


def users(runner: FlaskCliRunner, *arguments: str, exit_code: int = 0):
    result = runner.invoke(user_commands.group, arguments)
    assert result.exit_code == exit_code, result.output
    return result


def row(context: Context, name: str) -> dict[str, object]:
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT * FROM api_user WHERE name = %s", (name,))
        return dict(cursor.fetchone())


def test_add_without_options_makes_working_wsse_and_token(runner: FlaskCliRunner, context: Context):
    made = add(runner, "anna")
    assert made.keys() == {"username", "secret", "token", "token_expires_at", "client_id", "client_secret"}
    assert (made["client_id"], made["client_secret"]) == (None, None)
    assert authenticate(context, wsse_header("anna", made["secret"]), None).name == "anna"
    assert authenticate(context, None, f"Bearer {made['token']}").name == "anna"


def test_add_makes_only_the_requested_credentials(runner: FlaskCliRunner):
    assert add(runner, "anna", "--wsse")["token"] is None
    made = add(runner, "cron", "--token")
    assert made["secret"] is None
    assert made["token"].startswith("cx_")


def test_credentials_are_shown_once_and_stored_unreadably(runner: FlaskCliRunner, context: Context):
    shown = users(runner, "add", "anna")
    assert "not shown again" in shown.stderr
    values = dict(line.split() for line in shown.stdout.splitlines())
    stored = row(context, "anna")
    for value in (values["secret"], values["token"]):
        assert value not in users(runner, "list").output
        assert value not in users(runner, "list", "--json").output
        assert all(value.encode() not in bytes(stored[column]) for column in ("wsse_secret", "token_hash"))
    assert len(bytes(stored["token_hash"])) == 32


@pytest.mark.parametrize("name", ["", "x" * 101, 'a"b', "a'b", "a\\b", "a\nb", "a\x00b", " a", "a\u200bb"])
def test_name_that_no_header_can_carry_is_refused(name: str, runner: FlaskCliRunner):
    assert "Invalid user name" in users(runner, "add", name, exit_code=2).stderr


@pytest.mark.parametrize("name", ["x" * 100, "Zoë", "a b,c;d=e", "安娜"])
def test_any_other_name_works(name: str, runner: FlaskCliRunner, context: Context):
    made = add(runner, name)
    assert authenticate(context, wsse_header(name, made["secret"]), None).name == name


def test_taken_name_is_refused_and_nothing_changes(runner: FlaskCliRunner, context: Context):
    made = add(runner, "anna")
    assert "exists already" in users(runner, "add", "anna", exit_code=2).stderr
    assert authenticate(context, None, f"Bearer {made['token']}").name == "anna"


def test_revoke_ends_both_credentials_at_once(runner: FlaskCliRunner, context: Context):
    made = add(runner, "anna")
    users(runner, "revoke", "anna")
    for header, authorization in (
        (wsse_header("anna", made["secret"]), None),
        (None, f"Bearer {made['token']}"),
    ):
        with pytest.raises(Unauthorized):
            authenticate(context, header, authorization)
    assert "No active user 'anna'" in users(runner, "revoke", "anna", exit_code=2).stderr
    assert "No active user 'anna'" in users(runner, "rotate", "anna", exit_code=2).stderr


def test_revoked_name_may_be_used_again_with_new_credentials_only(runner: FlaskCliRunner, context: Context):
    former = add(runner, "anna")
    users(runner, "revoke", "anna")
    made = add(runner, "anna", "--token")
    assert authenticate(context, None, f"Bearer {made['token']}").name == "anna"
    with pytest.raises(Unauthorized):
        authenticate(context, None, f"Bearer {former['token']}")
    with pytest.raises(Unauthorized):
        authenticate(context, wsse_header("anna", former["secret"]), None)


def test_rotate_replaces_what_the_user_has(runner: FlaskCliRunner, context: Context):
    former = add(runner, "anna", "--wsse")
    made = json.loads(users(runner, "rotate", "anna", "--json").stdout)
    assert made["token"] is None
    assert authenticate(context, wsse_header("anna", made["secret"]), None).name == "anna"
    with pytest.raises(Unauthorized):
        authenticate(context, wsse_header("anna", former["secret"]), None)


def test_rotate_of_one_kind_keeps_the_other(runner: FlaskCliRunner, context: Context):
    former = add(runner, "anna")
    made = json.loads(users(runner, "rotate", "anna", "--token", "--json").stdout)
    assert authenticate(context, None, f"Bearer {made['token']}").name == "anna"
    assert authenticate(context, wsse_header("anna", former["secret"]), None).name == "anna"
    with pytest.raises(Unauthorized):
        authenticate(context, None, f"Bearer {former['token']}")


def test_token_expires_after_days_or_at_the_end_of_a_date(runner: FlaskCliRunner, context: Context):
    days = datetime.fromisoformat(add(runner, "anna", "--token", "--expires", "30d")["token_expires_at"])
    assert timedelta(days=29, hours=23) < days - datetime.now(UTC) <= timedelta(days=30)
    made = add(runner, "cron", "--token", "--expires", "2999-01-31")
    assert made["token_expires_at"] == "2999-02-01T00:00:00+00:00"
    assert authenticate(context, None, f"Bearer {made['token']}").name == "cron"
    expire(context, "cron")
    with pytest.raises(Unauthorized):
        authenticate(context, None, f"Bearer {made['token']}")


def expire(context: Context, name: str) -> None:
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("UPDATE api_user SET token_expires_at = now() WHERE name = %s", (name,))


def test_rotated_token_keeps_its_date_unless_another_is_given(runner: FlaskCliRunner, context: Context):
    before = add(runner, "anna", "--token", "--expires", "2999-01-31")["token_expires_at"]
    assert json.loads(users(runner, "rotate", "anna", "--json").stdout)["token_expires_at"] == before
    expire(context, "anna")
    assert "say with --expires" in users(runner, "rotate", "anna", exit_code=2).stderr
    made = json.loads(users(runner, "rotate", "anna", "--json", "--expires", "never").stdout)
    assert made["token_expires_at"] is None
    assert authenticate(context, None, f"Bearer {made['token']}").name == "anna"


@pytest.mark.parametrize(
    "expires", ["soon", "2027", "0d", "-3d", "2001-01-31", "2027-02-30", "9999-12-31", "999999d", ""]
)
def test_invalid_expiry_is_refused_and_adds_no_user(expires: str, runner: FlaskCliRunner):
    shown = users(runner, "add", "anna", "--token", "--expires", expires, exit_code=2)
    assert f"Invalid --expires '{expires}'" in shown.stderr
    assert json.loads(users(runner, "list", "--json").stdout) == []


def test_expiry_without_a_token_is_refused(runner: FlaskCliRunner):
    assert "--expires is for tokens" in users(runner, "add", "a", "--wsse", "--expires", "3d", exit_code=2).stderr
    add(runner, "b", "--wsse")
    assert "--expires is for tokens" in users(runner, "rotate", "b", "--expires", "3d", exit_code=2).stderr


def test_list_shows_the_credentials_of_each_user(runner: FlaskCliRunner):
    add(runner, "anna")
    add(runner, "bert", "--wsse", "--replay", "off")
    users(runner, "revoke", "anna")
    anna, bert = json.loads(users(runner, "list", "--json").stdout)
    assert (anna["name"], anna["has_wsse"], anna["has_token"], anna["revoked_at"] is None) == (
        "anna",
        False,
        False,
        False,
    )
    assert (bert["name"], bert["has_wsse"], bert["has_token"], bert["replay"]) == ("bert", True, False, "off")
    heading, *lines = users(runner, "list").stdout.splitlines()
    assert heading.split()[:3] == ["NAME", "TEAM", "CREDENTIALS"]
    assert [line.split()[:3] for line in lines] == [["anna", "default", "-"], ["bert", "default", "wsse"]]


def test_rotate_may_change_the_replay_mode(runner: FlaskCliRunner, context: Context):
    add(runner, "anna", "--wsse")
    users(runner, "rotate", "anna", "--replay", "off")
    assert row(context, "anna")["replay"] == "off"
    users(runner, "rotate", "anna")
    assert row(context, "anna")["replay"] == "off"


def with_key(app: Flask, context: Context, keys: str) -> Context:
    changed = dataclasses.replace(context, secrets=SecretBox(keys, context.settings.data_dir))
    app.extensions["contactexport"] = changed
    return changed


def test_rotated_secrets_are_readable_with_the_new_key_alone(app: Flask, runner: FlaskCliRunner, context: Context):
    old = with_key(app, context, "old")
    made = {name: add(runner, name) for name in ("anna", "bert")}
    export_id = store_ftp_secret(old, "ftp password")
    with_key(app, context, "new,old")
    shown = runner.invoke(secret_commands.group, ["rotate"])
    assert (shown.exit_code, shown.stdout) == (0, "3 secrets are encrypted with the first key\n")
    new = with_key(app, context, "new")
    for name, credentials in made.items():
        assert authenticate(new, wsse_header(name, credentials["secret"]), None).name == name
    assert new.secrets.decrypt(ftp_secret(new, export_id)) == "ftp password"


def test_secrets_of_several_batches_are_all_rotated(
    app: Flask, runner: FlaskCliRunner, context: Context, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("contactexport.secrets.rotate.BATCH", 2)
    with_key(app, context, "old")
    made = {f"user{number}": add(runner, f"user{number}", "--wsse") for number in range(5)}
    with_key(app, context, "new,old")
    assert runner.invoke(secret_commands.group, ["rotate"]).stdout.startswith("5 ")
    new = with_key(app, context, "new")
    assert all(authenticate(new, wsse_header(name, one["secret"]), None).name == name for name, one in made.items())


def test_undecryptable_secrets_are_named_and_the_others_rotated(app: Flask, runner: FlaskCliRunner, context: Context):
    with_key(app, context, "lost")
    add(runner, "anna")
    with_key(app, context, "old")
    made = add(runner, "bert")
    with_key(app, context, "new,old")
    shown = runner.invoke(secret_commands.group, ["rotate"])
    assert shown.exit_code == 1
    assert shown.stdout == "1 secrets are encrypted with the first key\n"
    assert "not readable: user anna\n" in shown.stderr
    assert "CONTACTEXPORT_SECRET_KEY was changed or lost" in shown.stderr
    assert "Traceback" not in shown.output
    new = with_key(app, context, "new")
    assert authenticate(new, wsse_header("bert", made["secret"]), None).name == "bert"


def test_tokens_work_and_new_secrets_can_be_made_after_a_lost_key(app: Flask, runner: FlaskCliRunner, context: Context):
    made = add(runner, "anna")
    changed = with_key(app, context, "another")
    with pytest.raises(SecretUnreadable, match="Add the old key after the new one"):
        authenticate(changed, wsse_header("anna", made["secret"]), None)
    assert authenticate(changed, None, f"Bearer {made['token']}").name == "anna"
    assert "anna" in users(runner, "list").stdout
    renewed = json.loads(users(runner, "rotate", "anna", "--wsse", "--json").stdout)
    assert authenticate(changed, wsse_header("anna", renewed["secret"]), None).name == "anna"


def store_ftp_secret(context: Context, password: str) -> int:
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(
            "INSERT INTO export (settings, setting_key, ftp_secret, file_name, created_by)"
            " VALUES ('{}', 1, %s, 'x.csv', 'anna') RETURNING id",
            (context.secrets.encrypt(password),),
        )
        return cursor.fetchone()["id"]


def ftp_secret(context: Context, export_id: int) -> bytes:
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT ftp_secret FROM export WHERE id = %s", (export_id,))
        return bytes(cursor.fetchone()["ftp_secret"])


def test_set_changes_only_the_named_rights(runner: FlaskCliRunner, context: Context):
    made = add(runner, "anna", "--team", "shop", "--exports", "3")
    before = row(context, "anna")
    told = json.loads(
        users(runner, "set", "anna", "--compatible", "--requests-per-minute", "60", "--expires", "30d", "--json").stdout
    )
    assert (told["compatible"], told["requests_per_minute"], told["exports_per_user"], told["team"]) == (
        True,
        60,
        3,
        "shop",
    )
    after = row(context, "anna")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"compatible", "requests_per_minute", "token_expires_at"}
    caller = authenticate(context, None, f"Bearer {made['token']}")
    assert (caller.rules, caller.requests_per_minute, caller.exports_per_user, caller.team) == (
        COMPATIBLE,
        60,
        3,
        "shop",
    )


def test_set_restores_the_defaults(runner: FlaskCliRunner, context: Context):
    add(runner, "anna", "--compatible", "--operator", "--requests-per-minute", "60")
    users(runner, "set", "anna", "--strict", "--no-operator", "--requests-per-minute", "default", "--expires", "never")
    after = row(context, "anna")
    assert [after[name] for name in ("compatible", "operator", "requests_per_minute", "token_expires_at")] == [
        False,
        False,
        None,
        None,
    ]


@pytest.mark.parametrize(
    "options, told",
    [
        ([], "Nothing to change"),
        (["--exports", "0"], "'0' is not a whole number from 1 on, nor `default`"),
        (["--requests-per-minute", "many"], "'many' is not a whole number"),
        (["--team", ""], "Invalid team name ''"),
        (["--team", "a\nb"], "Invalid team name"),
        (["--expires", "soon"], "soon"),
    ],
)
def test_invalid_change_is_refused_and_changes_nothing(runner: FlaskCliRunner, context: Context, options, told):
    add(runner, "anna")
    before = row(context, "anna")
    assert told in users(runner, "set", "anna", *options, exit_code=2).output
    assert row(context, "anna") == before


def test_set_refuses_a_revoked_user_and_a_missing_token(runner: FlaskCliRunner):
    add(runner, "shop", "--wsse")
    assert "has no token" in users(runner, "set", "shop", "--expires", "30d", exit_code=2).output
    users(runner, "revoke", "shop")
    assert "No active user 'shop'" in users(runner, "set", "shop", "--compatible", exit_code=2).output


def test_role_of_a_user_is_set_by_name_and_shown_in_the_list(context, runner):
    runner.invoke(args=["users", "add", "vera", "--token", "--viewer"])
    users = {user["name"]: user for user in json.loads(runner.invoke(args=["users", "list", "--json"]).output)}
    assert (users["vera"]["viewer"], users["vera"]["operator"]) == (True, False)
    assert " viewer " in runner.invoke(args=["users", "list"]).output
    for role, shown in (("operator", " operator "), ("viewer", " viewer "), ("none", " - ")):
        answer = runner.invoke(args=["users", "role", "vera", role])
        assert (answer.exit_code, shown in answer.output) == (0, True)


def test_nobody_is_operator_and_viewer(context, runner):
    answer = runner.invoke(args=["users", "add", "vera", "--operator", "--viewer"])
    assert (answer.exit_code, "either an operator or a viewer" in answer.output) == (2, True)
    runner.invoke(args=["users", "add", "vera", "--operator"])
    runner.invoke(args=["users", "set", "vera", "--viewer"])
    user = next(one for one in manage.list_users(context) if one.name == "vera")
    assert (user.role, user.operator) == ("viewer", False)


def test_commands_have_lines_in_the_audit_log_without_secrets(runner: FlaskCliRunner, caplog: pytest.LogCaptureFixture):
    made = [add(runner, "anna", "--operator", "--wsse", "--token")]
    users(runner, "role", "anna", "viewer")
    users(runner, "set", "anna", "--exports", "3", "--replay", "off")
    made.append(json.loads(users(runner, "rotate", "anna", "--token", "--json").stdout))
    users(runner, "revoke", "anna")
    users(runner, "revoke", "anna", exit_code=2)
    lines = [json.loads(one.getMessage()) for one in caplog.records if one.name == "contactexport.audit"]
    shown = [
        (one["event"], one.get("added") or one["changed"], one["by"], one.get("role"), one.get("kinds"))
        for one in lines
    ]
    assert shown == [
        ("user added", "anna", "command line", "operator", ["token", "wsse"]),
        ("user changed", "anna", "command line", "viewer", None),
        ("user changed", "anna", "command line", "viewer", None),
        ("credentials replaced", "anna", "command line", None, ["token"]),
        ("user revoked", "anna", "command line", None, None),
    ]
    assert (lines[2]["exports_per_user"], lines[2]["replay"]) == (3, "off")
    assert all(one["user"].startswith("cli:") for one in lines)
    assert not [one for new in made for one in (new["secret"], new["token"]) if one and one in caplog.text]
