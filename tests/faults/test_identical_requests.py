"""Of fifty identical requests at once, over two servers, one is accepted, whatever a worker does meanwhile."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from contactexport.context import Context
from tests.support.exporting import contact_changed, execute, other_session
from tests.support.invariants import require_all_done, wait_until_final
from tests.support.processes import Server, server, worker
from tests.support.served import EXAMPLE, wait_until

REQUESTS = 50
ROUNDS = ("1", "3", "106533")  # the requested field

Answer = tuple[int, int, Any]  # HTTP status, reply code, data


def test_one_of_fifty_identical_requests_over_two_servers_is_accepted(context: Context):
    contact_changed(context)
    # A thread for every request, so that none waits until others are answered.
    with server(context, threads=REQUESTS) as one, server(context, threads=REQUESTS) as other:
        accepted = []
        for field in ROUNDS:
            with _asked_at_once([one, other], field) as answers:
                accepted.append(_only_accepted(answers))
        with worker(context):
            for export_id in accepted:
                wait_until_final(context, export_id)
            _put_gates(context)
            for field in ROUNDS:
                accepted.append(_only_one_although_it_ends_meanwhile(context, [one, other], field))
        require_all_done(context, accepted, logs=[one.log, other.log])


def _only_one_although_it_ends_meanwhile(context: Context, servers: list[Server], field: str) -> int:
    """All requests have arrived. One continues, and its export ends before the others continue."""
    with other_session(context) as gates, gates.cursor() as cursor:
        cursor.execute("SELECT setval('arrivals', 1, false), pg_advisory_lock(0, 1), pg_advisory_lock(0, 2)")
        with _asked_at_once(servers, field) as answers:
            wait_until(lambda: _at_the_gates(context) == REQUESTS, "all of them have come")
            cursor.execute("SELECT pg_advisory_unlock(0, 1)")
            wait_until(lambda: any(answer.done() for answer in answers), "one of them is answered")
            (first,) = [answer.result() for answer in answers if answer.done()]
            wait_until_final(context, first[2]["id"])
            cursor.execute("SELECT pg_advisory_unlock(0, 2)")
            return _only_accepted(answers)


def _put_gates(context: Context) -> None:
    """Puts two gates into the function that accepts exports: one for the first request, one for all others."""
    execute(
        context,
        """
        CREATE SEQUENCE arrivals;
        ALTER FUNCTION export_accept_request RENAME TO accept_behind_the_gate;
        CREATE FUNCTION export_accept_request(
            jsonb, bigint, bytea, text, text, text, text, double precision, integer, text,
            OUT outcome text, OUT id bigint
        ) LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_advisory_xact_lock_shared(0, CASE nextval('arrivals') WHEN 1 THEN 1 ELSE 2 END);
            SELECT * INTO outcome, id FROM accept_behind_the_gate($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);
        END $$;
        """,
    )


@contextmanager
def _asked_at_once(servers: list[Server], field: str) -> Iterator[list[Future[Answer]]]:
    barrier = threading.Barrier(REQUESTS)

    def ask(number: int) -> Answer:
        barrier.wait()
        answer = servers[number % len(servers)].post(EXAMPLE | {"contact_fields": [field]})
        return answer.status_code, answer.json()["replyCode"], answer.json()["data"]

    with ThreadPoolExecutor(REQUESTS) as threads:
        yield [threads.submit(ask, number) for number in range(REQUESTS)]


def _only_accepted(answers: list[Future[Answer]]) -> int:
    got = sorted((answer.result() for answer in answers), key=lambda answer: answer[0])
    assert [answer[:2] for answer in got] == [(200, 0)] + [(400, 4001)] * (REQUESTS - 1)
    return int(got[0][2]["id"])


def _at_the_gates(context: Context) -> int:
    return execute(
        context,
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()",
    )[0]["count"]
