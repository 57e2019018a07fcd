"""The dashboard in ops/ is one by the types that Grafana publishes (@grafana/schema)."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DASHBOARD = HERE.parents[1] / "ops" / "grafana-dashboard.json"
COMPILER = HERE / "node_modules" / "typescript" / "bin" / "tsc"
# A member of an enumeration is no string in TypeScript, though it is one in JSON.
PROGRAM = """import {{ ThresholdsMode, type Dashboard }} from "@grafana/schema";
export const dashboard: Dashboard = {};
"""
OPTIONS = ["--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler", "--module", "esnext"]


def complaints(dashboard: str) -> str:
    program = HERE / "node_modules" / "dashboard.ts"  # where the types are found
    program.write_text(PROGRAM.format(dashboard.replace('"absolute"', "ThresholdsMode.Absolute")), encoding="utf-8")
    command = [str(shutil.which("node")), str(COMPILER), *OPTIONS, "--target", "es2022", str(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout


@pytest.mark.skipif(not (COMPILER.exists() and shutil.which("node")), reason="`make clients` installs node's packages")
def test_dashboard_has_the_types_of_grafana():
    dashboard = DASHBOARD.read_text(encoding="utf-8")
    assert complaints(dashboard) == ""
    for right, wrong in (('"gridPos"', '"gridpos"'), ('"schemaVersion": 39', '"schemaVersion": "39"')):
        assert "error TS" in complaints(dashboard.replace(right, wrong))
