"""The disk of the storage, the messages or the FTP host is full: exports wait, and are done once there is room."""

import os
from pathlib import Path

from contactexport.context import Context
from tests.support.contexts import make_context
from tests.support.exporting import execute, make_due, messages, request, settings_for
from tests.support.ftp_hosts import files, large_export, serving
from tests.support.invariants import require_all_done, require_nothing_lost, wait_until_final
from tests.support.processes import worker
from tests.support.served import wait_until
from tests.support.small_disks import TellsThatTheDiskIsFull, filled, no_larger_files, small_disk

WAITING = "SELECT status FROM export WHERE id = %s AND error = %s AND due_at > clock_timestamp()"


def test_export_is_done_after_storage_and_host_refused_its_large_file(context: Context, tmp_path: Path):
    host = tmp_path / "host"
    with serving(host, dtp_handler=TellsThatTheDiskIsFull) as (port, _told), worker(context) as started:
        with no_larger_files(started.children()[0].pid):
            export_id = large_export(context, port)
            _waits(context, export_id, "in progress", "The file cannot be written: File too large")
            assert files(context.settings.storage_dir) == []
            require_nothing_lost(context, [export_id], delivered_to=host, logs=[started.log])
        with no_larger_files(os.getpid()):
            make_due(context, export_id)
            _waits(context, export_id, "ready", "FTP host: 552 Exceeded storage allocation.")
            assert files(host) == []
            require_nothing_lost(context, [export_id], delivered_to=host, logs=[started.log])
        make_due(context, export_id)
        assert wait_until_final(context, export_id)["attempt"] == 3
    require_all_done(context, [export_id], delivered_to=host, logs=[started.log])


def test_exports_are_done_after_the_disks_of_data_and_host_were_full(context: Context, tmp_path: Path):
    host, data = tmp_path / "host", tmp_path / "small"
    with small_disk(host, "8m"), small_disk(data, "16m"):
        small = make_context(context.database.url, data / "data")
        with serving(host, dtp_handler=TellsThatTheDiskIsFull) as (port, _told), worker(small) as started:
            with filled(data, free=2_000_000):
                export_id = large_export(small, port)
                _waits(small, export_id, "in progress", "The file cannot be written: No space left on device")
                assert files(small.settings.storage_dir) == []
            with filled(data):
                unheard = request(small, settings_for())
                assert messages(small) == []
            wait_until_final(small, unheard)
            with filled(host, free=2_000_000):
                make_due(small, export_id)
                _waits(small, export_id, "ready", "FTP host: 452 No space left on device.")
                assert files(host) == ["filler"]
            make_due(small, export_id)
            wait_until_final(small, export_id)
        require_all_done(small, [export_id, unheard], delivered_to=host, logs=[started.log])
        small.database.close()


def _waits(context: Context, export_id: int, status: str, reason: str) -> None:
    """Waits until an attempt has failed and the next one is scheduled."""

    wait_until(lambda: execute(context, WAITING, (export_id, reason)) == [{"status": status}], reason)
