"""contactexport.request_permits."""

import pytest

from contactexport import request_permits
from contactexport.request_permits import RateLimit, RequestPermits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The first number is the time."""
    now = [100.0]
    monkeypatch.setattr(request_permits.time, "time", lambda: now[0])
    return now


def taken(permits: RequestPermits, user_name: str, limit: int = 10) -> int | None:
    """What remains after one was used; None when there was none."""
    one = permits.take(user_name, limit)
    return None if one is None else one.remaining


def test_each_is_used_once_and_by_its_user(clock: list[float]):
    permits = RequestPermits()
    assert permits.take("anna", 1000) is None
    assert permits.keep("anna", 1000, 3, 900, 60) == RateLimit(1000, 902, 160)
    assert permits.take("berta", 1000) is None
    assert [taken(permits, "anna", 1000) for _ in range(3)] == [901, 900, None]


def test_they_add_up_within_a_minute_and_are_void_after_it(clock: list[float]):
    permits = RequestPermits()
    permits.keep("anna", 10, 2, 5, 60)
    permits.keep("anna", 10, 1, 5, 59)
    assert taken(permits, "anna") == 5
    permits.keep("anna", 10, 2, 5, 59)
    clock[0] += 59
    assert permits.take("anna", 10) is None
    assert permits.keep("anna", 10, 2, 8, 60).remaining == 9
    assert [taken(permits, "anna") for _ in range(2)] == [8, None]


def test_those_counted_for_another_limit_are_counted_anew_and_not_lost(clock: list[float]):
    permits = RequestPermits()
    permits.keep("anna", 1000, 10, 990, 60)
    assert permits.take("anna", 5) is None
    changed = permits.keep("anna", 5, 0, 0, 60)
    assert (changed.limit, changed.remaining, changed.refused) == (5, 8, False)


def test_the_next_minute_begins_within_sixty_seconds_whatever_the_fraction(clock: list[float]):
    clock[0] = 100.4
    refused = RequestPermits().keep("anna", 10, 0, 0, 59.9)
    assert (refused.reset, refused.retry_after) == (161, 60)


def test_without_any_the_request_is_refused_until_the_minute_ends(clock: list[float]):
    refused = RequestPermits().keep("anna", 10, 0, 0, 12.5)
    assert (refused.refused, refused.remaining, refused.reset, refused.retry_after) == (True, 0, 113, 13)
