"""Limits of a user: requests in a minute, unfinished exports."""

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from exporting import other_session, settings_for

import contactexport
from contactexport.errors import DatabaseUnavailable, TooManyRequests
from contactexport.models import Caller
from contactexport.services import limit_requests, request_export, sweep_exports

LANGUAGES = ["en", "de", "fr", "hu", "es", "it", "nl", "pl", "ro", "ru"]


def with_limits(backend, **limits):
    return contactexport.make_backend(dataclasses.replace(backend.settings, **limits))


def test_requests_above_the_limit_are_refused_until_the_next_minute(backend):
    limited = with_limits(backend, requests_per_minute=3)
    answers = []
    for _ in range(8):
        try:
            limit_requests.count_request(limited, Caller("anna"))
        except TooManyRequests as refusal:
            answers.append(refusal)
    assert len(answers) >= 2  # a minute may begin in between
    assert all(1 <= refusal.retry_after <= 60 for refusal in answers)
    limit_requests.count_request(limited, Caller("berta"))


def test_processes_together_serve_no_more_than_the_limit_and_hardly_less(backend):
    """Each has some counted in advance: a hundredth of the limit."""
    limits = {"requests_per_minute": 250}
    processes = [with_limits(backend, **limits) for _ in range(3)]
    with backend.database.session() as conn:
        let_a_minute_begin(conn)
        served = 0
        for number in range(3 * 250):
            try:
                limit_requests.count_request(processes[number % 3], Caller("anna"))
                served += 1
            except TooManyRequests:
                continue
    assert served == 250


def test_what_is_left_when_the_limit_is_reached_is_still_served(backend):
    limited, other = (with_limits(backend, requests_per_minute=250) for _ in range(2))
    with backend.database.session() as conn:
        let_a_minute_begin(conn)
        limit_requests.count_request(other, Caller("anna"))  # two more were counted for this process
        for _ in range(247):
            limit_requests.count_request(limited, Caller("anna"))
        with pytest.raises(TooManyRequests):
            limit_requests.count_request(limited, Caller("anna"))
        for _ in range(2):
            limit_requests.count_request(other, Caller("anna"))
        with pytest.raises(TooManyRequests):
            limit_requests.count_request(other, Caller("anna"))


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
    request_export.request(limited, settings_for(language="tr"), None, "berta")


def test_the_command_line_is_not_limited(backend):
    limited = with_limits(backend, exports_per_user=1)
    for language in LANGUAGES[:3]:
        request_export.store(limited, settings_for(language=language), None, "cli:root")


def test_requests_of_a_user_that_wait_too_long_for_each_other_are_told_to_come_later(backend):
    with other_session(backend, autocommit=False) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('contactexport user'), hashtext('anna'))")
        with pytest.raises(DatabaseUnavailable):
            request_export.request(backend, settings_for(), None, Caller("anna"))
