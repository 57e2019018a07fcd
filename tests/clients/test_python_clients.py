"""Clients from PyPI."""

import csv
import json

import pytest

from tests.support.filled_forms import CONTACTS, REQUEST, all_emails, emails


@pytest.mark.parametrize("form", CONTACTS)
def test_emarsysauthenticator_receives_every_contact(run, form):
    body = json.dumps(REQUEST | {"origin_id": form})
    assert sorted(run("python", "export_with_emarsysauthenticator.py", body).splitlines()) == emails(form)


@pytest.mark.parametrize("form", CONTACTS)
def test_pymarsys_receives_every_contact_and_reads_the_catalogue(run, form):
    found = json.loads(run("python", "export_with_pymarsys.py", json.dumps(REQUEST | {"origin_id": form})))
    assert sorted(row["E-Mail"] for row in csv.DictReader(found["file"].splitlines())) == emails(form)
    assert {field["string_id"] for field in found["fields"]} >= {"email", "optin"}
    assert found["asynchronous"] == found["fields"]
    assert {"Vorname", "Land"} <= {field["name"] for field in found["translated"]}
    assert {choice["choice"] for choice in found["choices"]} == {"Männlich", "Weiblich"}


@pytest.fixture
def config(account, tmp_path) -> str:
    """The configuration file of a Singer tap."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"username": account["username"], "secret": account["secret"]}))
    return str(path)


def test_tap_emarsys_discovers_every_field(run, config):
    [contacts] = [
        stream
        for stream in json.loads(run("tap-emarsys", "--config", config, "--discover"))["streams"]
        if stream["stream"] == "contacts"
    ]
    assert {"id", "uid", "first_name", "e_mail", "opt_in", "loyalty_number"} <= contacts["schema"]["properties"].keys()
    assert len(contacts["schema"]["properties"]) == 52


def test_tap_emarsys_receives_every_contact(run, config, tmp_path):
    catalog = json.loads(run("tap-emarsys", "--config", config, "--discover"))
    [contacts] = [stream for stream in catalog["streams"] if stream["stream"] == "contacts"]
    contacts["metadata"].append({"breadcrumb": [], "metadata": {"selected": True}})
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    lines = run("tap-emarsys", "--config", config, "--properties", str(tmp_path / "catalog.json")).splitlines()
    records = [message["record"] for message in map(json.loads, lines) if message["type"] == "RECORD"]
    assert sorted(record["e_mail"] for record in records) == all_emails()
