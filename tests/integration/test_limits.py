"""Limits of a user: requests in a minute, unfinished exports."""

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from exporting import other_session, settings_for

import contactexport
from contactexport.db.user_repository import Rights
from contactexport.errors import DatabaseUnavailable, TooManyRequests
from contactexport.models import Caller
from contactexport.request_permits import RateLimit
from contactexport.services import limit_requests, manage_users, request_export, sweep_exports

LANGUAGES = ["en", "de", "fr", "hu", "es", "it", "nl", "pl", "ro", "ru"]


def with_limits(backend, **limits):
    return contactexport.make_backend(dataclasses.replace(backend.settings, **limits))


def count(backend) -> RateLimit:
    return limit_requests.count_request(backend, Caller("anna"))


def test_requests_above_the_limit_are_refused_until_the_next_minute(backend):
    limited = with_limits(backend, requests_per_minute=3)
    refused = [one for one in (count(limited) for _ in range(8)) if one.refused]
    assert len(refused) >= 2  # a minute may begin in between
    assert all(1 <= one.retry_after <= 60 for one in refused)
    assert not limit_requests.count_request(limited, Caller("berta")).refused


def test_a_limit_of_the_user_s_own_counts_instead_of_the_setting(backend):
    limited = with_limits(backend, requests_per_minute=1000)
    anna = Caller("anna", requests_per_minute=2)
    with backend.database.session() as conn:
        let_a_minute_begin(conn)
        told = [limit_requests.count_request(limited, anna) for _ in range(3)]
    assert [(one.limit, one.remaining, one.refused) for one in told] == [(2, 1, False), (2, 0, False), (2, 0, True)]


def test_processes_together_serve_no_more_than_the_limit_and_hardly_less(backend):
    """Each has some counted in advance: a hundredth of the limit."""
    processes = [with_limits(backend, requests_per_minute=250) for _ in range(3)]
    with backend.database.session() as conn:
        let_a_minute_begin(conn)
        served = sum(not count(processes[number % 3]).refused for number in range(3 * 250))
    assert served == 250


def test_what_is_left_when_the_limit_is_reached_is_still_served(backend):
    limited, other = (with_limits(backend, requests_per_minute=250) for _ in range(2))
    with backend.database.session() as conn:
        let_a_minute_begin(conn)
        assert count(other).remaining == 249  # two more were counted for this process
        assert not any(count(limited).refused for _ in range(247))
        assert count(limited).refused
        assert [count(other).refused for _ in range(3)] == [False, False, True]


def test_every_answer_tells_what_is_left(app, client, api, backend):
    limit = backend.settings.requests_per_minute
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


def test_a_refusal_by_the_limit_tells_it_too(client, backend):
    token = manage_users.add_user(
        backend, "anna", with_wsse=False, with_token=True, rights=Rights(requests_per_minute=1)
    ).token
    with backend.database.session() as conn:
        let_a_minute_begin(conn)
        answers = [client.get("/api/v2/field", headers={"Authorization": f"Bearer {token}"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["0", "0"]
    assert 1 <= int(answers[1].headers["Retry-After"]) <= 60
    assert answers[1].json["replyText"] == "More than 1 requests in a minute"


def test_a_new_limit_counts_from_the_next_request_on(client, backend):
    token = manage_users.add_user(backend, "anna", with_wsse=False, with_token=True).token
    told = []
    for limit in (None, 7, 5000):
        manage_users.set_user(backend, "anna", None, {"requests_per_minute": limit})
        answer = client.get("/api/v2/field", headers={"Authorization": f"Bearer {token}"})
        told.append(int(answer.headers["X-RateLimit-Limit"]))
    assert told == [backend.settings.requests_per_minute, 7, 5000]


def test_unfinished_exports_of_a_user_s_own_limit(backend):
    anna = Caller("anna", exports_per_user=1)
    request_export.request(backend, settings_for(), None, anna)
    with pytest.raises(TooManyRequests, match="1 exports are not finished yet"):
        request_export.request(backend, settings_for(language="de"), None, anna)


def let_a_minute_begin(conn):
    """Waits when the running minute is nearly over."""
    with conn.cursor() as cursor:
        cursor.execute("SELECT extract(second FROM clock_timestamp())::float8 AS second")
        second = cursor.fetchone()["second"]
    if second > 50:
        time.sleep(60.1 - second)


def test_counts_of_minutes_gone_by_are_swept(backend):
    limit_requests.count_request(backend, Caller("anna"))
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("UPDATE request_count SET minute = minute - interval '3 minutes'")
    sweep_exports.sweep(backend)
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT FROM request_count")
        assert cursor.rowcount == 0


def test_simultaneous_requests_do_not_slip_past_the_limit_of_unfinished_exports(backend):
    limited = with_limits(backend, exports_per_user=4)
    together = Barrier(len(LANGUAGES))

    def ask(language):
        together.wait()
        try:
            return request_export.request(limited, settings_for(language=language), None, Caller("anna"))
        except TooManyRequests:
            return None

    with ThreadPoolExecutor(len(LANGUAGES)) as clients:
        ids = list(clients.map(ask, LANGUAGES))
    assert len([one for one in ids if one is not None]) == 4
    request_export.request(limited, settings_for(language="tr"), None, Caller("berta"))


def test_the_command_line_is_not_limited(backend):
    limited = with_limits(backend, exports_per_user=1)
    for language in LANGUAGES[:3]:
        request_export.store(limited, settings_for(language=language), None, "cli:root")


def test_requests_of_a_user_that_wait_too_long_for_each_other_are_told_to_come_later(backend):
    with other_session(backend, autocommit=False) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('contactexport user'), hashtext('anna'))")
        with pytest.raises(DatabaseUnavailable):
            request_export.request(backend, settings_for(), None, Caller("anna"))
