"""Contacts of which one changed in each hour of 2012, and what an export of a window must have."""

import csv
import io
from datetime import UTC, datetime, timedelta

import requests

BEGIN = datetime(2012, 1, 1, tzinfo=UTC)
# The times of the log are set, so nothing else is in it.
FILL = """
INSERT INTO contact (id, origin_kind, origin_id, first_name, email)
OVERRIDING SYSTEM VALUE
SELECT n, 'form', 123, 'name ' || n, n || '@example.com' FROM generate_series(1, {contacts}) AS n;
SELECT setval(pg_get_serial_sequence('contact', 'id'), {contacts});
DELETE FROM contact_change;
INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at)
SELECT n, 'form', 123, timestamptz '2012-01-01 00:00:00+00' + n * interval '1 hour'
FROM generate_series(1, {contacts}) AS n;
"""


def expected(start: datetime, window: timedelta, contacts: int) -> list[list[str]]:
    """The rows of a window with the fields 1 and 3."""
    hours = {n: BEGIN + timedelta(hours=n) for n in range(1, contacts + 1)}
    return [
        [str(n), f"name {n}", f"{n}@example.com", at.strftime("%Y-%m-%d %H:%M:%S")]
        for n, at in hours.items()
        if start <= at < start + window
    ]


def rows_of(answer: requests.Response) -> list[list[str]]:
    """The rows of a downloaded file behind its header."""
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))[1:]
