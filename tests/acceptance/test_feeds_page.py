"""docs/feeds.md: its commands and SQL do what it says, in order and against a running service."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from contactexport.embedded import postgres
from contactexport.settings import PREFIX
from tests.support.served import PROJECT, free_port, wait_until

pytestmark = pytest.mark.slow

PAGE = (PROJECT / "docs" / "feeds.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
# What is another one each time: names of files, moments, hashes, sizes.
VOLATILE = re.compile(r"(?<=_en-)[0-9a-f]{6}|\d{4}-\d\d-\d\dT[\d:.]+Z|(?<=last manifest )[0-9a-f]+…?|\d+(?= bytes)")


@dataclass
class Reader:
    """Does what the page says. `folder` has the data, in place of var, and the files that the commands write."""

    folder: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        programs = f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        ours = {"DATA_DIR": str(self.folder / "var"), "ALLOWED_HOSTS": "127.0.0.1"}
        return outside | {f"{PREFIX}{name}": value for name, value in ours.items()} | {
            "PATH": programs, "PYTHONPATH": str(PROJECT), "FLASK_APP": str(PROJECT / "wsgi.py"),
        }  # fmt: skip

    def shell(self, script: str) -> str:
        """Runs it and returns what it prints. Variables that it exports are there for the next one."""
        script = script.replace(":8025", f":{self.port}").replace(
            "examples/mirror", str(PROJECT / "examples" / "mirror")
        )
        kept = self.folder / "environment"
        done = subprocess.run(
            ["bash", "-e", "-c", f"{kept.read_text() if kept.exists() else ''}\n{script}\nexport -p > {kept}"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self) -> subprocess.Popen[bytes]:
        """Starts `flask serve`, and returns when it is ready."""
        log = self.folder / "serve.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", "flask", "serve", "--port", str(self.port)]
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=output, stderr=output)
        wait_until(lambda: "ready http" in log.read_text(), log.read_text())
        return process

    def sql(self, statements: str) -> list[tuple]:
        conn = psycopg2.connect(postgres.start(self.folder / "var"))
        try:
            with conn, conn.cursor() as cursor:
                cursor.execute(statements)
                return cursor.fetchall() if cursor.description else []
        finally:
            conn.close()


@pytest.fixture
def reader() -> Iterator[Reader]:
    # Not below pytest's own folder: another session of pytest would deny the database's user access to it.
    folder = Path(tempfile.mkdtemp(prefix="contactexport-page-"))
    (folder / "bin").mkdir()
    command = folder / "bin" / "contactexport"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m contactexport.cli "$@"\n')
    command.chmod(0o755)
    yield Reader(folder, free_port())
    postgres.stop(folder / "var")
    shutil.rmtree(folder, ignore_errors=True)


def lines(text: str) -> list[str]:
    return [VOLATILE.sub("…", line.rstrip()) for line in text.splitlines()]


@pytest.mark.timeout(600)
def test_page_leads_to_a_verified_mirror(reader: Reader):
    pytest.importorskip("duckdb", reason="there is no wheel of DuckDB for this Python and machine")
    serving, printed = None, ""
    try:
        for block in BLOCK.finditer(PAGE):
            if block["language"] == "sql":
                assert reader.sql(block["text"]) == []
            elif block["language"] == "text":
                missing = [line for line in lines(block["text"]) if line not in lines(printed)]
                assert missing == [], printed
            elif "flask serve" in block["text"]:
                reader.shell(block["text"].replace("flask serve\n", ""))
                serving = reader.start()
            else:
                printed = reader.shell(block["text"])
    finally:
        if serving is not None:
            serving.terminate()
            serving.wait(timeout=60)
    assert reader.sql("SELECT count(*) > 100, bool_or(\"First Name\" = 'Anna') FROM customers") == [(True, True)]
