"""The limits of a user: requests per minute and unfinished exports."""

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

import contactexport
from contactexport.errors import DatabaseUnavailable, TooManyRequests
from contactexport.exports import accept, sweep
from contactexport.users import manage
from contactexport.users.models import Caller
from contactexport.users.rate_limit import RateLimit
from contactexport.users.store import Rights
from tests.support.exporting import other_session, settings_for

LANGUAGES = ["en", "de", "fr", "hu", "es", "it", "nl", "pl", "ro", "ru"]


def with_limits(context, **limits):
    return contactexport.make_context(dataclasses.replace(context.settings, **limits))


def count(context, caller: Caller | None = None) -> RateLimit:
    caller = caller or Caller("anna")
    return context.rate_limit_reserve.count_request(context.database, caller, context.settings.requests_per_minute)


def test_requests_above_limit_are_refused_until_next_minute(context):
    limited = with_limits(context, requests_per_minute=3)
    refused = [one for one in (count(limited) for _ in range(8)) if one.refused]
    assert len(refused) >= 2  # a minute may begin in between
    assert all(1 <= one.retry_after <= 60 for one in refused)
    assert not count(limited, Caller("berta")).refused


def test_limit_of_user_replaces_setting(context):
    limited = with_limits(context, requests_per_minute=1000)
    anna = Caller("anna", requests_per_minute=2)
    with context.database.session() as conn:
        let_a_minute_begin(conn)
        told = [count(limited, anna) for _ in range(3)]
    assert [(one.limit, one.remaining, one.refused) for one in told] == [(2, 1, False), (2, 0, False), (2, 0, True)]


def test_processes_together_serve_limit_and_hardly_less(context):
    """Each process reserves a hundredth of the limit in advance."""
    processes = [with_limits(context, requests_per_minute=250) for _ in range(3)]
    with context.database.session() as conn:
        let_a_minute_begin(conn)
        served = sum(not count(processes[number % 3]).refused for number in range(3 * 250))
    assert served == 250


def test_reserved_requests_are_served_after_limit_is_reached(context):
    limited, other = (with_limits(context, requests_per_minute=250) for _ in range(2))
    with context.database.session() as conn:
        let_a_minute_begin(conn)
        assert count(other).remaining == 249  # two more were counted for this process
        assert not any(count(limited).refused for _ in range(247))
        assert count(limited).refused
        assert [count(other).refused for _ in range(3)] == [False, False, True]


def test_every_answer_has_remaining_requests(app, client, api, context):
    limit = context.settings.requests_per_minute
    for answer in (
        api.get("/api/v2/settings"),
        api.get("/api/v2/no/such/path"),
        api.post("/api/v2/contact/getchanges", data="x"),
        api.delete("/api/v2/settings"),
        client.get("/api/v2/settings"),
        client.get("/api/v2/openapi.json"),
        client.get("/api"),
    ):
        told = {name: int(answer.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset")}
        assert told["Limit"] == limit
        assert 0 <= told["Remaining"] <= limit
        assert time.time() - 1 <= told["Reset"] <= time.time() + 61


def test_refusal_by_limit_has_remaining_requests(client, context):
    token = manage.add_user(
        context, "anna", with_wsse=False, with_token=True, rights=Rights(requests_per_minute=1)
    ).token
    with context.database.session() as conn:
        let_a_minute_begin(conn)
        answers = [client.get("/api/v2/field", headers={"Authorization": f"Bearer {token}"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["0", "0"]
    assert 1 <= int(answers[1].headers["Retry-After"]) <= 60
    assert answers[1].json["replyText"] == "More than 1 requests in a minute"


def test_new_limit_counts_from_next_request(client, context):
    token = manage.add_user(context, "anna", with_wsse=False, with_token=True).token
    told = []
    for limit in (None, 7, 5000):
        manage.set_user(context, "anna", None, {"requests_per_minute": limit})
        answer = client.get("/api/v2/field", headers={"Authorization": f"Bearer {token}"})
        told.append(int(answer.headers["X-RateLimit-Limit"]))
    assert told == [context.settings.requests_per_minute, 7, 5000]


def test_limit_of_user_for_unfinished_exports_counts(context):
    anna = Caller("anna", exports_per_user=1)
    accept.request(context, settings_for(), None, anna)
    with pytest.raises(TooManyRequests, match="Too many unfinished exports: 1 is the limit"):
        accept.request(context, settings_for(language="de"), None, anna)


def let_a_minute_begin(conn):
    """Waits if the current minute is nearly over."""
    with conn.cursor() as cursor:
        cursor.execute("SELECT extract(second FROM clock_timestamp())::float8 AS second")
        second = cursor.fetchone()["second"]
    if second > 50:
        time.sleep(60.1 - second)


def test_sweep_deletes_counts_of_past_minutes(context):
    count(context)
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("UPDATE request_count SET minute = minute - interval '3 minutes'")
    sweep.sweep(context)
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT FROM request_count")
        assert cursor.rowcount == 0


def test_concurrent_requests_respect_limit_of_unfinished_exports(context):
    limited = with_limits(context, exports_per_user=4)
    together = Barrier(len(LANGUAGES))

    def ask(language):
        together.wait()
        try:
            return accept.request(limited, settings_for(language=language), None, Caller("anna"))
        except TooManyRequests:
            return None

    with ThreadPoolExecutor(len(LANGUAGES)) as clients:
        ids = list(clients.map(ask, LANGUAGES))
    assert len([one for one in ids if one is not None]) == 4
    accept.request(limited, settings_for(language="tr"), None, Caller("berta"))


def test_command_line_has_no_limit(context):
    limited = with_limits(context, exports_per_user=1)
    for language in LANGUAGES[:3]:
        accept.store(limited, settings_for(language=language), None, "cli:root")


def test_requests_that_wait_too_long_for_each_other_get_retry_after(context):
    with other_session(context, autocommit=False) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('contactexport user'), hashtext('anna'))")
        with pytest.raises(DatabaseUnavailable):
            accept.request(context, settings_for(), None, Caller("anna"))
