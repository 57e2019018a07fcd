"""`flask users` and `flask secrets`: adding, listing, rotating and revoking, and what is stored of it."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from wsse_header import wsse_header

from contactexport.backend import Backend
from contactexport.cli import secret_commands, user_commands
from contactexport.errors import SecretUnreadable, Unauthorized
from contactexport.secret_box import SecretBox
from contactexport.services.authenticate import authenticate


def add(runner: FlaskCliRunner, name: str, *options: str) -> dict[str, str]:
    return json.loads(users(runner, "add", name, "--json", *options).stdout)


def users(runner: FlaskCliRunner, *arguments: str, exit_code: int = 0):
    result = runner.invoke(user_commands.group, arguments)
    assert result.exit_code == exit_code, result.output
    return result


def row(backend: Backend, name: str) -> dict[str, object]:
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT * FROM api_user WHERE name = %s", (name,))
        return dict(cursor.fetchone())


def test_adding_without_a_choice_makes_both_credentials_and_both_work(runner: FlaskCliRunner, backend: Backend):
    made = add(runner, "anna")
    assert made.keys() == {"username", "secret", "token", "token_expires_at", "client_id", "client_secret"}
    assert (made["client_id"], made["client_secret"]) == (None, None)
    assert authenticate(backend, wsse_header("anna", made["secret"]), None).name == "anna"
    assert authenticate(backend, None, f"Bearer {made['token']}").name == "anna"


def test_only_what_was_asked_for_is_made(runner: FlaskCliRunner):
    assert add(runner, "anna", "--wsse")["token"] is None
    made = add(runner, "cron", "--token")
    assert made["secret"] is None
    assert made["token"].startswith("cx_")


def test_the_credentials_are_shown_once_and_stored_unreadably(runner: FlaskCliRunner, backend: Backend):
    shown = users(runner, "add", "anna")
    assert "not shown again" in shown.stderr
    values = dict(line.split() for line in shown.stdout.splitlines())
    stored = row(backend, "anna")
    for value in (values["secret"], values["token"]):
        assert value not in users(runner, "list").output
        assert value not in users(runner, "list", "--json").output
        assert all(value.encode() not in bytes(stored[column]) for column in ("wsse_secret", "token_hash"))
    assert len(bytes(stored["token_hash"])) == 32


@pytest.mark.parametrize("name", ["", "x" * 101, 'a"b', "a'b", "a\\b", "a\nb", "a\x00b", " a", "a\u200bb"])
def test_a_name_that_no_header_can_carry_is_refused(name: str, runner: FlaskCliRunner):
    assert "Invalid user name" in users(runner, "add", name, exit_code=2).stderr


@pytest.mark.parametrize("name", ["x" * 100, "Zoë", "a b,c;d=e", "安娜"])
def test_any_other_name_works(name: str, runner: FlaskCliRunner, backend: Backend):
    made = add(runner, name)
    assert authenticate(backend, wsse_header(name, made["secret"]), None).name == name


def test_a_name_that_is_taken_is_refused_and_nothing_changes(runner: FlaskCliRunner, backend: Backend):
    made = add(runner, "anna")
    assert "exists already" in users(runner, "add", "anna", exit_code=2).stderr
    assert authenticate(backend, None, f"Bearer {made['token']}").name == "anna"


def test_revoking_ends_both_credentials_at_once(runner: FlaskCliRunner, backend: Backend):
    made = add(runner, "anna")
    users(runner, "revoke", "anna")
    for header, authorization in (
        (wsse_header("anna", made["secret"]), None),
        (None, f"Bearer {made['token']}"),
    ):
        with pytest.raises(Unauthorized):
            authenticate(backend, header, authorization)
    assert "No active user 'anna'" in users(runner, "revoke", "anna", exit_code=2).stderr
    assert "No active user 'anna'" in users(runner, "rotate", "anna", exit_code=2).stderr


def test_a_revoked_name_may_be_used_again_with_new_credentials_only(runner: FlaskCliRunner, backend: Backend):
    former = add(runner, "anna")
    users(runner, "revoke", "anna")
    made = add(runner, "anna", "--token")
    assert authenticate(backend, None, f"Bearer {made['token']}").name == "anna"
    with pytest.raises(Unauthorized):
        authenticate(backend, None, f"Bearer {former['token']}")
    with pytest.raises(Unauthorized):
        authenticate(backend, wsse_header("anna", former["secret"]), None)


def test_rotating_replaces_what_the_user_has(runner: FlaskCliRunner, backend: Backend):
    former = add(runner, "anna", "--wsse")
    made = json.loads(users(runner, "rotate", "anna", "--json").stdout)
    assert made["token"] is None
    assert authenticate(backend, wsse_header("anna", made["secret"]), None).name == "anna"
    with pytest.raises(Unauthorized):
        authenticate(backend, wsse_header("anna", former["secret"]), None)


def test_rotating_one_kind_leaves_the_other(runner: FlaskCliRunner, backend: Backend):
    former = add(runner, "anna")
    made = json.loads(users(runner, "rotate", "anna", "--token", "--json").stdout)
    assert authenticate(backend, None, f"Bearer {made['token']}").name == "anna"
    assert authenticate(backend, wsse_header("anna", former["secret"]), None).name == "anna"
    with pytest.raises(Unauthorized):
        authenticate(backend, None, f"Bearer {former['token']}")


def test_a_token_expires_after_days_or_at_the_end_of_a_date(runner: FlaskCliRunner, backend: Backend):
    days = datetime.fromisoformat(add(runner, "anna", "--token", "--expires", "30d")["token_expires_at"])
    assert timedelta(days=29, hours=23) < days - datetime.now(UTC) <= timedelta(days=30)
    made = add(runner, "cron", "--token", "--expires", "2999-01-31")
    assert made["token_expires_at"] == "2999-02-01T00:00:00+00:00"
    assert authenticate(backend, None, f"Bearer {made['token']}").name == "cron"
    expire(backend, "cron")
    with pytest.raises(Unauthorized):
        authenticate(backend, None, f"Bearer {made['token']}")


def expire(backend: Backend, name: str) -> None:
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("UPDATE api_user SET token_expires_at = now() WHERE name = %s", (name,))


def test_a_rotated_token_keeps_the_date_unless_another_is_given(runner: FlaskCliRunner, backend: Backend):
    before = add(runner, "anna", "--token", "--expires", "2999-01-31")["token_expires_at"]
    assert json.loads(users(runner, "rotate", "anna", "--json").stdout)["token_expires_at"] == before
    expire(backend, "anna")
    assert "say with --expires" in users(runner, "rotate", "anna", exit_code=2).stderr
    made = json.loads(users(runner, "rotate", "anna", "--json", "--expires", "never").stdout)
    assert made["token_expires_at"] is None
    assert authenticate(backend, None, f"Bearer {made['token']}").name == "anna"


@pytest.mark.parametrize(
    "expires", ["soon", "2027", "0d", "-3d", "2001-01-31", "2027-02-30", "9999-12-31", "999999d", ""]
)
def test_an_expiry_that_is_none_is_refused_and_no_user_made(expires: str, runner: FlaskCliRunner):
    shown = users(runner, "add", "anna", "--token", "--expires", expires, exit_code=2)
    assert f"Invalid --expires '{expires}'" in shown.stderr
    assert json.loads(users(runner, "list", "--json").stdout) == []


def test_an_expiry_without_a_token_is_refused(runner: FlaskCliRunner):
    assert "--expires is for tokens" in users(runner, "add", "a", "--wsse", "--expires", "3d", exit_code=2).stderr
    add(runner, "b", "--wsse")
    assert "--expires is for tokens" in users(runner, "rotate", "b", "--expires", "3d", exit_code=2).stderr


def test_the_list_tells_who_has_what(runner: FlaskCliRunner):
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


def test_rotating_may_change_how_repetitions_are_taken(runner: FlaskCliRunner, backend: Backend):
    add(runner, "anna", "--wsse")
    users(runner, "rotate", "anna", "--replay", "off")
    assert row(backend, "anna")["replay"] == "off"
    users(runner, "rotate", "anna")
    assert row(backend, "anna")["replay"] == "off"


def with_key(app: Flask, backend: Backend, keys: str) -> Backend:
    changed = dataclasses.replace(backend, secrets=SecretBox(keys, backend.settings.data_dir))
    app.extensions["contactexport"] = changed
    return changed


def test_rotated_secrets_are_readable_with_the_new_key_alone(app: Flask, runner: FlaskCliRunner, backend: Backend):
    old = with_key(app, backend, "old")
    made = {name: add(runner, name) for name in ("anna", "bert")}
    export_id = store_ftp_secret(old, "ftp password")
    with_key(app, backend, "new,old")
    shown = runner.invoke(secret_commands.group, ["rotate"])
    assert (shown.exit_code, shown.stdout) == (0, "3 secrets are under the first key\n")
    new = with_key(app, backend, "new")
    for name, credentials in made.items():
        assert authenticate(new, wsse_header(name, credentials["secret"]), None).name == name
    assert new.secrets.decrypt(ftp_secret(new, export_id)) == "ftp password"


def test_more_secrets_than_one_batch_are_all_rotated(
    app: Flask, runner: FlaskCliRunner, backend: Backend, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("contactexport.services.rotate_secrets.BATCH", 2)
    with_key(app, backend, "old")
    made = {f"user{number}": add(runner, f"user{number}", "--wsse") for number in range(5)}
    with_key(app, backend, "new,old")
    assert runner.invoke(secret_commands.group, ["rotate"]).stdout.startswith("5 ")
    new = with_key(app, backend, "new")
    assert all(authenticate(new, wsse_header(name, one["secret"]), None).name == name for name, one in made.items())


def test_secrets_no_key_fits_are_named_and_the_others_rotated(app: Flask, runner: FlaskCliRunner, backend: Backend):
    with_key(app, backend, "lost")
    add(runner, "anna")
    with_key(app, backend, "old")
    made = add(runner, "bert")
    with_key(app, backend, "new,old")
    shown = runner.invoke(secret_commands.group, ["rotate"])
    assert shown.exit_code == 1
    assert shown.stdout == "1 secrets are under the first key\n"
    assert "not readable: user anna\n" in shown.stderr
    assert "CONTACTEXPORT_SECRET_KEY was changed or lost" in shown.stderr
    assert "Traceback" not in shown.output
    new = with_key(app, backend, "new")
    assert authenticate(new, wsse_header("bert", made["secret"]), None).name == "bert"


def test_with_a_lost_key_tokens_work_and_new_secrets_can_be_made(app: Flask, runner: FlaskCliRunner, backend: Backend):
    made = add(runner, "anna")
    changed = with_key(app, backend, "another")
    with pytest.raises(SecretUnreadable, match="Put the former key back"):
        authenticate(changed, wsse_header("anna", made["secret"]), None)
    assert authenticate(changed, None, f"Bearer {made['token']}").name == "anna"
    assert "anna" in users(runner, "list").stdout
    renewed = json.loads(users(runner, "rotate", "anna", "--wsse", "--json").stdout)
    assert authenticate(changed, wsse_header("anna", renewed["secret"]), None).name == "anna"


def store_ftp_secret(backend: Backend, password: str) -> int:
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(
            "INSERT INTO export (settings, setting_key, ftp_secret, file_name, created_by)"
            " VALUES ('{}', 1, %s, 'x.csv', 'anna') RETURNING id",
            (backend.secrets.encrypt(password),),
        )
        return cursor.fetchone()["id"]


def ftp_secret(backend: Backend, export_id: int) -> bytes:
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT ftp_secret FROM export WHERE id = %s", (export_id,))
        return bytes(cursor.fetchone()["ftp_secret"])


def test_setting_changes_what_is_named_and_keeps_secrets_and_the_rest(runner: FlaskCliRunner, backend: Backend):
    made = add(runner, "anna", "--team", "shop", "--exports", "3")
    before = row(backend, "anna")
    told = json.loads(
        users(runner, "set", "anna", "--compatible", "--requests-per-minute", "60", "--expires", "30d", "--json").stdout
    )
    assert (told["compatible"], told["requests_per_minute"], told["exports_per_user"], told["team"]) == (
        True,
        60,
        3,
        "shop",
    )
    after = row(backend, "anna")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"compatible", "requests_per_minute", "token_expires_at"}
    caller = authenticate(backend, None, f"Bearer {made['token']}")
    assert (caller.compatible, caller.requests_per_minute, caller.exports_per_user, caller.team) == (
        True,
        60,
        3,
        "shop",
    )


def test_setting_back_to_what_counts_for_all(runner: FlaskCliRunner, backend: Backend):
    add(runner, "anna", "--compatible", "--operator", "--requests-per-minute", "60")
    users(runner, "set", "anna", "--strict", "--no-operator", "--requests-per-minute", "default", "--expires", "never")
    after = row(backend, "anna")
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
def test_a_change_that_is_none_is_refused_and_changes_nothing(runner: FlaskCliRunner, backend: Backend, options, told):
    add(runner, "anna")
    before = row(backend, "anna")
    assert told in users(runner, "set", "anna", *options, exit_code=2).output
    assert row(backend, "anna") == before


def test_only_an_active_user_and_a_token_that_exists_are_changed(runner: FlaskCliRunner):
    add(runner, "shop", "--wsse")
    assert "has no token" in users(runner, "set", "shop", "--expires", "30d", exit_code=2).output
    users(runner, "revoke", "shop")
    assert "No active user 'shop'" in users(runner, "set", "shop", "--compatible", exit_code=2).output
