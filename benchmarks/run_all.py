"""`make bench`: all benchmarks one after the other on one Postgres, then the tables and charts of docs/performance.md.

At scale 1 it takes up to 25 minutes, depending on the machine, and 10 GB under var/bench, which stay for the next run.
A smaller scale is for a quick look. Its page is written into var/bench/report. Nothing else should run on the machine.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import contacts
import machine
import report

SCRIPTS = (
    "api_throughput",
    "tools_compared",
    "memory",
    "growth_contacts",
    "growth_rows",
    "growth_queue",
    "change_capture",
    "adopting",
    "latency",
    "profiles",
    "ftp_upload",
    "sftp_upload",
    "verify",
    "mirror",
    "due_feeds",
    "console_pages",
)


def main() -> int:
    """Returns the exit code. It is 1 if a benchmark has failed. Then no page is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 4,000,000 contacts")
    scale = parser.parse_args().scale
    began = time.monotonic()
    for old in [*contacts.folder().glob("*.json"), *contacts.folder().glob("*.txt")]:
        old.unlink()
    with contacts.server() as url:
        named = machine.described(url)
        for name, value in named.items():
            print(f"{name:10}{value}")
        failed = [script for script in SCRIPTS if not _runs(script, url, scale)]
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes at scale {scale:g}")
    if failed:
        print(f"FAILED: {', '.join(failed)}", file=sys.stderr)
        return 1
    print(f"written: {report.write(named, scale)}")
    return 0


def _runs(script: str, server_url: str, scale: float) -> bool:
    print(f"\n# {script}", flush=True)
    contacts.settle(server_url)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(f"{script}.py")), "--scale", str(scale)],
        env=os.environ | {"BENCH_DATABASE_URL": server_url},
        check=False,
    )
    print(f"({time.monotonic() - began:.0f} s)", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
