"""The page: exports, newest first, with filters."""

import re
from typing import Any
from urllib.parse import urlencode

from flask import render_template, request, url_for

from contactexport.console import progress, store
from contactexport.console.blueprint import console, current_context, current_viewer
from contactexport.console.store import Filters
from contactexport.exports.models import ExportStatus

UNFINISHED = "unfinished"
STATUSES = (UNFINISHED, *ExportStatus)
ORIGIN = re.compile(r"(?P<kind>[a-z_ ]{1,40})(?::(?P<id>[0-9]{1,10}))?", re.ASCII)
LONGEST_FILTER = 200


@console.get("/exports")
def exports() -> str | tuple[str, int]:
    """Answers the page, or with `part=rows` its table only, and 204 if the table is still the same."""
    asked = {
        name: request.args.get(name, "").replace("\0", "").strip()[:LONGEST_FILTER]
        for name in ("status", "user", "origin", "q")
    }
    filters, problem = _filters(asked)
    before = request.args.get("before", type=int)
    if before is not None and not 0 < before < 2**63:
        before = None
    with current_context().database.autocommit() as conn:
        page = store.list_exports(conn, current_viewer(), filters, before)
    version = progress.version_of(page)
    if request.args.get("seen") == version:
        return "", 204
    filled: dict[str, Any] = {name: value for name, value in asked.items() if value}
    here = url_for("console.exports")
    older = f"{here}?{urlencode(filled | {'before': page.older_than})}" if page.older_than else None
    newest = f"{here}?{urlencode(filled)}" if before else None
    at_this_page = filled | ({"before": before} if before else {}) | {"part": "rows", "seen": version}
    return render_template(
        "console/_exports.html" if request.args.get("part") == "rows" else "console/exports.html",
        page=page,
        asked=asked,
        problem=problem,
        statuses=STATUSES,
        progress_of=progress.of_export,
        older_url=older,
        newer_url=newest,
        live_url=f"{here}?{urlencode(at_this_page)}",
    )


def _filters(asked: dict[str, str]) -> tuple[Filters, str]:
    """The filters, and what is wrong with them. A wrong one is ignored."""
    status, origin = asked["status"], ORIGIN.fullmatch(asked["origin"])
    problems = []
    if status and status not in STATUSES:
        problems.append(f"There is no status {status!r}.")
        status = ""
    if asked["origin"] and origin is None:
        problems.append(f"{asked['origin']!r} is not an origin: write one like form, or form:123.")
    filters = Filters(
        status=None if status in ("", UNFINISHED) else status,
        unfinished=status == UNFINISHED,
        created_by=asked["user"] or None,
        origin=origin and origin["kind"],
        origin_id=int(origin["id"]) if origin and origin["id"] else None,
        text=asked["q"].lower() or None,
    )
    return filters, " ".join(problems)
