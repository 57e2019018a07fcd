"""What must be true of all exports after any fault, once everything runs again."""

import csv
import hashlib
import io
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from contactexport.context import Context
from tests.support.exporting import PASSWORD, execute
from tests.support.served import wait_until

FINAL = ("done", "error")


def require_nothing_lost(
    context: Context,
    accepted: Iterable[int],
    *,
    stored_in: Path | None = None,
    delivered_to: Path | None = None,
    logs: Iterable[Path] = (),
    secrets: Iterable[str] = (PASSWORD,),
) -> list[dict[str, Any]]:
    """Every accepted export has one row, and is final or has a due time. Every done one has exactly one complete file,
    unless it was deleted on request. No lock, no temporary file and no plaintext secret is left. `stored_in` is the
    folder of local files, by default the storage, and `delivered_to` that of the FTP host.

    Returns the rows.
    """
    accepted = list(accepted)
    rows = execute(context, "SELECT * FROM export ORDER BY id")
    assert sorted(accepted) == [row["id"] for row in rows]
    stored_in = stored_in or context.settings.storage_dir
    _require_nothing_left(context, stored_in, delivered_to)
    for row in rows:
        assert (row["status"] in FINAL) == (row["due_at"] is None), row
        assert row["status"] not in FINAL or row["ftp_secret"] is None, row
        if row["status"] == "done":
            _require_one_complete_file(row, stored_in, delivered_to)
    _require_no_secret(context, [*logs], secrets)
    return rows


def require_all_done(context: Context, accepted: Iterable[int], **options: Any) -> list[dict[str, Any]]:
    """The same, and every export is done."""
    rows = require_nothing_lost(context, accepted, **options)
    assert {row["status"]: row["error"] for row in rows} == {"done": None}
    return rows


def wait_until_final(context: Context, export_id: int, seconds: float = 60) -> dict[str, Any]:
    """Returns the row of an export once it is done or in error."""

    def row() -> dict[str, Any]:
        return execute(context, "SELECT * FROM export WHERE id = %s", (export_id,))[0]

    wait_until(lambda: row()["status"] in FINAL, f"export {export_id} is finished", seconds)
    return row()


def _require_one_complete_file(row: dict[str, Any], stored_in: Path, delivered_to: Path | None) -> None:
    by_ftp = row["settings"]["distribution_method"] == "ftp"
    folder = delivered_to if by_ftp else stored_in
    assert folder is not None, row
    if row["file_deleted_at"] is not None and not by_ftp:
        return
    found = {path.name: path for path in folder.rglob(f"*{row['file_name']}*")}
    if row["feed_id"] is not None:
        assert found.pop(f"{row['file_name']}.json").read_bytes() == row["manifest"].encode(), row
    assert list(found) == [row["file_name"]], row
    content = found[row["file_name"]].read_bytes()
    text = io.StringIO(content.decode("utf-8-sig"), newline="")
    lines = len(list(csv.reader(text, delimiter=row["settings"]["delimiter"])))
    assert (len(content), hashlib.sha256(content).hexdigest()) == (row["bytes"], row["sha256"]), row
    assert lines - int(row["settings"]["header"]) == row["rows"], row


def _require_nothing_left(context: Context, stored_in: Path, delivered_to: Path | None) -> None:
    wait_until(lambda: advisory_locks(context) == [], "no advisory lock is held")
    for folder in filter(None, (stored_in, delivered_to)):
        wait_until(lambda found=folder: not list(found.rglob("*.part")), "a sweep has removed what is temporary", 20)


def advisory_locks(context: Context) -> list[dict[str, Any]]:
    """The sessions of this database that hold a lock on the setting of an export."""
    return execute(
        context,
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )


def _require_no_secret(context: Context, logs: list[Path], secrets: Iterable[str]) -> None:
    wanted = [secret.encode() for secret in secrets]
    files = [path for path in context.settings.data_dir.rglob("*") if path.is_file() and "postgres" not in path.parts]
    contents = {path: path.read_bytes() for path in logs}
    for path in files:
        with suppress(FileNotFoundError):  # a worker may take a message at the same time
            contents[path] = path.read_bytes()
    assert [path for path, content in contents.items() if any(secret in content for secret in wanted)] == []
    stored = execute(context, "SELECT export::text AS line FROM export")
    assert not any(secret.decode() in row["line"] for secret in wanted for row in stored)
