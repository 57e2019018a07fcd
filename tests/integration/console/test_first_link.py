"""The link that `flask serve` prints signs in the user `operator`, whom it adds."""

import json

import pytest

from contactexport.console.first_link import operator_link
from contactexport.errors import UsageError
from contactexport.users import manage
from tests.support.console_pages import Browser


def test_link_signs_in_an_operator_whom_it_adds_once(app, context):
    for _ in range(2):
        link, browser = operator_link(context), Browser(app)
        browser.get(link)
        assert browser.post(link).headers["Location"] == "/console/"
        assert "<small>operator</small>" in browser.get("/console/").text
    assert [(user.name, user.role) for user in manage.list_users(context)] == [("operator", "operator")]


def test_link_leads_to_the_page_that_it_names_and_to_none_of_another_site(app, context):
    for wanted, page in (("/console/exports", "/console/exports"), ("https://example.com/", "/console/")):
        link, browser = operator_link(context), Browser(app)
        assert f'name="next" value="{wanted}"' in browser.get(f"{link}?next={wanted}").text
        assert browser.post(link, next=wanted).headers["Location"] == page


def test_somebody_else_of_that_name_gets_no_link(context):
    manage.add_user(context, "operator", with_wsse=False, with_token=True)
    with pytest.raises(UsageError, match="is no operator"):
        operator_link(context)


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "TRACE"])
def test_link_of_a_refused_request_is_not_logged(app, context, caplog, method):
    caplog.set_level("INFO")
    link = operator_link(context)
    app.test_client().open(f"{link}/", method=method)
    app.test_client().open(link, method=method)
    assert "/console/sign-in/once/..." in caplog.text
    assert link.rpartition("/")[2] not in caplog.text


def test_new_link_is_in_the_audit_log_without_its_token(context, caplog):
    caplog.set_level("INFO", "contactexport.audit")
    links = [operator_link(context) for _ in range(2)]
    lines = [json.loads(one.getMessage()) for one in caplog.records if one.name == "contactexport.audit"]
    assert [(one["event"], one.get("added") or one["changed"], one["by"]) for one in lines] == [
        ("user added", "operator", "command line"),
        ("console link made", "operator", "command line"),
        ("console link made", "operator", "command line"),
    ]
    assert not [one for one in links if one.rpartition("/")[2] in caplog.text]
