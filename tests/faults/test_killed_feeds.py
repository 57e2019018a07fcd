"""Parts are killed while feeds run: each window is delivered once, and the numbers have no gap."""

from pathlib import Path

import pytest

from contactexport.context import Context
from tests.support.exporting import PASSWORD, add_contact, execute
from tests.support.feeds import add_feed, feed_of, runs_of, to_ftp
from tests.support.ftp_hosts import files, serving
from tests.support.processes import worker
from tests.support.served import wait_until

POINTS = [
    "feed started:0",
    "export claimed:1",
    "rows half written:1",
    "marked ready:1",
    "file delivered:1",
    "manifest delivered:1",
    "marked done:1",
]


@pytest.mark.parametrize("point", POINTS)
def test_feed_goes_on_after_the_death_of_a_process(context: Context, tmp_path: Path, point: str):
    contact = add_contact(context, first_name="Anna")
    inbox = tmp_path / "inbox"
    with serving(inbox) as (port, _told):
        feed = add_feed(context, password=PASSWORD, **to_ftp(port))
        execute(context, "UPDATE feed SET due_at = clock_timestamp()")
        with worker(context, concurrency=2, CRASH_POINT=f"{point}:SIGKILL") as killed:
            wait_until(lambda: killed.deaths() >= 1, "a process has died")
            wait_until(lambda: feed_of(context, feed.id).sequence == 1, "the first file is delivered")
        (first,) = runs_of(context, feed)
        execute(context, "UPDATE contact SET first_name = 'Annie'")
        execute(context, "UPDATE feed SET due_at = clock_timestamp()")
        with worker(context):
            wait_until(lambda: feed_of(context, feed.id).sequence == 2, "the second file is delivered")
    runs = runs_of(context, feed)
    assert [(run["feed_sequence"], run["status"]) for run in runs] == [(1, "done"), (2, "done")]
    assert runs[0] == first
    names = [name for name in files(inbox) if name.endswith(".csv")]
    texts = [(inbox / name).read_text() for name in sorted(names, key=lambda name: int(name.split("_")[1]))]
    assert [f"\n{contact},{name}," in text for name, text in zip(("Anna", "Annie"), texts, strict=True)] == [True, True]
    start = execute(context, "SELECT settings->>'start' AS start FROM export WHERE id = %s", (runs[1]["id"],))[0][
        "start"
    ]
    end = execute(context, "SELECT effective_until AS until FROM export WHERE id = %s", (runs[0]["id"],))[0]["until"]
    assert start == end.isoformat()
