"""How many cases to try, and how many were tried.

Without FUZZ_CASES it is small, and the cases are the same in every run. With it, it is that number, and new ones in
every run. With FUZZ_SAME they are also the same in every run.
"""

import os

from hypothesis import HealthCheck, settings

WANTED = int(os.environ.get("FUZZ_CASES", "100"))
SEARCHING = "FUZZ_CASES" in os.environ and "FUZZ_SAME" not in os.environ

tried = {"cases": 0}


def count() -> None:
    tried["cases"] += 1


def fuzz(share: float) -> settings:
    """Tries a share of all cases. The sum of all shares is a little more than 1."""
    return settings(
        max_examples=max(5, int(WANTED * share)),
        derandomize=not SEARCHING,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,  # each case is independent of the earlier ones
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )
