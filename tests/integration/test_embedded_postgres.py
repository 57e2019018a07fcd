"""The embedded server is stopped whoever has started it, and started by the first who needs it."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg2
import pytest

from contactexport.embedded import postgres


@pytest.fixture
def data_dir():
    folder = Path(tempfile.mkdtemp(prefix="contactexport-"))
    yield folder
    postgres.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def elsewhere(call, data_dir):
    """Does it in another process."""
    imports = "from pathlib import Path; from contactexport.embedded import postgres"
    program = f"{imports}; postgres.{call}(Path({str(data_dir)!r}))"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_server_that_another_process_has_started_anew_is_stopped(data_dir):
    url = postgres.start(data_dir)
    elsewhere("stop", data_dir)
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url)
    elsewhere("start", data_dir)
    psycopg2.connect(url).close()
    assert postgres.stop(data_dir)
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url)


def test_nothing_is_stopped_where_nothing_runs(data_dir):
    assert not postgres.stop(data_dir)
    postgres.start(data_dir)
    assert postgres.stop(data_dir)
    assert not postgres.stop(data_dir)
