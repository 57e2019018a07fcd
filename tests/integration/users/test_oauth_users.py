"""`flask users` with --oauth: what is printed and stored, and when a client ends."""

import json
import re

import pytest
from flask.testing import FlaskCliRunner

from contactexport.cli import users as user_commands
from contactexport.context import Context
from contactexport.errors import Unauthorized
from contactexport.users import oauth
from contactexport.users.authenticate import authenticate
from tests.support.exporting import execute
from tests.support.wsse_header import wsse_header


def users(runner: FlaskCliRunner, *arguments: str) -> str:
    result = runner.invoke(user_commands.group, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def in_json(runner: FlaskCliRunner, *arguments: str):
    return json.loads(users(runner, *arguments, "--json"))


def works(context: Context, made: dict[str, str]) -> bool:
    try:
        return bool(oauth.authenticate_client(context, made["client_id"], made["client_secret"]))
    except Unauthorized:
        return False


def test_add_with_oauth_makes_only_a_working_client(runner: FlaskCliRunner, context: Context):
    made = in_json(runner, "add", "sync", "--oauth")
    assert (made["username"], made["secret"], made["token"]) == ("sync", None, None)
    assert re.fullmatch(r"cxc_[0-9a-f]{32}", made["client_id"])
    assert re.fullmatch(r"cxs_[\w-]{43}", made["client_secret"])
    assert works(context, made)


def test_client_may_be_added_with_the_other_credentials(runner: FlaskCliRunner, context: Context):
    made = in_json(runner, "add", "all", "--wsse", "--token", "--oauth")
    assert authenticate(context, wsse_header("all", made["secret"]), None).name == "all"
    assert authenticate(context, None, f"Bearer {made['token']}").name == "all"
    assert works(context, made)


def test_add_without_options_makes_no_client(runner: FlaskCliRunner):
    made = in_json(runner, "add", "anna")
    assert made["secret"]
    assert made["token"]
    assert (made["client_id"], made["client_secret"]) == (None, None)


def test_client_secret_is_shown_once_and_only_its_hash_is_stored(runner: FlaskCliRunner, context: Context):
    shown = dict(line.split() for line in users(runner, "add", "sync", "--oauth").splitlines())
    assert shown.keys() == {"username", "client_id", "client_secret"}
    (row,) = execute(context, "SELECT u::text AS row, client_secret_hash FROM api_user AS u")
    assert shown["client_secret"] not in row["row"]
    assert len(bytes(row["client_secret_hash"])) == 32
    assert shown["client_secret"] not in users(runner, "list") + users(runner, "list", "--json")


def test_list_shows_who_has_a_client(runner: FlaskCliRunner):
    made = in_json(runner, "add", "all", "--wsse", "--oauth")
    users(runner, "add", "anna")
    every, anna = in_json(runner, "list")
    assert (every["has_oauth"], every["client_id"]) == (True, made["client_id"])
    assert (anna["has_oauth"], anna["client_id"]) == (False, None)
    assert "wsse+oauth" in users(runner, "list")


def test_rotate_without_options_replaces_the_client_secret(runner: FlaskCliRunner, context: Context):
    former = in_json(runner, "add", "sync", "--oauth")
    made = in_json(runner, "rotate", "sync")
    assert (made["client_id"], made["secret"], made["token"]) == (former["client_id"], None, None)
    assert (works(context, former), works(context, made)) == (False, True)


def test_rotate_may_add_a_client_and_keeps_the_others(runner: FlaskCliRunner, context: Context):
    former = in_json(runner, "add", "anna")
    made = in_json(runner, "rotate", "anna", "--oauth")
    assert works(context, made)
    assert authenticate(context, None, f"Bearer {former['token']}").name == "anna"


def test_revoke_ends_the_client(runner: FlaskCliRunner, context: Context):
    made = in_json(runner, "add", "sync", "--oauth")
    users(runner, "revoke", "sync")
    assert not works(context, made)
    assert in_json(runner, "list")[0]["has_oauth"] is False
    again = in_json(runner, "add", "sync", "--oauth")
    assert again["client_id"] != made["client_id"]
    assert (works(context, made), works(context, again)) == (False, True)


def test_expiry_for_a_client_is_refused(runner: FlaskCliRunner):
    result = runner.invoke(user_commands.group, ["add", "sync", "--oauth", "--expires", "30d"])
    assert (result.exit_code, "--expires is for tokens" in result.stderr) == (2, True)


@pytest.mark.parametrize("change", [["--team", "shop"], ["--compatible"]])
def test_set_keeps_the_client(change: list[str], runner: FlaskCliRunner, context: Context):
    made = in_json(runner, "add", "sync", "--oauth")
    users(runner, "set", "sync", *change)
    assert works(context, made)
