"""A Postgres for one test, which may be restarted and killed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from contactexport.context import Context
from contactexport.embedded import postgres
from tests.support.exporting import execute
from tests.support.served import wait_until


class OwnPostgres:
    """A Postgres in its data folder. `url` is the URL of its database."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.url = postgres.start(data_dir)

    def restart(self, mode: str) -> None:
        """`fast` ends sessions and then stops. `immediate` only stops, and the next start recovers (pg_ctl)."""
        folder = self._data_dir / "postgres"
        command = [str(postgres.programs() / "pg_ctl"), "-w", "-m", mode, "-D", str(folder), "restart"]
        user = folder.owner() if os.geteuid() == 0 else None
        subprocess.run(command, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    def kill_and_start(self) -> None:
        self.kill()
        self.start()

    def start(self) -> None:
        assert postgres.start(self._data_dir) == self.url

    def kill(self) -> None:
        """kill -9 of its first process. The others notice and end."""
        found = int((self._data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        first = psutil.Process(found)
        others = first.children()
        first.kill()
        _gone, alive = psutil.wait_procs([first, *others], timeout=30)
        assert alive == []


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    # Not below pytest's own folder: another session of pytest would deny the server access to it.
    data_dir = Path(tempfile.mkdtemp(prefix="contactexport-"))
    try:
        yield OwnPostgres(data_dir)
    finally:
        postgres.stop(data_dir)
        shutil.rmtree(data_dir, ignore_errors=True)


GATES = """
CREATE TABLE gate (language text, status text, moment text, PRIMARY KEY (language, status));

-- Accepting an export limits how long it waits for locks. That limit is not for the gate.
CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
DECLARE
    found text;
BEGIN
    SELECT moment INTO found FROM public.gate WHERE language = NEW.settings->>'language' AND status = NEW.status;
    IF found = 'before commit' THEN
        PERFORM pg_advisory_xact_lock_shared(0, 1);
    ELSIF found = 'after commit' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER insert_gate BEFORE INSERT ON export FOR EACH ROW EXECUTE FUNCTION wait_at_gate();
CREATE TRIGGER update_gate BEFORE UPDATE ON export FOR EACH ROW
    WHEN (OLD.status <> NEW.status AND NEW.attempt = 1) EXECUTE FUNCTION wait_at_gate();
"""


def put_gates(context: Context) -> None:
    """Lets transactions that write a status from the table `gate` wait right before their commit, or right after it.

    Before it, they wait while somebody holds the advisory lock (0, 1). After it, they wait for a second server that
    does not exist: everything is on disk, but the client gets no answer.
    """
    with context.database.session() as conn, conn.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET synchronous_commit = local")
        cursor.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        cursor.execute("SELECT pg_reload_conf()")
    wait_until(lambda: execute(context, "SHOW synchronous_commit") == [{"synchronous_commit": "local"}], "reloaded")
    execute(context, GATES)


def waiting_at_gates(context: Context) -> dict[str, int]:
    rows = execute(
        context,
        "SELECT wait_event, count(*) FROM pg_stat_activity WHERE wait_event IN ('advisory', 'SyncRep') GROUP BY 1",
    )
    return {row["wait_event"]: row["count"] for row in rows}
