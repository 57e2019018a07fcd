"""How many cases are tried, and how many were.

Without FUZZ_CASES it is a few hundred, the same ones in every run; with it so many, new ones in every run.
"""

import os

from hypothesis import HealthCheck, settings

WANTED = int(os.environ.get("FUZZ_CASES", "400"))
SEARCHING = "FUZZ_CASES" in os.environ

tried = {"cases": 0}


def count() -> None:
    tried["cases"] += 1


def fuzz(share: float) -> settings:
    """Tries a share of all cases; all shares together are a little more than 1."""
    return settings(
        max_examples=max(5, int(WANTED * share)),
        derandomize=not SEARCHING,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,  # every case is independent of the ones before
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )
