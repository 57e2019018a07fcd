"""Clients from the npm registry."""

import json

import pytest

from tests.support.filled_forms import CONTACTS, REQUEST, emails


@pytest.mark.parametrize("form", CONTACTS)
def test_wsse_receives_every_contact(run, form):
    body = json.dumps(REQUEST | {"origin_id": form})
    assert sorted(run("node", "export_with_wsse.mjs", body).splitlines()) == emails(form)


def test_segment_destination_authenticates_and_lists_the_fields(run):
    choices = json.loads(run("node", "segment_destination.cjs"))
    assert {"label": "E-Mail", "value": 3} in choices
    assert len(choices) == 50
