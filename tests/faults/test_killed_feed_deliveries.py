"""A worker is killed between a file and its manifest: the receiver ends with one complete pair."""

from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.feeds import run as feed_run
from contactexport.queue.publisher import RUN_EXPORT
from tests.support.exporting import add_contact
from tests.support.feed_receivers import by_ftp, verified
from tests.support.feeds import add_feed, feed_of
from tests.support.ftp_hosts import files, refuse_to_overwrite, serving
from tests.support.invariants import wait_until_final
from tests.support.processes import worker
from tests.support.served import wait_until

POINTS = ["marked ready", "file delivered", "manifest delivered", "file named"]


@pytest.mark.parametrize("point", POINTS)
def test_file_and_manifest_arrive_although_their_process_dies(context: Context, tmp_path: Path, point: str):
    add_contact(context)
    inbox, strict = tmp_path / "inbox", tmp_path / "strict"
    with (
        serving(inbox) as (port, _told),
        serving(strict, ftp_RNTO=refuse_to_overwrite) as (strict_port, _told),
        worker(context, concurrency=2, CRASH_POINT=f"{point}:1:SIGKILL"),
    ):
        feeds = [
            add_feed(context, "local"),
            add_feed(context, "ftp", **by_ftp(port)),
            add_feed(context, "strict", **by_ftp(strict_port)),
        ]
        for _ in range(2):
            ids = [feed_run.start(context, feed.id) for feed in feeds]
            for _id in ids:
                context.queue.publish(RUN_EXPORT)
            rows = [wait_until_final(context, export_id) for export_id in ids]
            assert {row["status"] for row in rows} == {"done"}
            assert max(row["attempt"] for row in rows) == 2
        wait_until(lambda: len(files(context.settings.storage_dir)) == 4, "what was delivered is gone")
    for feed, folder in zip(feeds, (context.settings.storage_dir, inbox, strict), strict=True):
        report = verified(context, folder, sequence=2, last=feed_of(context, feed.id).last_manifest_sha256)
        assert report.faults == []
        assert len(files(folder)) == 4
