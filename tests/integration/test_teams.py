"""A user sees, cancels and downloads what its team asked for, an operator everything, and nobody else learns of it."""

import pytest
from exporting import REQUIRED_ONLY, by_ftp, row_of, run
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from contactexport.backend import Backend
from contactexport.cli import export_commands
from contactexport.db.user_repository import Rights
from contactexport.models import Caller
from contactexport.services import manage_users, request_export

GETCHANGES = "/api/v2/contact/getchanges"


@pytest.fixture
def clients(app: Flask, backend: Backend) -> dict[str, FlaskClient]:
    """Two users of the team shop, one of another team, an operator of a third."""
    made = {}
    for name, rights in {
        "anna": Rights(team="shop"),
        "bert": Rights(team="shop"),
        "carl": Rights(team="agency"),
        "olga": Rights(team="house", operator=True),
    }.items():
        token = manage_users.add_user(backend, name, with_wsse=False, with_token=True, rights=rights).token
        made[name] = app.test_client()
        made[name].environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return made


@pytest.fixture
def done(clients: dict[str, FlaskClient], backend: Backend) -> int:
    """An export of anna's that is done."""
    export_id = clients["anna"].post(GETCHANGES, json=REQUIRED_ONLY).json["data"]["id"]
    run(backend, export_id)
    return int(export_id)


REQUESTS = [
    ("GET", "/api/v2/export/{}"),
    ("GET", "/api/v2/export/{}/data"),
    ("GET", "/api/v2/export/{}/data?offset=0&limit=1"),
    ("DELETE", "/api/v2/export/{}"),
]


@pytest.mark.parametrize("method, path", REQUESTS)
def test_another_team_gets_the_answer_of_an_export_that_does_not_exist(clients, done, backend, method, path):
    not_mine, none = (clients["carl"].open(path.format(export_id), method=method) for export_id in (done, 999))
    assert (not_mine.status_code, not_mine.json) == (none.status_code, none.json) == (400, none.json)
    assert none.json["replyText"] == "Invalid export ID"
    assert row_of(backend, done)["file_deleted_at"] is None


@pytest.mark.parametrize("name", ["anna", "bert", "olga"])
@pytest.mark.parametrize("method, path", REQUESTS)
def test_the_team_and_operators_see_and_may_end_it(clients, done, name, method, path):
    assert clients[name].open(path.format(done), method=method, buffered=True).status_code == 200


def test_the_list_holds_what_the_team_asked_for(clients, done):
    clients["carl"].post(GETCHANGES, json=REQUIRED_ONLY)
    listed = {
        name: [one["id"] for one in client.get("/api/v2/export").json["data"]] for name, client in clients.items()
    }
    assert listed == {"anna": ["1"], "bert": ["1"], "carl": ["2"], "olga": ["2", "1"]}


def test_a_setting_is_a_team_s_own(clients, backend: Backend):
    """Nobody can block another's export by asking for the same one with a wrong password."""
    answers = {name: client.post(GETCHANGES, json=REQUIRED_ONLY) for name, client in clients.items()}
    assert {name: answer.json["replyCode"] for name, answer in answers.items()} == {
        "anna": 0,
        "bert": 4001,
        "carl": 0,
        "olga": 0,
    }
    named = {name: answer.headers.get("X-Export-Id") for name, answer in answers.items()}
    assert named == {"anna": None, "bert": str(answers["anna"].json["data"]["id"]), "carl": None, "olga": None}


def test_the_log_tells_who_cancelled(clients, done, caplog):
    caplog.set_level("INFO", "contactexport")
    clients["carl"].post(GETCHANGES, json=REQUIRED_ONLY)
    clients["carl"].delete("/api/v2/export/2")
    clients["bert"].delete(f"/api/v2/export/{done}")
    assert '{"event": "export cancelled", "export": 2, "user": "carl"}' in caplog.text
    assert '{"event": "file deleted", "export": 1, "user": "bert"}' in caplog.text


def test_a_user_that_changes_the_team_sees_the_other_one_s_exports_from_the_next_request_on(clients, done, backend):
    manage_users.set_user(backend, "carl", None, {"team": "shop"})
    manage_users.set_user(backend, "anna", None, {"team": "agency"})
    assert clients["carl"].get(f"/api/v2/export/{done}").status_code == 200
    assert clients["anna"].get(f"/api/v2/export/{done}").status_code == 400


def test_a_retry_with_another_user_name_stays_in_the_team(backend: Backend):
    anna = Caller("anna", team="shop")
    export_id = request_export.request(backend, by_ftp(1), "geheim", anna)
    assert row_of(backend, export_id)["setting_key"] == by_ftp(1).key("shop") != by_ftp(1).key()


def test_the_command_line_sees_all_and_asks_for_a_team(runner: FlaskCliRunner, done, clients, backend):
    assert runner.invoke(export_commands.group, ["show", str(done)]).exit_code == 0
    window = ["--from", "2012-02-09", "--to", "2012-04-02"]
    options = ["--origin", "form", "--origin-id", "123", *window, "--fields", "1", "--team", "agency"]
    result = runner.invoke(export_commands.group, ["changes", *options])
    assert result.exit_code == 0, result.output
    assert [one["id"] for one in clients["carl"].get("/api/v2/export").json["data"]] == ["2"]
