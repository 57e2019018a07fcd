"""GET /metrics: who may read it, what it has, and what happens if a part does not answer."""

from ipaddress import ip_network

import pytest

from contactexport.context import Context
from contactexport.exports import cancel, lock, retry, store
from contactexport.users import manage
from tests.support.exporting import (
    TESTER,
    around_now,
    contact_changed,
    context_with,
    execute,
    make_due,
    request,
    run,
    settings_for,
)
from tests.support.scraped import HAS_PROMTOOL, Scraped, checked_by_promtool, scraped

LOCAL = {"origin": "form", "method": "local"}


@pytest.fixture
def operator(app, context: Context):
    """A client of an operator."""
    rights = manage.Rights(operator=True)
    token = manage.add_user(context, "watcher", with_wsse=False, with_token=True, rights=rights).token
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def read(client) -> Scraped:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return scraped(answer.text)


def test_metrics_are_for_operators_only(client, api, operator):
    for refused in (client.get("/metrics"), api.get("/metrics")):
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert refused.json == {"replyCode": 1, "replyText": "Unauthorized", "data": ""}
    assert read(operator)("up", part="database") == 1


@pytest.mark.parametrize(("address", "status"), [("192.0.2.7", 200), ("10.1.2.3", 200), ("192.0.2.8", 401)])
def test_hosts_of_the_setting_need_no_token(app, context: Context, client, address: str, status: int):
    allowed = (ip_network("192.0.2.7"), ip_network("10.1.0.0/16"))
    app.extensions["contactexport"] = context_with(context, metrics_hosts=allowed)
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": address}).status_code == status


def test_client_behind_no_trusted_proxy_cannot_choose_its_address(app, context: Context, client):
    app.extensions["contactexport"] = context_with(context, metrics_hosts=(ip_network("192.0.2.7"),))
    forged = client.get(
        "/metrics", headers={"X-Forwarded-For": "192.0.2.7"}, environ_base={"REMOTE_ADDR": "198.51.100.1"}
    )
    assert forged.status_code == 401


def test_exports_are_counted_as_they_end(context: Context, operator):
    contact_changed(context)
    before = read(operator)
    assert before.all("exports", "status") == dict.fromkeys(["scheduled", "in progress", "ready", "done", "error"], 0)
    done = request(context, settings_for())
    request(context, settings_for(language="de"))
    failing = request(context, settings_for(contact_fields=(1, 3), **around_now()))
    run(context, done)
    execute(
        context, "UPDATE export SET settings = jsonb_set(settings, '{contact_fields}', '[99]') WHERE id = %s", [failing]
    )
    assert run(context, failing).status == "error"
    now = read(operator)
    assert now("exports", status="done") == now("exports", status="error") == now("exports", status="scheduled") == 1
    assert (
        now("exports_ended_total", **LOCAL, status="done") == now("exports_ended_total", **LOCAL, status="error") == 1
    )
    took = "extract(epoch FROM finished_at - created_at)::float AS s"
    row = execute(context, f"SELECT rows, bytes, {took} FROM export WHERE id = %s", [done])[0]
    assert now("export_rows_sum", **LOCAL) == row["rows"] == 1
    assert now("export_bytes_sum", **LOCAL) == row["bytes"]
    assert now("export_duration_seconds_sum", **LOCAL) == pytest.approx(row["s"])
    assert (now("export_rows_bucket", **LOCAL, le="0"), now("export_rows_bucket", **LOCAL, le="10")) == (0, 1)
    assert now("export_rows_bucket", **LOCAL, le="+Inf") == now("export_rows_count", **LOCAL) == 1


def test_export_that_is_retried_is_not_in_error_any_more(context: Context, operator):
    contact_changed(context)
    export_id = request(context, settings_for())
    cancel.cancel(context, export_id, TESTER)
    assert read(operator)("exports", status="error") == 1
    retry.retry(context, export_id, None)
    make_due(context, export_id)
    run(context, export_id)
    now = read(operator)
    assert (now("exports", status="error"), now("exports", status="done")) == (0, 1)
    assert (
        now("exports_ended_total", **LOCAL, status="error") == now("exports_ended_total", **LOCAL, status="done") == 1
    )


def test_oldest_due_export_is_the_one_nobody_works_on(context: Context, operator):
    assert read(operator)("export_oldest_due_seconds") == 0
    export_id = request(context, settings_for())
    execute(context, "UPDATE export SET due_at = clock_timestamp() - interval '90 seconds' WHERE id = %s", [export_id])
    assert 90 <= read(operator)("export_oldest_due_seconds") < 150
    with context.database.session() as conn, lock.held_for_session(conn, store.get(conn, export_id).setting_key):
        now = read(operator)
    assert (now("export_oldest_due_seconds"), now("exports_running")) == (0, 1)


def test_metrics_answer_without_the_database(app, context: Context, operator):
    lost = context_with(
        context, database_url="postgresql://root:geheim@127.0.0.1:1/none", metrics_hosts=(ip_network("127.0.0.1"),)
    )
    app.extensions["contactexport"] = lost
    found = read(operator)
    assert found("up", part="database") == 0
    assert "contactexport_exports{" not in found.text
    assert found.all("requests_total", "http")
    assert "geheim" not in found.text


def test_route_of_a_request_is_bounded(operator, api):
    for path in ("/api/v2/nowhere", "/api/v2/export/12345", "/<script>"):
        api.get(path)
    api.open("/api/v2/export/1", method="BREW")
    routes = read(operator).all("requests_total", "route")
    assert "GET /api/v2/export/<export_id>" in routes
    assert routes["unknown"] >= 3
    assert not [route for route in routes if "script" in route or "BREW" in route or "12345" in route]


@pytest.mark.skipif(not HAS_PROMTOOL, reason="promtool is not installed")
def test_promtool_has_nothing_to_say(context: Context, operator):
    contact_changed(context)
    run(context, request(context, settings_for()))
    checked_by_promtool(read(operator).text)


def test_deleted_exports_are_not_counted_as_present(context: Context):
    for code in ("en", "de", "fr"):
        run(context, request(context, settings_for(language=code)))
    waiting = request(context, settings_for(language="it"))
    present = "SELECT sum(present)::integer AS present, sum(ended)::integer AS ended FROM export_total"
    assert execute(context, present) == [{"present": 3, "ended": 3}]
    execute(context, "DELETE FROM export WHERE id = %s OR settings->>'language' IN ('en', 'de')", (waiting,))
    assert execute(context, present) == [{"present": 1, "ended": 3}]
    execute(context, "DELETE FROM export WHERE false")
    assert execute(context, present) == [{"present": 1, "ended": 3}]
