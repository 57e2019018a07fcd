"""How long the server takes for the pages of the console, with 100,000 exports and 200 feeds.

    python benchmarks/console_pages.py --scale 0.1

In this process, with its own Postgres. Each page is asked for many times, and the slowest of 20 counts too.
"""

import argparse
import logging
import re
import statistics
import time
from functools import cache
from pathlib import Path
from typing import Any

import aiosql
import contacts
import results
from flask.testing import FlaskClient

from contactexport import create_app
from contactexport.context import Context
from contactexport.users import manage
from contactexport.users.store import Rights

EXPORTS, FEEDS = 100_000, 200
TIMES = 40
CSRF_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
AIM = "at most 100 ms"


@cache
def queries() -> Any:
    """The queries of console_pages.sql."""
    return aiosql.from_path(Path(__file__).with_name("console_pages.sql"), "psycopg2", mandatory_parameters=False)


def main() -> None:
    """Measures the pages and stores the table `console_pages`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 100,000 exports")
    options = parser.parse_args()
    exports, feeds = max(round(EXPORTS * options.scale), 50), max(round(FEEDS * options.scale), 2)
    with contacts.server() as server, contacts.copy_of(server, 5000) as context:
        with context.database.session() as conn:
            queries().add_exports(conn, exports=exports)
            queries().add_events(conn)
            queries().add_feeds(conn, feeds=feeds)
            queries().make_runs(conn, feeds=feeds)
            queries().vacuum(conn)
        browser = _signed_in(context)
        pages = {
            "overview, 24 hours": "/console/",
            "overview, 7 days": "/console/?period=7d",
            "overview, 30 days": "/console/?period=30d",
            "exports": "/console/exports",
            "exports, a page in the middle": f"/console/exports?before={exports // 2}",
            "exports in error": "/console/exports?status=error",
            "exports of a user": "/console/exports?user=user3",
            "exports by a text that none has": "/console/exports?q=nothing",
            "exports of an origin": "/console/exports?origin=form:7",
            "one export": f"/console/exports/{exports // 2}",
            "feeds": "/console/feeds",
            "feeds, 30 days": "/console/feeds?days=30",
            "one feed": "/console/feeds/feed1",
            "new export": "/console/new-export",
            "users": "/console/users",
            "system": "/console/system",
        }
        taken = {name: _milliseconds(browser, path) for name, path in pages.items()}
        compared = statistics.median(_milliseconds(browser, "/healthz"))
    rows = [
        results.Row(
            name,
            statistics.median(times),
            "ms",
            statistics.median(times) / compared,
            AIM,
            {"19 of 20": f"{sorted(times)[-len(times) // 20]:.0f} ms"},
        )
        for name, times in taken.items()
    ]
    about = f"{exports:,} exports and {feeds:,} feeds; the median of {TIMES} requests, on the server."
    results.save(results.Table("console_pages", "Pages of the console", about, "time against /healthz", tuple(rows)))


def _signed_in(context: Context) -> FlaskClient:
    """A browser of an operator."""
    app = create_app()
    app.extensions["contactexport"] = context
    logging.getLogger("contactexport").setLevel(logging.WARNING)
    token = manage.add_user(context, "olga", with_wsse=False, with_token=True, rights=Rights(operator=True)).token
    browser = app.test_client()
    form = CSRF_TOKEN.search(browser.get("/console/sign-in").text)
    if form is None:
        raise SystemExit("the sign-in has no CSRF token")
    fields = {"name": "olga", "token": token, "csrf_token": form[1]}
    if browser.post("/console/sign-in", data=fields).status_code != 303:
        raise SystemExit("not signed in")
    return browser


def _milliseconds(browser: FlaskClient, path: str) -> list[float]:
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        status = browser.get(path).status_code
        taken.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise SystemExit(f"{path}: {status}")
    return taken


if __name__ == "__main__":
    main()
