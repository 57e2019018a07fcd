"""What must be true after a soak, whatever has died. Each check raises AssertionError or returns its counts."""

import csv
import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.soak.feeds import CHURNED_IDS
from tests.soak.house import House
from tests.soak.load import Sent, Walk
from tests.support.exporting import PASSWORD
from tests.support.invariants import FINAL, require_nothing_lost

Row = dict[str, Any]

ANSWERS = ("accepted", "4001", "429", "503", "no answer")
# After these the caller does not know whether the request was accepted: the commit may have succeeded before.
UNCERTAIN = {"no answer", "503"}
CHANGED = """
SELECT contact_id, to_char(max(changed_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS last_update
FROM contact_change
WHERE changed_at >= %(start)s AND changed_at < %(until)s AND contact_id < %(churned)s
  AND (%(origin)s = 'all' OR (origin_kind = %(origin)s AND origin_id = ANY (%(ids)s)))
GROUP BY contact_id ORDER BY contact_id
"""


def every_accepted_request_has_one_row(rows: Sequence[Row], sent: Sequence[Sent]) -> dict[str, int]:
    """A refused request has no row. A request without an answer may have one."""
    stored, accepted, uncertain = defaultdict(list), defaultdict(list), Counter()
    for row in rows:
        stored[datetime.fromisoformat(row["settings"]["end"]).microsecond].append(row["id"])
    for one in sent:
        assert one.answer in ANSWERS, one
        uncertain[one.marker] += one.answer in UNCERTAIN
        if one.export_id is not None:
            accepted[one.marker].append(one.export_id)
    for marker in stored.keys() | accepted.keys():
        found, known = stored[marker], accepted[marker]
        assert len(set(known)) == len(known), f"two requests were given the same export: {marker} {known}"
        assert set(known) <= set(found), f"accepted and lost: {sorted(set(known) - set(found))}"
        assert len(found) <= len(known) + uncertain[marker], f"nobody asked for one of {found}, only for {known}"
    counts = Counter(one.answer for one in sent)
    unanswered = {"accepted without an answer": len(rows) - counts["accepted"]}
    return {"requests sent": len(sent)} | {f"requests: {answer}": counts[answer] for answer in ANSWERS} | unanswered


def the_same_setting_never_ran_twice_at_a_time(rows: Iterable[Row]) -> None:
    by_key = defaultdict(list)
    for row in rows:
        by_key[row["setting_key"]].append((row["created_at"], row["finished_at"], row["id"]))
    for same in by_key.values():
        same.sort()
        for (_, finished, first), (created, _, second) in pairwise(same):
            ended = finished is not None and finished <= created
            assert ended, f"{second} was accepted while {first} was not finished"


def errors_have_a_reason(house: House, rows: Iterable[Row]) -> None:
    """The only legitimate error is a cancel by the soak."""
    for row in rows:
        ours = row["id"] in house.cancelled or (row["feed_id"] is not None and row["status"] == "error")
        if row["status"] == "error":
            assert (row["error"], ours) == ("cancelled", True), row
        if row["file_deleted_at"] is not None:
            assert ours, row


def nothing_is_lost_or_left(house: House, rows: Sequence[Row]) -> dict[str, int]:
    """The invariants after every fault hold, and every file belongs to an export."""
    logs = [*house.logs, house.postgres.log]
    cancelled = {name for row in rows if row["error"] == "cancelled" for name in names(row)}
    for part in house.host_folder.rglob("*.part"):
        # Its worker died during the upload, and the export was cancelled before a next upload would have deleted it.
        assert part.name.rsplit(".", 2)[0] in cancelled, part
        part.unlink()
    require_nothing_lost(
        house.context,
        [row["id"] for row in rows],
        stored_in=house.storage,
        delivered_to=house.host_folder,
        logs=logs,
        secrets=[PASSWORD],
    )
    assert {row["status"] for row in rows} <= set(FINAL), "not all are finished"
    local = {name for row in rows if is_local(row) and has_file(row) for name in names(row)}
    assert {file.name for file in house.storage.glob("[!.]*")} == local
    by_ftp = {name for row in rows if not is_local(row) and row["status"] == "done" for name in names(row)}
    # The complete file of an export that was cancelled right after its upload may be there.
    assert {file.name for file in _received(house)} - cancelled == by_ftp
    return {"files local": len(local), "files by ftp": len(by_ftp)}


def names(row: Row) -> list[str]:
    """Those of the file, and of the manifest beside that of a feed."""
    return [row["file_name"], *([f"{row['file_name']}.json"] if row["feed_id"] is not None else [])]


def is_local(row: Row) -> bool:
    return bool(row["settings"]["distribution_method"] == "local")


def has_file(row: Row) -> bool:
    return row["status"] == "done" and (row["file_deleted_at"] is None or not is_local(row))


def _received(house: House) -> list[Path]:
    return [path for path in house.host_folder.rglob("*") if path.is_file()]


def every_file_holds_its_window(house: House, rows: Iterable[Row]) -> dict[str, int]:
    """Each file has exactly the contacts that changed in its window, with their last change, by a separate query."""
    files = {path.name: path for path in (*_received(house), *house.storage.glob("[!.]*"))}
    compared = 0
    wanted = [row for row in rows if has_file(row)]
    for row in wanted:
        settings, until = row["settings"], row["effective_until"]
        end = datetime.fromisoformat(settings["end"])
        assert until == end or until < end > row["created_at"], row
        values = {
            "start": settings["start"],
            "until": until,
            "origin": settings["origin"],
            "ids": settings["origin_ids"],
            "churned": CHURNED_IDS,
        }
        changed = {one["contact_id"]: one["last_update"] for one in house.sql(CHANGED, values)}
        lines = content(files[row["file_name"]], row)
        assert [int(line[0]) for line in lines] == list(changed), f"export {row['id']}"
        assert [line[-1] for line in lines] == list(changed.values()), f"export {row['id']}"
        compared += len(lines)
    return {"files compared": len(wanted), "rows compared": compared}


