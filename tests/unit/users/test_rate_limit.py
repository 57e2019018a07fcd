"""contactexport.users.rate_limit."""

import math

import pytest

from contactexport.users import rate_limit
from contactexport.users.rate_limit import RateLimit, RateLimitReserve


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The first number is the time."""
    now = [100.0]
    monkeypatch.setattr(rate_limit.time, "time", lambda: now[0])
    return now


def remaining(reserve: RateLimitReserve, user_name: str, limit: int = 10) -> int | None:
    """What remains after one request was used. None: the reserve had none."""
    counted = reserve.use(user_name, limit)
    return None if counted is None else counted.remaining


def test_use_takes_each_counted_request_once_and_for_its_user(clock: list[float]):
    reserve = RateLimitReserve()
    assert reserve.use("anna", 1000) is None
    assert reserve.refill_and_use("anna", 1000, 3, 900, 60) == RateLimit(1000, 902, 160)
    assert reserve.use("berta", 1000) is None
    assert [remaining(reserve, "anna", 1000) for _ in range(3)] == [901, 900, None]


def test_refills_add_up_within_a_minute_and_are_void_after_it(clock: list[float]):
    reserve = RateLimitReserve()
    reserve.refill_and_use("anna", 10, 2, 5, 60)
    reserve.refill_and_use("anna", 10, 1, 5, 59)
    assert remaining(reserve, "anna") == 5
    reserve.refill_and_use("anna", 10, 2, 5, 59)
    clock[0] += 59
    assert reserve.use("anna", 10) is None
    assert reserve.refill_and_use("anna", 10, 2, 8, 60).remaining == 9
    assert [remaining(reserve, "anna") for _ in range(2)] == [8, None]


def test_changed_limit_asks_for_a_refill_and_keeps_the_reserve(clock: list[float]):
    reserve = RateLimitReserve()
    reserve.refill_and_use("anna", 1000, 10, 990, 60)
    assert reserve.use("anna", 5) is None
    changed = reserve.refill_and_use("anna", 5, 0, 0, 60)
    assert (changed.limit, changed.remaining, changed.refused) == (5, 8, False)


def test_retry_after_is_at_most_sixty_seconds_at_any_fraction_of_a_second(clock: list[float]):
    clock[0] = 100.4
    refused = RateLimitReserve().refill_and_use("anna", 10, 0, 0, 59.9)
    assert (math.ceil(refused.void_at), refused.retry_after) == (161, 60)


def test_empty_reserve_refuses_the_request_until_the_minute_ends(clock: list[float]):
    refused = RateLimitReserve().refill_and_use("anna", 10, 0, 0, 12.5)
    assert (refused.refused, refused.remaining, math.ceil(refused.void_at), refused.retry_after) == (True, 0, 113, 13)
