"""A few seconds of `make soak`, always the same ones as far as the seed decides."""

import shutil
import tempfile
from pathlib import Path

import pytest
from soak import soak

SECONDS = 6
SEED = 6


@pytest.mark.timeout(600)  # it waits as long as it takes until all is finished
def test_a_brief_soak_loses_nothing():
    # Not below pytest's own folder: another session of pytest would take the database's user's right to enter it.
    folder = Path(tempfile.mkdtemp(prefix="contactexport-soak-"))
    outcome = soak(folder, SECONDS, SEED, contacts=500, between_faults=(0.1, 0.8))
    assert outcome.wrong == [], folder
    assert outcome.counts["requests: accepted"] > 0
    assert outcome.counts["files compared"] > 0
    assert outcome.counts["changes delivered (local)"] == outcome.counts["changes committed"] > 0
    assert any(name.startswith("fault: ") for name in outcome.counts)
    shutil.rmtree(folder)
