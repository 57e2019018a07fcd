"""Forms with numbers of contacts that test every border of pages of 100."""

import json
from typing import Any

from tests.support.served import Served, execute

CONTACTS = {123: 257, 124: 100, 125: 0}  # more than two pages, exactly one page, none
REQUEST: dict[str, Any] = {
    "distribution_method": "local",
    "origin": "form",
    "time_range": ["2020-01-01", "2100-01-01"],
    "contact_fields": ["3", "31"],
    "add_field_names_header": 1,
}


def fill(served: Served) -> None:
    """Adds the form that the sample catalogue does not have, and the contacts."""
    url = served.service.flask("db", "url").strip()
    execute(url, "INSERT INTO origin (kind, id, name) VALUES ('form', 125, 'Nobody came')")
    for form, count in CONTACTS.items():
        execute(
            url,
            "INSERT INTO contact (origin_kind, origin_id, email) "
            f"SELECT 'form', {form}, n || '@form{form}.example' FROM generate_series(1, {count}) AS n",
        )


def emails(form: int) -> list[str]:
    """The e-mail addresses of the contacts of a form."""
    return sorted(f"{n}@form{form}.example" for n in range(1, CONTACTS[form] + 1))


def all_emails() -> list[str]:
    """The e-mail addresses of all forms."""
    return sorted(email for form in CONTACTS for email in emails(form))


def account(served: Served, name: str) -> dict[str, str]:
    """The configuration of a client of the original, with the credentials of a new user."""
    made = json.loads(served.service.flask("users", "add", name, "--wsse", "--compatible", "--json"))
    return {"base_url": f"{served.url}/api/v2", "username": name, "secret": made["secret"]}
