"""Every script of `make bench` at a tiny scale: its files are right and it stores its figures, whatever they are.

The scripts skip tools that are not installed.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contactexport.db.connection import Database

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCALE = "0.0005"


def scripts() -> list[str]:
    """SCRIPTS of run_all.py. That module imports others that are only in the folder of the benchmarks."""
    for node in ast.parse((BENCHMARKS / "run_all.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SCRIPTS":
            return list(ast.literal_eval(node.value))
    raise AssertionError("run_all.py has no SCRIPTS")


@pytest.fixture
def environment(server_url: str, tmp_path: Path):
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    # Parallel tests use the brokers of this machine.
    away = {"BENCH_RABBITMQ_URL": "amqp://127.0.0.1:1//", "BENCH_REDIS_URL": "redis://127.0.0.1:1/0"}
    yield unmeasured | away | {"BENCH_DATABASE_URL": server_url, "BENCH_FOLDER": str(tmp_path)}
    server = Database(lambda: server_url)
    with server.session() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'contactexport_bench%'")
        for row in cursor.fetchall():
            cursor.execute(f"DROP DATABASE {row['datname']} WITH (FORCE)")


def run(script: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{script}.py"), "--scale", SCALE],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", [script for script in scripts() if script != "profiles"])
def test_benchmark_verifies_its_files_and_stores_its_figures(script, environment, tmp_path):
    run(script, environment)
    kept = [json.loads(file.read_text()) for file in tmp_path.glob("*.json")]
    assert kept
    assert all(table["rows"] for table in kept)


def test_profiles_and_plan_are_stored_as_text(environment, tmp_path):
    run("profiles", environment)
    kept = {file.stem: file.read_text() for file in tmp_path.glob("*.txt")}
    assert kept.keys() == {"profile_export", "profile_post", "plan_export"}
    assert "Execution Time" in kept["plan_export"]
