"""An idle worker loses something that it needs, and continues as soon as it can."""

from contactexport.context import Context
from contactexport.queue.publisher import message_folders
from tests.support.exporting import contact_changed, request, settings_for
from tests.support.invariants import require_all_done, wait_until_final
from tests.support.processes import worker
from tests.support.served import wait_until


def test_worker_continues_after_its_idle_processes_were_killed(context: Context):
    """One of them always waits for a message. If it holds a lock meanwhile, the others must not need it."""
    contact_changed(context)
    with worker(context, concurrency=2) as robbed:
        first = request(context, settings_for())
        wait_until_final(context, first)
        for process in robbed.children():
            process.kill()
        second = request(context, settings_for(language="de"))
        wait_until_final(context, second)
        require_all_done(context, [first, second], logs=[robbed.log])
        assert robbed.stop() == 0


def test_worker_continues_when_the_folders_of_the_broker_return(context: Context):
    contact_changed(context)
    broker = message_folders(context.settings.data_dir)[0].parent
    away = broker.with_name("away")
    with worker(context) as waiting:
        wait_until(broker.is_dir, "the worker has asked for a sweep")
        broker.rename(away)
        broker.touch()  # so that no process creates new ones
        export_id = request(context, settings_for())
        wait_until(lambda: waiting.said("Cannot connect"), "the worker has noticed")
        broker.unlink()
        away.rename(broker)
        wait_until_final(context, export_id)
        assert waiting.started.poll() is None
    require_all_done(context, [export_id], logs=[waiting.log])
