"""A worker with nothing to do loses something it needs, and works on as soon as it can."""

from exporting import contact_changed, request, settings_for
from invariants import require_all_done, wait_until_final
from processes import worker
from served import wait_until

from contactexport.backend import Backend
from contactexport.export_queue import message_folders


def test_a_worker_whose_idle_processes_were_killed_goes_on(backend: Backend):
    """One of them waits for a message at any time; what it holds meanwhile must not be needed by the others."""
    contact_changed(backend)
    with worker(backend, concurrency=2) as robbed:
        first = request(backend, settings_for())
        wait_until_final(backend, first)
        for process in robbed.children():
            process.kill()
        second = request(backend, settings_for(language="de"))
        wait_until_final(backend, second)
        require_all_done(backend, [first, second], logs=[robbed.log])
        assert robbed.stop() == 0


def test_a_worker_goes_on_when_the_broker_s_folders_are_back(backend: Backend):
    contact_changed(backend)
    broker = message_folders(backend.settings.data_dir)[0].parent
    away = broker.with_name("away")
    with worker(backend) as waiting:
        wait_until(broker.is_dir, "the worker has asked for a sweep")
        broker.rename(away)
        broker.touch()  # so that nobody makes new ones
        export_id = request(backend, settings_for())
        wait_until(lambda: waiting.said("Cannot connect"), "the worker has noticed")
        broker.unlink()
        away.rename(broker)
        wait_until_final(backend, export_id)
        assert waiting.started.poll() is None
    require_all_done(backend, [export_id], logs=[waiting.log])
