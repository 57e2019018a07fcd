"""Forms with so many contacts that a client which takes pages of 100 is tried at every border."""

import json
from typing import Any

from served import Served, execute

CONTACTS = {123: 257, 124: 100, 125: 0}  # more than two pages, exactly one, none
REQUEST: dict[str, Any] = {
    "distribution_method": "local",
    "origin": "form",
    "time_range": ["2020-01-01", "2100-01-01"],
    "contact_fields": ["3", "31"],
    "add_field_names_header": 1,
}


def fill(served: Served) -> None:
    """Adds the form that the sample catalogue lacks, and the contacts."""
    url = served.service.flask("db", "url").strip()
    execute(url, "INSERT INTO origin (kind, id, name) VALUES ('form', 125, 'Nobody came')")
    for form, count in CONTACTS.items():
        execute(
            url,
            "INSERT INTO contact (origin_kind, origin_id, email) "
            f"SELECT 'form', {form}, n || '@form{form}.example' FROM generate_series(1, {count}) AS n",
        )


def emails(form: int) -> list[str]:
    """What the contacts of a form are told apart by."""
    return sorted(f"{n}@form{form}.example" for n in range(1, CONTACTS[form] + 1))


def all_emails() -> list[str]:
    """Those of every form."""
    return sorted(email for form in CONTACTS for email in emails(form))


def account(served: Served, name: str) -> dict[str, str]:
    """What a client of the original is configured with: the credentials of a new user."""
    made = json.loads(served.service.flask("users", "add", name, "--wsse", "--compatible", "--json"))
    return {"base_url": f"{served.url}/api/v2", "username": name, "secret": made["secret"]}
