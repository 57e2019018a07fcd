"""Users see, cancel and download the exports of their team. Operators do so for all teams. Others learn nothing."""

import json

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from contactexport.cli import exports
from contactexport.context import Context
from contactexport.exports import accept
from contactexport.users import manage
from contactexport.users.models import Caller
from contactexport.users.store import Rights
from tests.support.exporting import REQUIRED_ONLY, by_ftp, row_of, run

GETCHANGES = "/api/v2/contact/getchanges"


@pytest.fixture
def clients(app: Flask, context: Context) -> dict[str, FlaskClient]:
    """Two users of the team shop, a user of another team, and an operator of a third one."""
    made = {}
    for name, rights in {
        "anna": Rights(team="shop"),
        "bert": Rights(team="shop"),
        "carl": Rights(team="agency"),
        "olga": Rights(team="house", operator=True),
    }.items():
        token = manage.add_user(context, name, with_wsse=False, with_token=True, rights=rights).token
        made[name] = app.test_client()
        made[name].environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return made


@pytest.fixture
def done(clients: dict[str, FlaskClient], context: Context) -> int:
    """A finished export of anna."""
    export_id = clients["anna"].post(GETCHANGES, json=REQUIRED_ONLY).json["data"]["id"]
    run(context, export_id)
    return int(export_id)


REQUESTS = [
    ("GET", "/api/v2/export/{}"),
    ("GET", "/api/v2/export/{}/data"),
    ("GET", "/api/v2/export/{}/data?offset=0&limit=1"),
    ("DELETE", "/api/v2/export/{}"),
]


@pytest.mark.parametrize("method, path", REQUESTS)
def test_other_team_gets_the_answer_for_an_unknown_export(clients, done, context, method, path):
    not_mine, none = (clients["carl"].open(path.format(export_id), method=method) for export_id in (done, 999))
    assert (not_mine.status_code, not_mine.json) == (none.status_code, none.json) == (400, none.json)
    assert none.json["replyText"] == "Invalid export ID"
    assert row_of(context, done)["file_deleted_at"] is None


@pytest.mark.parametrize("name", ["anna", "bert", "olga"])
@pytest.mark.parametrize("method, path", REQUESTS)
def test_team_and_operators_see_and_delete_an_export(clients, done, name, method, path):
    assert clients[name].open(path.format(done), method=method, buffered=True).status_code == 200


def test_list_holds_the_exports_of_the_team(clients, done):
    clients["carl"].post(GETCHANGES, json=REQUIRED_ONLY)
    listed = {
        name: [one["id"] for one in client.get("/api/v2/export").json["data"]] for name, client in clients.items()
    }
    assert listed == {"anna": ["1"], "bert": ["1"], "carl": ["2"], "olga": ["2", "1"]}


def test_same_setting_runs_once_in_each_team(clients, context: Context):
    """Nobody can block the export of another team with a request for the same one and a wrong password."""
    answers = {name: client.post(GETCHANGES, json=REQUIRED_ONLY) for name, client in clients.items()}
    assert {name: answer.json["replyCode"] for name, answer in answers.items()} == {
        "anna": 0,
        "bert": 4001,
        "carl": 0,
        "olga": 0,
    }
    named = {name: answer.headers.get("X-Export-Id") for name, answer in answers.items()}
    assert named == {"anna": None, "bert": str(answers["anna"].json["data"]["id"]), "carl": None, "olga": None}


def test_log_names_who_cancelled(clients, done, caplog):
    caplog.set_level("INFO", "contactexport")
    clients["carl"].post(GETCHANGES, json=REQUIRED_ONLY)
    clients["carl"].delete("/api/v2/export/2")
    clients["bert"].delete(f"/api/v2/export/{done}")
    events = [json.loads(one.message) for one in caplog.records if one.name == "contactexport.audit"]
    assert all(event.pop("request_id") for event in events)
    assert {"event": "export cancelled", "export": 2, "user": "carl"} in events
    assert {"event": "file deleted", "export": 1, "user": "bert"} in events


def test_user_sees_exports_of_a_new_team_from_the_next_request_on(clients, done, context):
    manage.set_user(context, "carl", None, {"team": "shop"})
    manage.set_user(context, "anna", None, {"team": "agency"})
    assert clients["carl"].get(f"/api/v2/export/{done}").status_code == 200
    assert clients["anna"].get(f"/api/v2/export/{done}").status_code == 400


def test_setting_key_depends_on_the_team(context: Context):
    anna = Caller("anna", team="shop")
    export_id = accept.request(context, by_ftp(1), "geheim", anna)
    assert row_of(context, export_id)["setting_key"] == by_ftp(1).key("shop") != by_ftp(1).key()


def test_command_line_sees_all_exports_and_requests_for_a_team(runner: FlaskCliRunner, done, clients, context):
    assert runner.invoke(exports.group, ["show", str(done)]).exit_code == 0
    window = ["--from", "2012-02-09", "--to", "2012-04-02"]
    options = ["--origin", "form", "--origin-id", "123", *window, "--fields", "1", "--team", "agency"]
    result = runner.invoke(exports.group, ["changes", *options])
    assert result.exit_code == 0, result.output
    assert [one["id"] for one in clients["carl"].get("/api/v2/export").json["data"]] == ["2"]
