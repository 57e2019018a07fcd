"""contactexport.request_permits."""

import pytest

from contactexport import request_permits
from contactexport.request_permits import RequestPermits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The first number is the time."""
    now = [100.0]
    monkeypatch.setattr(request_permits.time, "monotonic", lambda: now[0])
    return now


def test_each_is_used_once_and_by_its_user():
    permits = RequestPermits()
    assert not permits.take("anna")
    permits.keep("anna", 2, 60)
    assert not permits.take("berta")
    assert [permits.take("anna") for _ in range(3)] == [True, True, False]


def test_they_add_up_within_a_minute_and_are_void_after_it(clock: list[float]):
    permits = RequestPermits()
    permits.keep("anna", 1, 60)
    permits.keep("anna", 1, 59)
    assert permits.take("anna")
    clock[0] += 59
    assert not permits.take("anna")
    permits.keep("anna", 1, 60)
    assert [permits.take("anna") for _ in range(2)] == [True, False]
