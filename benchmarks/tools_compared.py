"""The same export by contactexport and by other tools. Every file is compared with one made independently.

    python benchmarks/tools_compared.py --scale 0.1

One of four contacts has changed. The file has ten fields, two of them choices, in the order of ids. Each tool is a
separate process and works in the way of its users (see tools/), in turns. The fastest round counts. At scale 1 there
are 4,000,000 contacts. A tool that takes twice as long as contactexport runs once, unless it has an aim. Tools that are
not installed, or cannot load a part of theirs, are listed with the reason.
"""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import contacts
import expected_file
import psutil
import results
from expected_file import ExpectedFile

CONTACTS = 4_000_000
ONE_CHANGED_OF = 4
SLOW = 2
ERROR = re.compile(r"[\w.]*(Error|Exception)\b")
MEGABYTE = 1_000_000
LOOK_SECONDS = 0.02
LOOKS_FOR_CHILDREN = 25
NOT_INSTALLED = "not installed"
OURS = "by_contactexport"


@dataclass(frozen=True)
class Tool:
    """A module of tools/ with the packages it needs. `ahead` explains where it is faster than contactexport.

    `starts_program` is true if the module only waits for a program, which is then measured.
    """

    module: str
    name: str
    packages: tuple[str, ...] = ()
    aim: str = ""
    ahead: str = "keeps no status, no hash, and flushes nothing to disk"
    starts_program: bool = False


TOOLS = (
    Tool(OURS, "contactexport"),
    Tool(
        "psql_copy",
        "psql \\copy",
        aim="at least 1.67",
        starts_program=True,
    ),
    Tool("psql_copy_tuned", "psql \\copy, planner tuned", starts_program=True),
    Tool("cursor_and_csv", "psycopg2 cursor, csv.writer", aim="at least 5"),
    Tool("sqlalchemy_orm", "SQLAlchemy ORM, csv.writer"),
    Tool("pandas_chunks", "pandas read_sql in chunks, to_csv", ("pandas",)),
    Tool("duckdb_attach", "DuckDB, tables attached", ("duckdb", "duckdb_extension_postgres_scanner")),
    Tool("duckdb_query", "DuckDB, postgres_query", ("duckdb", "duckdb_extension_postgres_scanner")),
    Tool("connectorx_polars", "ConnectorX, polars", ("connectorx", "polars")),
    Tool("adbc_polars", "ADBC, polars", ("adbc_driver_postgresql", "polars", "pyarrow")),
    Tool("adbc_pyarrow", "ADBC, pyarrow, streamed", ("adbc_driver_postgresql", "pyarrow")),
)


@dataclass(frozen=True)
class Run:
    """One export by a tool: seconds, peak of its resident memory in bytes, and how its file differs."""

    seconds: float
    memory: int
    difference: str


class ToolFailed(Exception):
    """An optional tool that is installed has not written its file."""

    def __init__(self, complaints: str) -> None:
        lines = complaints.strip().splitlines() or ["without a word"]
        named = [line for line in lines if ERROR.match(line)]
        self.reason = f"failed: {(named or lines)[-1]}"
        super().__init__(self.reason)


