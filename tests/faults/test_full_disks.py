"""Disks that are full, under storage, messages and FTP host: exports wait, and end well once there is room."""

import os
from pathlib import Path

from backends import make_backend
from exporting import execute, make_due, messages, request, settings_for
from ftp_hosts import files, large_export, serving
from invariants import require_all_done, require_nothing_lost, wait_until_final
from processes import worker
from served import wait_until
from small_disks import TellsThatTheDiskIsFull, filled, no_larger_files, small_disk

from contactexport.backend import Backend

WAITING = "SELECT status FROM export WHERE id = %s AND error = %s AND due_at > clock_timestamp()"


def test_neither_the_storage_nor_the_host_takes_so_large_a_file(backend: Backend, tmp_path: Path):
    host = tmp_path / "host"
    with serving(host, dtp_handler=TellsThatTheDiskIsFull) as (port, _told), worker(backend) as started:
        with no_larger_files(started.children()[0].pid):
            export_id = large_export(backend, port)
            _waits(backend, export_id, "in progress", "The file cannot be written: File too large")
            assert files(backend.settings.storage_dir) == []
            require_nothing_lost(backend, [export_id], delivered_to=host, logs=[started.log])
        with no_larger_files(os.getpid()):
            make_due(backend, export_id)
            _waits(backend, export_id, "ready", "FTP host: 552 Exceeded storage allocation.")
            assert files(host) == []
            require_nothing_lost(backend, [export_id], delivered_to=host, logs=[started.log])
        make_due(backend, export_id)
        assert wait_until_final(backend, export_id)["attempt"] == 3
    require_all_done(backend, [export_id], delivered_to=host, logs=[started.log])


def test_the_disk_under_the_data_and_that_of_the_host_are_full(backend: Backend, tmp_path: Path):
    host, data = tmp_path / "host", tmp_path / "small"
    with small_disk(host, "8m"), small_disk(data, "16m"):
        small = make_backend(backend.database.url, data / "data")
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


def _waits(backend: Backend, export_id: int, status: str, reason: str) -> None:
    """An attempt was in vain, and the next one has its time."""

    wait_until(lambda: execute(backend, WAITING, (export_id, reason)) == [{"status": status}], reason)