def content(file: Path, row: Row) -> list[list[str]]:
    """The lines of contacts that nobody deletes or moves."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        records = list(csv.reader(lines, delimiter=row["settings"]["delimiter"]))
    contacts = records[1:] if row["settings"]["header"] else records
    return [line for line in contacts if int(line[0]) < CHURNED_IDS]


def every_change_is_logged(house: House, since: datetime) -> dict[str, int]:
    """The triggers have logged exactly what was committed."""
    logged = house.sql(
        "SELECT contact_id FROM contact_change WHERE changed_at >= %s AND contact_id < %s", (since, CHURNED_IDS)
    )
    ledger = house.sql("SELECT contact_id FROM soak_ledger")
    assert Counter(row["contact_id"] for row in logged) == Counter(row["contact_id"] for row in ledger)
    return {"changes committed": len(ledger)}


def every_change_was_delivered_once(house: House, walk: Walk, since: datetime, rows: Iterable[Row]) -> dict[str, int]:
    """The windows of the walk, laid end to end, contain each change of the ledger, and no other value."""
    by_id = {row["id"]: row for row in rows}
    edge = since
    for window in walk.windows:
        row = by_id[window.export_id]
        assert (window.start, datetime.fromisoformat(row["settings"]["start"])) == (edge, edge), window
        assert row["effective_until"] == window.until >= window.start, window
        edge = window.until
    starts = [window.start for window in walk.windows]
    files = [_tokens(house, by_id[window.export_id]) for window in walk.windows]
    delivered = _deliveries(house, walk, since, edge, starts, files)
    told = sum(len(tokens) for tokens in files)
    assert told == len({(number, contact) for number, contact in delivered}), "a contact without a change was told"
    name = walk.body["distribution_method"]
    return {f"changes delivered ({name})": len(delivered), f"windows ({name})": len(files)}


def _deliveries(
    house: House,
    walk: Walk,
    since: datetime,
    edge: datetime,
    starts: Sequence[datetime],
    files: Sequence[dict[int, int]],
) -> list[tuple[int, int]]:
    """For each change of the walk's origin: the number of the window that exported it, and the contact."""
    tokens = defaultdict(list)
    for row in house.sql("SELECT contact_id, token FROM soak_ledger ORDER BY token"):
        tokens[row["contact_id"]].append(row["token"])
    seen: Counter[int] = Counter()
    delivered = []
    statement = "SELECT * FROM contact_change WHERE changed_at >= %s AND contact_id < %s ORDER BY changed_at"
    for change in house.sql(statement, (since, CHURNED_IDS)):
        contact = change["contact_id"]
        seen[contact] += 1
        if walk.body["origin"] != "all" and change["origin_id"] != walk.body["origin_id"]:
            continue
        assert change["changed_at"] < edge, f"no window has asked for {change}"
        number = bisect_right(starts, change["changed_at"]) - 1
        told = files[number].get(contact)
        assert told is not None, f"missed by window {number}: {change}"
        # Of several changes in a window the last or a later one is exported, and never one that was rolled back.
        assert told in tokens[contact][seen[contact] - 1 :], f"{change} was told as {told}"
        delivered.append((number, contact))
    return delivered


def _tokens(house: House, row: Row) -> dict[int, int]:
    """The token of each contact when it was exported."""
    folder = house.storage if is_local(row) else house.host_folder
    found = next(folder.rglob(row["file_name"]))
    return {int(line[0]): int(line[1]) for line in content(found, row)}


def every_notification_came(house: House, rows: Iterable[Row]) -> dict[str, int]:
    """Each notification arrived at least once, with one key, and with the state in which the export ended."""
    came = defaultdict(set)
    for one in house.notified.received:
        body = json.loads(one.body)
        came[int(body["id"])].add((one.headers["Idempotency-Key"], body["status"]))
    wanted = [row for row in rows if row["settings"]["notification_url"]]
    for row in wanted:
        assert row["notified_at"] is not None, row
        assert [status for _key, status in came[row["id"]]] == [row["status"]], row
    return {"exports notified": len(wanted), "notifications": len(house.notified.received)}


def statistics(rows: Sequence[Row]) -> dict[str, int]:
    """The counts of how the exports ended."""
    ends = Counter(row["status"] + (f": {row['error']}" if row["error"] else "") for row in rows)
    attempts = Counter(row["attempt"] for row in rows)
    seconds = [(row["finished_at"] - row["created_at"]).total_seconds() for row in rows if row["status"] == "done"]
    return {
        **{f"exports {end}": ends[end] for end in sorted(ends)},
        **{f"exports with {number} attempts": attempts[number] for number in sorted(attempts)},
        "seconds from accepted to done, at most": round(max(seconds, default=0)),
    }


Check = Callable[[], Counter[str] | None]


def tried(checks: Iterable[Check]) -> tuple[dict[str, int], list[str]]:
    """Runs all checks, even if some fail. Returns what they have counted, and what is wrong."""
    counts: dict[str, int] = {}
    wrong = []
    for check in checks:
        try:
            counts |= check() or {}
        except AssertionError as failure:
            wrong.append(f"{getattr(check, 'func', check).__name__}: {str(failure)[:2000]}")
    return counts, wrong
