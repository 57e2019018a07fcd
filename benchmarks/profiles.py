"""How the two main paths spend their time: samples of py-spy, and the plan of a large export with its times.

    python benchmarks/profiles.py --scale 0.1

Without the right to inspect other processes py-spy cannot sample. Then its tables say so.
"""

import argparse
import collections
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import api_throughput
import contacts
import http_load
import psutil
import results
from psycopg2 import sql
from running_server import serving
from tools import by_contactexport
from tools.job import Job

from contactexport.catalogue import Catalogue
from contactexport.changes import selection as changed_contacts
from contactexport.changes.selection import Selection
from contactexport.context import Context
from contactexport.db.queries import queries

CONTACTS = 4_000_000
REQUESTS = 2_000
SAMPLES_A_SECOND = 250
LINES = 14
SAMPLE = re.compile(r"(.*) (\d+)")


def main() -> None:
    """Measures, prints and stores `profile_export`, `profile_post` and `plan_export`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 1,000,000 of 4,000,000 contacts; 2,000 requests")
    scale = parser.parse_args().scale
    number = max(round(CONTACTS * scale), 1000)
    with (
        contacts.server() as server,
        contacts.database_of(server, number) as filled,
        contacts.folder_of_many_files() as folder,
    ):
        context = contacts.make_context(filled.database.url, folder)
        start, end = contacts.window_with(context, number // 4)
        job = Job(context.database.url, start.isoformat(), end.isoformat(), folder / "changes.csv")
        _save_profile("profile_export", _of_export(job, folder))
        _save_profile("profile_post", _of_post(context, max(round(REQUESTS * scale), 100), folder))
        results.save_text("plan_export", _plan(context, job))


def _of_export(job: Job, folder: Path) -> Path:
    samples = folder / "export.txt"
    command = [sys.executable, "-m", "tools.by_contactexport", job.url, job.start, job.end, str(job.file)]
    _py_spy(samples, "--native", "--", *command).wait()
    return samples


def _of_post(context: Context, requests: int, folder: Path) -> Path:
    """Samples one of gunicorn's two processes."""
    tokens = api_throughput.prepared_tokens(context)
    samples = folder / "post.txt"
    with serving(context, "wsgi:app", **api_throughput.LIMITS) as port:
        path = "/api/v2/contact/getchanges"
        http_load.send(port, [api_throughput.post(path, tokens) for _ in range(100)], api_throughput.CLIENTS)
        (master,) = [one for one in psutil.Process().children() if any(f":{port}" in part for part in one.cmdline())]
        spy = _py_spy(samples, "--gil", "--nonblocking", "--pid", str(master.children()[0].pid))
        time.sleep(1)
        load = [api_throughput.post(path, tokens) for _ in range(requests)]
        http_load.send(port, load, api_throughput.CLIENTS)
        spy.send_signal(signal.SIGINT)
        spy.wait()
    return samples


def _py_spy(samples: Path, *target: str) -> subprocess.Popen[bytes]:
    """Without py-spy nothing is sampled, and everything else still works."""
    options = ["--format", "raw", "--rate", str(SAMPLES_A_SECOND), "--output", str(samples)]
    program = Path(sys.executable).with_name("py-spy")
    return subprocess.Popen(
        [str(program), "record", *options, *target] if program.exists() else ["true"],
        cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONPATH": str(contacts.PROJECT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _save_profile(name: str, samples: Path) -> None:
    lines = samples.read_text(errors="replace").splitlines() if samples.exists() else []
    # The process continues while it is sampled. So a few names are garbage, even with line breaks.
    sampled = [match for match in map(SAMPLE.fullmatch, lines) if match]
    stacks = [match.groups() for match in sampled if "importlib" not in match[1]]
    if not stacks:
        results.save_text(name, "py-spy is not installed, or has not the right to look into other processes.")
        return
    whole, own = collections.Counter[str](), collections.Counter[str]()
    for stack, count in stacks:
        # A sample between two functions has no frame.
        frames = [frame.rpartition(":")[0] or frame for frame in stack.split(";") if frame] or ["(nothing)"]
        whole.update(dict.fromkeys(frames, int(count)))
        own[frames[-1]] += int(count)
    results.save_text(name, "\n".join(_lines(whole, own, sum(own.values()))))


def _lines(whole: collections.Counter[str], own: collections.Counter[str], samples: int) -> Sequence[str]:
    """First the functions of this project, with all that they call. Then the functions on top of the stack."""
    ours = [(frame, count) for frame, count in whole.most_common() if "contactexport/" in frame]
    called = [f"{100 * count / samples:4.0f} %  {frame}" for frame, count in ours[:LINES]]
    tops = [f"{100 * count / samples:4.0f} %  {frame}" for frame, count in own.most_common(LINES)]
    return [f"{samples} samples; with all they call:", *called, "", "by themselves:", *tops]


def _plan(context: Context, job: Job) -> str:
    """The plan of the whole export read by one session. It leaves out all partitions of the log but the first."""
    settings = by_contactexport.settings(job)
    with context.database.session(snapshot=True) as conn, conn.cursor() as cursor:
        catalogue = Catalogue.read(conn)
        fields = [catalogue.fields[field] for field in settings.contact_fields]
        selection = Selection(settings, fields, settings.end, "UTC")
        queries("changed_contact").prepare_reading(conn, small_part=False, time_zone="UTC")
        statement, values = changed_contacts.rows_query(selection)
        cursor.execute(sql.SQL("EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) ") + statement, values)
        lines = [str(row["QUERY PLAN"]) for row in cursor]
    return "\n".join(_without_parts(lines))


def _without_parts(lines: Sequence[str]) -> list[str]:
    kept: list[str] = []
    depth, seen = -1, 0
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if " on contact_change_" in line:
            seen, depth = seen + 1, indent
        elif indent <= depth:
            depth = -1
        if depth < 0 or seen == 1:
            kept.append(line[:150])
    return kept


if __name__ == "__main__":
    main()
