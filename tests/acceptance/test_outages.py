"""What a client sees while a part of the service is down. The service recovers without help once it is back."""

from collections.abc import Iterator

import pytest

from tests.support.served import EXAMPLE, Served, running, wait_until


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("served"), contacts=100) as started:
        yield started


def test_service_answers_503_while_the_database_is_stopped_and_then_recovers(served):
    before = served.accepted(language="de")
    assert served.finished(before)["status"] == "done"
    served.service.flask("db", "stop")
    ready = served.get("/readyz")
    assert (ready.status_code, ready.json()["replyCode"]) == (503, 1)
    assert ready.json()["data"]["database"] == "unavailable"
    assert "database" in ready.json()["replyText"]
    refused = served.post(EXAMPLE)
    assert (refused.status_code, refused.json()["replyCode"], refused.json()["data"]) == (503, 1, "")
    assert "\n" not in refused.json()["replyText"]
    assert served.get("/healthz").status_code == 200

    served.service.flask("db", "url")  # this command starts it again
    wait_until(lambda: served.get("/readyz").status_code == 200, "ready again")
    assert served.finished(served.accepted())["status"] == "done"
    assert served.finished(before)["status"] == "done"


def test_broker_outage_is_reported_and_loses_no_accepted_export(served):
    broker = served.data_dir / "broker"
    broker.rename(served.data_dir / "away")
    broker.write_text("no folder")
    try:
        ready = served.get("/readyz")
        assert (ready.status_code, ready.json()["data"]) == (
            200,
            {"database": "ok", "storage": "ok", "broker": "unavailable"},
        )
        export_id = served.accepted(language="fr")
    finally:
        broker.unlink()
        (served.data_dir / "away").rename(broker)
    wait_until(lambda: served.get("/readyz").json()["data"]["broker"] == "ok", "the broker is back")
    assert served.finished(export_id)["status"] == "done"