def main() -> None:
    """Compares, prints and stores the tables `tools_compared` and `tools_memory`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 1,000,000 changed of 4,000,000 contacts")
    parser.add_argument("--rounds", type=int, help="runs of each tool")
    parser.add_argument("--only", nargs="*", help="modules of tools/ beside contactexport", metavar="MODULE")
    options = parser.parse_args()
    tools = [tool for tool in TOOLS if not options.only or tool.module in {OURS, *options.only}]
    rounds = options.rounds or _rounds(options.scale)
    number = max(round(CONTACTS * options.scale), 1000)
    runs = _all_runs(tools, number, rounds)
    _save(tools, runs, number, rounds)


def _rounds(scale: float) -> int:
    """The number of rounds: as many as there is time for, or one if only the files are checked."""
    if scale < 0.01:
        return 1
    return 3


def _all_runs(tools: Sequence[Tool], number: int, rounds: int) -> dict[str, list[Run] | str]:
    """The runs of each tool, or the reason why there are none."""
    with (
        contacts.server() as server,
        contacts.database_of(server, number, upon=number // ONE_CHANGED_OF) as context,
        tempfile.TemporaryDirectory(dir=contacts.folder()) as folder,
    ):
        start, end = contacts.window_with(context, number // ONE_CHANGED_OF)
        file = Path(folder, "changes.csv")
        expected = expected_file.make(context.database, start, end, file)
        arguments = [context.database.url, start.isoformat(), end.isoformat(), str(file)]
        runs: dict[str, list[Run] | str] = {tool.module: _missing(tool) or [] for tool in tools}
        for _ in range(rounds):
            for tool in tools:
                done = runs[tool.module]
                if isinstance(done, str) or _is_slow(tool, done, runs[OURS], number):
                    continue
                file.unlink(missing_ok=True)
                try:
                    done.append(_run(tool, arguments, expected))
                except ToolFailed as failure:
                    runs[tool.module] = failure.reason
        return runs


def _is_slow(tool: Tool, done: list[Run], ours: list[Run] | str, number: int) -> bool:
    """Whether a tool needs no further rounds: an exact time is not interesting if it takes many times as long."""
    if tool.aim or number < CONTACTS or not done or isinstance(ours, str):
        return False
    return done[0].seconds > SLOW * ours[0].seconds


def _missing(tool: Tool) -> str:
    absent = [package for package in tool.packages if importlib.util.find_spec(package) is None]
    return f"{NOT_INSTALLED}: {', '.join(absent)}" if absent else ""


def _run(tool: Tool, arguments: Sequence[str], expected: ExpectedFile) -> Run:
    """Runs a tool once. Raises ToolFailed, WrongFile, or CalledProcessError for a tool that is always installed."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"tools.{tool.module}", *arguments],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    memory = _peak_memory(process, tool)
    output, complaints = process.communicate()
    if process.returncode:
        print(complaints, file=sys.stderr)
        if tool.packages:
            raise ToolFailed(complaints)
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Run(json.loads(output)["seconds"], memory, expected_file.difference(Path(arguments[-1]), expected))


def _peak_memory(process: subprocess.Popen[str], tool: Tool) -> int:
    """The peak of bytes of a process and all its children, returned once it has ended.

    It looks for children only once in a while, because that takes long and slows down a tool that uses all cores.
    """
    itself = psutil.Process(process.pid)
    peak, looks, counted = 0, 0, [itself]
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            if looks % LOOKS_FOR_CHILDREN == 0:
                counted = itself.children(recursive=True) + [itself] * (not tool.starts_program)
            peak = max(peak, sum(one.memory_info().rss for one in counted))
        looks += 1
        time.sleep(LOOK_SECONDS)
    return peak


def _save(tools: Sequence[Tool], runs: dict[str, list[Run] | str], number: int, rounds: int) -> None:
    rows = number // ONE_CHANGED_OF
    best = {
        module: min(done, key=lambda run: run.seconds) for module, done in runs.items() if not isinstance(done, str)
    }
    memory = {module: max(run.memory for run in done) for module, done in runs.items() if not isinstance(done, str)}
    about = f"{rows:,} changed of {number:,} contacts, ten fields; the fastest of {rounds} counts."
    if number >= CONTACTS:
        about += " What took twice as long and has no aim ran once."
    results.save(
        results.Table(
            "tools_compared",
            "The same export by other tools",
            about,
            "contactexport is faster by",
            tuple(_time_row(tool, runs[tool.module], best, rows) for tool in tools),
        )
    )
    results.save(
        results.Table(
            "tools_memory",
            "Memory of the same export",
            f"{about} Resident memory of the tool's processes at its peak, Postgres not counted.",
            "of contactexport's",
            tuple(
                results.Row(
                    tool.name,
                    memory[tool.module] / MEGABYTE,
                    "MB",
                    memory[tool.module] / memory[OURS],
                )
                for tool in tools
                if tool.module in memory
            ),
        )
    )


def _time_row(tool: Tool, done: list[Run] | str, best: dict[str, Run], rows: int) -> results.Row:
    if isinstance(done, str):
        return results.Row(tool.name, None, "s", more={"file": done})
    run = best[tool.module]
    ratio = run.seconds / best[OURS].seconds
    more = {"rows a second": results.readable(rows / run.seconds), "file": run.difference or "the same bytes"}
    if ratio < 1:
        more["why ahead"] = tool.ahead
    return results.Row(tool.name, run.seconds, "s", ratio, tool.aim, more)


if __name__ == "__main__":
    main()
