"""Verifies a folder of a feed by `contactexport verify`, and hashes the same files by `sha256sum`, in turns.

    python benchmarks/verify.py --scale 0.1

1.00 is as fast as sha256sum. The aim is 0.8 or more. Both are whole commands, from their start to their end.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import results

from contactexport.files.export_file import WrittenFile
from contactexport.files.writer import RowIndex
from contactexport.manifests.manifest import FeedRun, FileContent, build
from contactexport.manifests.signing import SigningKey, key_set

FILES = 1000
MEGABYTE = 1_000_000
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = [(None, "user_id"), (3, "E-Mail"), (None, "last update"), (None, "change")]


def main() -> None:
    """Compares both and stores the table `verify`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 1,000 files of 1 MB")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each command; the median one counts")
    options = parser.parse_args()
    count = max(round(FILES * options.scale), 1)
    with tempfile.TemporaryDirectory() as made:
        folder, keys = Path(made, "feed"), Path(made, "keys.json")
        folder.mkdir()
        files = _write_feed(folder, keys, count)
        commands = {
            "contactexport verify": [
                sys.executable, "-m", "contactexport.cli", "verify", str(folder), "--key", str(keys), "--json",
            ],
            "sha256sum": ["sha256sum", *files],
        }  # fmt: skip
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                began = time.perf_counter()
                said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                taken[name].append(time.perf_counter() - began)
                if name == "contactexport verify" and json.loads(said)["files"] != count:
                    raise SystemExit(f"not verified: {said}")
    seconds = {name: statistics.median(values) for name, values in taken.items()}
    rows = tuple(
        results.Row(name, count / value, "MB/s", seconds["sha256sum"] / value, "at least 0.8" * (name != "sha256sum"))
        for name, value in seconds.items()
    )
    about = f"{count:,} files of 1 MB with their manifests; the median of {options.rounds} runs of each command counts."
    results.save(
        results.Table("verify", "Verifying a folder against sha256sum", about, "speed against sha256sum", rows)
    )


def _write_feed(folder: Path, keys: Path, count: int) -> list[str]:
    """Writes so many files of one feed, and the public key. Returns their paths."""
    key, previous, files = SigningKey.new(), None, []
    keys.write_text(json.dumps(key_set([key.public])), encoding="utf-8")
    for number in range(1, count + 1):
        path = folder / f"changes_{number}_en-{number:06x}.csv"
        content = os.urandom(MEGABYTE)
        path.write_bytes(content)
        window = (BEGINNING + timedelta(days=number - 1) if number > 1 else None, BEGINNING + timedelta(days=number))
        written = WrittenFile(10_000, MEGABYTE, hashlib.sha256(content).hexdigest(), RowIndex())
        described = FileContent(number, path.name, window, None, COLUMNS, 0, written)
        previous = build(described, FeedRun(1, "nightly", number, previous), key, window[1])
        path.with_name(f"{path.name}.json").write_text(previous, encoding="utf-8")
        files.append(str(path))
    return files


if __name__ == "__main__":
    main()
