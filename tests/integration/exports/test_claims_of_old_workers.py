"""During an upgrade a worker of 0.1.0 claims no export with settings that it does not know."""

import pytest

from contactexport.context import Context
from contactexport.exports.models import ALL_TIME
from tests.support.exporting import by_ftp, execute, request, row_of, run, settings_for

# Its claim, word for word but for the parameters.
OLD_CLAIM = """
UPDATE export
SET attempt = attempt + CASE WHEN status = 'ready' AND delivery_attempts = 0 AND run_attempts > 0 THEN 0 ELSE 1 END,
    claimed_at = clock_timestamp(),
    run_attempts = run_attempts + CASE WHEN status = 'ready' THEN 0 ELSE 1 END,
    delivery_attempts = delivery_attempts + CASE WHEN status = 'ready' THEN 1 ELSE 0 END,
    status = CASE WHEN status = 'ready' THEN 'ready' ELSE 'in progress' END,
    started_at = coalesce(started_at, clock_timestamp())
WHERE id = %(id)s AND setting_key = %(setting_key)s AND due_at <= clock_timestamp()
RETURNING *
"""
KNOWN = {
    "changes": settings_for(),
    "registrations": settings_for(type="registrations", may_end_early=True, may_be_incomplete=True),
    "a spreadsheet": settings_for(spreadsheet=True, notification_url="https://example.com/done"),
    "by FTP": by_ftp(21),
}
UNKNOWN = {
    "removed": settings_for(removed=True),
    "origin": settings_for(origin_column=True),
    "all contacts": settings_for(type="full", start=ALL_TIME[0], end=ALL_TIME[1]),
}


def claimed_by_old_worker(context: Context, export_id: int) -> bool:
    return bool(execute(context, OLD_CLAIM, row_of(context, export_id)))


@pytest.mark.parametrize("known", KNOWN)
def test_old_worker_claims_what_it_knows(context: Context, known: str):
    assert claimed_by_old_worker(context, request(context, KNOWN[known]))


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_old_worker_claims_nothing_else_and_leaves_it_to_this_version(context: Context, unknown: str):
    export_id = request(context, UNKNOWN[unknown])
    before = row_of(context, export_id)
    assert not claimed_by_old_worker(context, export_id)
    assert row_of(context, export_id) == before
    assert run(context, export_id).status == "done"


def test_old_worker_claims_no_run_of_a_feed_and_no_way_of_delivery_that_came_later(context: Context):
    of_feed, by_sftp = request(context, settings_for()), request(context, settings_for(delimiter=";"))
    execute(context, "UPDATE export SET feed_id = 1, feed_sequence = 1 WHERE id = %s", (of_feed,))
    later = """UPDATE export SET settings = settings || '{"distribution_method": "sftp"}' WHERE id = %s"""
    execute(context, later, (by_sftp,))
    assert not claimed_by_old_worker(context, of_feed)
    assert not claimed_by_old_worker(context, by_sftp)
