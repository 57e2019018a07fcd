"""`flask users` with --oauth: what is printed and stored, and what ends with what."""

import json
import re

import pytest
from exporting import execute
from flask.testing import FlaskCliRunner
from wsse_header import wsse_header

from contactexport.backend import Backend
from contactexport.cli import user_commands
from contactexport.errors import Unauthorized
from contactexport.services import oauth
from contactexport.services.authenticate import authenticate


def users(runner: FlaskCliRunner, *arguments: str) -> str:
    result = runner.invoke(user_commands.group, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def in_json(runner: FlaskCliRunner, *arguments: str):
    return json.loads(users(runner, *arguments, "--json"))


def works(backend: Backend, made: dict[str, str]) -> bool:
    try:
        return bool(oauth.authenticate_client(backend, made["client_id"], made["client_secret"]))
    except Unauthorized:
        return False


def test_a_client_is_made_alone_and_works(runner: FlaskCliRunner, backend: Backend):
    made = in_json(runner, "add", "sync", "--oauth")
    assert (made["username"], made["secret"], made["token"]) == ("sync", None, None)
    assert re.fullmatch(r"cxc_[0-9a-f]{32}", made["client_id"])
    assert re.fullmatch(r"cxs_[\w-]{43}", made["client_secret"])
    assert works(backend, made)


def test_a_client_may_come_with_the_other_credentials(runner: FlaskCliRunner, backend: Backend):
    made = in_json(runner, "add", "all", "--wsse", "--token", "--oauth")
    assert authenticate(backend, wsse_header("all", made["secret"]), None).name == "all"
    assert authenticate(backend, None, f"Bearer {made['token']}").name == "all"
    assert works(backend, made)


def test_without_a_choice_no_client_is_made(runner: FlaskCliRunner):
    made = in_json(runner, "add", "anna")
    assert made["secret"]
    assert made["token"]
    assert (made["client_id"], made["client_secret"]) == (None, None)


def test_the_secret_is_shown_once_and_only_its_hash_is_stored(runner: FlaskCliRunner, backend: Backend):
    shown = dict(line.split() for line in users(runner, "add", "sync", "--oauth").splitlines())
    assert shown.keys() == {"username", "client_id", "client_secret"}
    (row,) = execute(backend, "SELECT u::text AS row, client_secret_hash FROM api_user AS u")
    assert shown["client_secret"] not in row["row"]
    assert len(bytes(row["client_secret_hash"])) == 32
    assert shown["client_secret"] not in users(runner, "list") + users(runner, "list", "--json")


def test_the_list_tells_who_has_a_client(runner: FlaskCliRunner):
    made = in_json(runner, "add", "all", "--wsse", "--oauth")
    users(runner, "add", "anna")
    every, anna = in_json(runner, "list")
    assert (every["has_oauth"], every["client_id"]) == (True, made["client_id"])
    assert (anna["has_oauth"], anna["client_id"]) == (False, None)
    assert "wsse+oauth" in users(runner, "list")


def test_rotating_what_a_user_has_replaces_the_client_too(runner: FlaskCliRunner, backend: Backend):
    former = in_json(runner, "add", "sync", "--oauth")
    made = in_json(runner, "rotate", "sync")
    assert (made["client_id"], made["secret"], made["token"]) == (former["client_id"], None, None)
    assert (works(backend, former), works(backend, made)) == (False, True)


def test_rotating_may_add_a_client_and_leaves_the_others(runner: FlaskCliRunner, backend: Backend):
    former = in_json(runner, "add", "anna")
    made = in_json(runner, "rotate", "anna", "--oauth")
    assert works(backend, made)
    assert authenticate(backend, None, f"Bearer {former['token']}").name == "anna"


def test_revoking_ends_the_client(runner: FlaskCliRunner, backend: Backend):
    made = in_json(runner, "add", "sync", "--oauth")
    users(runner, "revoke", "sync")
    assert not works(backend, made)
    assert in_json(runner, "list")[0]["has_oauth"] is False
    again = in_json(runner, "add", "sync", "--oauth")
    assert again["client_id"] != made["client_id"]
    assert (works(backend, made), works(backend, again)) == (False, True)


def test_an_expiry_is_not_for_clients(runner: FlaskCliRunner):
    result = runner.invoke(user_commands.group, ["add", "sync", "--oauth", "--expires", "30d"])
    assert (result.exit_code, "--expires is for tokens" in result.stderr) == (2, True)


@pytest.mark.parametrize("change", [["--team", "shop"], ["--compatible"]])
def test_changing_a_user_leaves_the_client_alone(change: list[str], runner: FlaskCliRunner, backend: Backend):
    made = in_json(runner, "add", "sync", "--oauth")
    users(runner, "set", "sync", *change)
    assert works(backend, made)
