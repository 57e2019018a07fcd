"""The model of the simulated queue chooses exports in the same order as the program."""

import itertools
import random
from datetime import timedelta
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.exports import accept, store
from tests.support.exporting import START, execute, settings_for

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def queue_model(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import queue_model

    return queue_model


def turns(context: Context, most_running: int) -> list[int]:
    with context.database.transaction() as conn:
        return [one for one, _key in store.in_turn(conn, deliveries=False, most_running=most_running, most=100)]


@pytest.mark.parametrize("most_running", [1, 2, 5])
def test_model_takes_exports_in_the_order_of_the_program(context: Context, queue_model, most_running: int):
    chance = random.Random(most_running)
    queue = queue_model.Queue(most_running, by_host=False)
    for _ in range(40):
        user, hours = f"user {chance.randrange(6)}", chance.randrange(1, 20)
        settings = settings_for(end=START + timedelta(hours=hours, microseconds=chance.randrange(1000)))
        number = accept.store(context, settings, None, user)
        late = chance.random() < 0.2
        if late:
            execute(context, "UPDATE export SET due_at = due_at - interval '1 hour' WHERE id = %s", (number,))
        ask = queue_model.Ask(0.0, user, hours * 1000)
        queue.waiting.append(queue_model.Job(number, ask, due=-3600.0 + number if late else 0.0))
    for second, user in enumerate(("user 1", "user 3")):
        queue.served[user] = float(second)
        execute(
            context,
            "UPDATE export SET claimed_at = to_timestamp(%s) WHERE created_by = %s",
            (second, user),
        )
    modelled = [job.number for _key, job in sorted(queue.in_turn(0.0), key=lambda found: found[0])]
    assert modelled == turns(context, most_running)
    assert len(modelled) > 5


def test_two_exports_at_once_share_the_cores(queue_model):
    costs = queue_model.Costs(rows=(1, 2), seconds=((1.0, 1.0), (2.0, 2.0)))
    asked = [queue_model.Ask(0.0, "a", 1), queue_model.Ask(0.0, "b", 1), queue_model.Ask(0.0, "c", 1)]
    ends = [job.ended for job in queue_model.Machine(costs, 3, running_per_user=1).run(asked)]
    assert ends == pytest.approx([3.0, 3.0, 3.0])
    ends = [job.ended for job in queue_model.Machine(costs, 2, running_per_user=1).run(asked)]
    assert ends == pytest.approx([2.0, 2.0, 3.0])


def test_no_user_and_no_host_has_more_at_a_time_than_the_limit(queue_model):
    costs = queue_model.Costs(rows=(1, 2), seconds=((1.0, 1.0),), delivery=10.0)
    asked = [queue_model.Ask(0.0, "a", rows, host="h") for rows in (3, 1, 2)] + [queue_model.Ask(0.5, "b", 9)]
    done = queue_model.Machine(costs, writers=2, deliverers=3, running_per_user=1).run(asked)
    assert [(job.ask.user, job.ask.rows) for job in done] == [("b", 9), ("a", 3), ("a", 1), ("a", 2)]
    delivered = [job.delivered for job in done if job.delivered is not None]
    assert [later - sooner for sooner, later in itertools.pairwise(delivered)] == pytest.approx([10, 10])


def test_cost_is_on_a_straight_line_between_measured_sizes(queue_model):
    costs = queue_model.Costs(rows=(10, 100, 200), seconds=((1.0, 2.0, 4.0), (2.0, 4.0, 8.0)))
    assert [costs.of(rows, 1) for rows in (10, 55, 100, 150, 200, 300)] == pytest.approx([1, 1.5, 2, 3, 4, 6])
    assert [costs.of(100, at_once) for at_once in (1, 2, 4)] == pytest.approx([2, 4, 8])
