"""Tables that others designed are adopted in one command, by what is proposed for their columns."""

import json
from pathlib import Path

import pytest

from tests.support.exporting import execute
from tests.support.sql_rows import for_all_sessions, rows

SCHEMAS = Path(__file__).parents[2] / "schemas"
ROWS = {
    "newsletter": "INSERT INTO subscribers (id, email, name) VALUES (7, 'jo@example.com', 'Jo');"
    "INSERT INTO lists (id, name) VALUES (3, 'News'); INSERT INTO subscriber_lists VALUES (7, 3)",
    "accounts": "INSERT INTO auth_user (id, username, first_name, email, is_active)"
    " VALUES (7, 'jo', 'Jo', 'jo@x.at', true);"
    "INSERT INTO profile (user_id, city, birthday) VALUES (7, 'Linz', '1990-02-01')",
    "regions": "INSERT INTO customer VALUES (7, 1, 'Jo', 'jo@example.com', 'f', 3)",
    "shop": "INSERT INTO customer VALUES ('10000000-0000-0000-0000-000000000000', 1, 'jo@example.com', false)",
    "helpdesk": "INSERT INTO person (id, name) VALUES (7, 'Jo'); INSERT INTO tag (id, name) VALUES (1, 'vip')",
}


@pytest.mark.parametrize(
    ("schema", "arguments", "fields", "contact"),
    [
        (
            "newsletter",
            [
                "subscribers",
                "--origin-through",
                "subscriber_lists(subscriber_id, list_id)",
                "--origin-names",
                "lists(id, name)",
            ],
            {3: "email", 100_000: "name", 100_001: "attribs", 100_002: "status", 100_003: "updated_at"},
            {"email": "jo@example.com", "status": "enabled"},
        ),
        (
            "accounts",
            ["auth_user", "--join", "profile ON profile.user_id = auth_user.id", "--where", "is_active"],
            {
                1: "auth_user.first_name",
                3: "auth_user.email",
                4: "profile.birthday",
                11: "profile.city",
                100_000: "auth_user.username",
                100_001: "auth_user.is_active",
                100_002: "auth_user.last_login",
                100_003: "profile.site_id",
            },
            {"first_name": "Jo", "city": "Linz", "is_active": 1},
        ),
        (
            "regions",
            ["customer", "--origin", "form=signup_form"],
            {1: "given_name", 3: "mail", 5: "sex", 100_000: "visits"},
            {"first_name": "Jo", "gender": 2, "origin_id": 1},
        ),
        (
            "shop",
            ["customer", "--origin", "api=sales_channel"],
            {3: "email", 100_000: "guest", 100_001: "default_address_id"},
            {"email": "jo@example.com", "guest": 2},
        ),
        (
            "helpdesk",
            ["person", "--origin-through", "person_tag(person_id, tag_id)", "--origin-names", "tag(id, name)"],
            {100_000: "organization_id", 100_001: "name", 100_002: "score", 100_003: "archived"},
            {"name": "Jo", "archived": 2},
        ),
    ],
)
def test_schema_is_adopted_in_one_command(context, runner, schema, arguments, fields, contact):
    execute(context, "DELETE FROM contact_field; CREATE SCHEMA theirs")
    for_all_sessions(context.contacts, "SET search_path = theirs")
    text = (SCHEMAS / f"{schema}.sql").read_text(encoding="utf-8")
    execute(context, f"SET LOCAL search_path = theirs; {text}; {ROWS[schema]}")
    ended = runner.invoke(args=["contacts", "adopt", *arguments, "--yes", "--json"])
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)["plan"]["fields"]
    assert {one["id"]: one["expression"] for one in told} == fields
    checked = runner.invoke(args=["contacts", "check"])
    assert checked.stdout == "ok: every change of contacts is logged\n"
    (found,) = rows(context.contacts, "SELECT * FROM public.contact")
    assert {name: found[name] for name in contact} == contact
