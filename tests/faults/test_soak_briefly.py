"""A few seconds of `make soak`, always with the same seed."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.soak.__main__ import soak

pytestmark = pytest.mark.slow

SECONDS = 6
SEED = 6


@pytest.mark.timeout(600)  # the soak waits until everything is finished
@pytest.mark.parametrize("storage", [None, "s3"], ids=["folder", "s3"])
def test_brief_soak_loses_nothing(storage: str | None):
    # Not below pytest's own folder: another session of pytest would deny the database's user access to it.
    folder = Path(tempfile.mkdtemp(prefix="contactexport-soak-"))
    outcome = soak(folder, SECONDS, SEED, contacts=500, between_faults=(0.1, 0.8), storage=storage)
    assert outcome.wrong == [], folder
    assert outcome.counts["requests: accepted"] > 0
    assert outcome.counts["files compared"] > 0
    assert outcome.counts["changes delivered (local)"] == outcome.counts["changes committed"] > 0
    assert outcome.counts["runs of feeds done"] >= 3
    assert any(name.startswith("fault: ") for name in outcome.counts)
    shutil.rmtree(folder)
