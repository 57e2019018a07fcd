"""Alerts, dashboard and the table in docs/operations.md speak of figures that /metrics has, and of no others."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from contactexport import workers
from contactexport.context import Context
from contactexport.metrics import exposition, requests
from tests.support.exporting import contact_changed, execute, request, run, settings_for
from tests.support.scraped import HAS_PROMTOOL, Scraped, scraped

PROJECT = Path(__file__).parents[3]
ALERTS = PROJECT / "ops" / "prometheus-alerts.yml"
DASHBOARD = PROJECT / "ops" / "grafana-dashboard.json"
ROW = re.compile(
    r"^\| `(contactexport_\w+)` \| (counter|gauge|histogram) \| (service|server) \| ([^|]+) \| [^|]+ \|$", re.MULTILINE
)
NAME = re.compile(r"contactexport_\w+")
WITHIN_QUERY = re.compile(r"""("[^"]*"|'[^']*'|\{[^}]*\})""")
needs_promtool = pytest.mark.skipif(not HAS_PROMTOOL, reason="promtool is not installed")
PANEL_KEYS = {"id", "type", "title", "description", "datasource", "gridPos", "targets", "fieldConfig", "options"}


@pytest.fixture
def seen(context: Context) -> Scraped:
    """All figures: one of everything has happened."""
    contact_changed(context)
    run(context, request(context, settings_for()))
    execute(
        context,
        "INSERT INTO export_attempt_total VALUES ('delivery', 'ftp', 'ok', 0, 1), ('notification', 'feed', 'ok', 0, 1);"
        "INSERT INTO feed (name, team, created_by, settings) VALUES ('nightly', 'default', 'anna', '{}')",
    )
    with context.database.transaction() as conn:
        workers.note_sweep(conn)
    requests.of_this_process().count("GET /healthz", 200, 0, 0.001)
    return scraped(exposition.text(context).decode())


def labels_of(seen: Scraped, name: str) -> set[str]:
    own = {name, *(f"{name}_{part}" for part in ("bucket", "sum", "count"))}
    return {label for one, labels in seen.samples if one in own for label, _ in labels} - {"le"}


def families(seen: Scraped) -> dict[str, str]:
    """The kind of each figure."""
    return dict(line.split()[2:4] for line in seen.text.splitlines() if line.startswith("# TYPE"))


def sample_names(seen: Scraped) -> set[str]:
    return {name for name, _ in seen.samples}


def test_table_of_operations_has_each_figure_with_its_labels(seen: Scraped):
    table = {row[1]: row for row in ROW.finditer((PROJECT / "docs" / "operations.md").read_text(encoding="utf-8"))}
    assert {name: row[2] for name, row in table.items()} == families(seen)
    written = {name: set(re.findall(r"`(\w+)`", row[4])) for name, row in table.items()}
    assert written == {name: labels_of(seen, name) for name in table}


def queries_of_alerts() -> Iterator[str]:
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]


def queries_of_panels() -> Iterator[str]:
    for panel in panels():
        yield from (target["expr"].replace("$__rate_interval", "5m") for target in panel.get("targets", ()))


@pytest.mark.parametrize("queries", [queries_of_alerts, queries_of_panels])
def test_queries_name_only_figures_and_labels_that_there_are(seen: Scraped, queries):
    found = list(queries())
    assert found
    for query in found:
        used = set(NAME.findall(WITHIN_QUERY.sub("", query)))
        assert used, query
        assert used <= sample_names(seen), query
        known = {label for name, labels in seen.samples if name in used for label, _ in labels} | {"instance"}
        by = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(",")}
        matched = {label for labels in re.findall(r"\{([^}]*)\}", query) for label in re.findall(r"(\w+)[=!]", labels)}
        assert by | matched <= known, query


@needs_promtool
def test_rules_are_right_and_fire_when_they_should():
    for command in (["check", "rules", ALERTS.name], ["test", "rules", "prometheus-alerts-test.yml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=ALERTS.parent, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tried():
    tried = yaml.safe_load((ALERTS.parent / "prometheus-alerts-test.yml").read_text(encoding="utf-8"))["tests"]
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"][0]["rules"]
    firing = {one["alertname"] for test in tried for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert firing == {rule["alert"] for rule in rules}


@needs_promtool
def test_prometheus_can_read_each_query_of_the_dashboard(tmp_path: Path):
    rules = [{"record": f"panel:query:{number}", "expr": query} for number, query in enumerate(queries_of_panels())]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_are_whole_and_lie_beside_each_other():
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel.keys() == PANEL_KEYS
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["expr"]
            assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            # A label in the legend is one of those that are left.
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert label == "instance" or re.search(rf"by \([^)]*\b{label}\b", target["expr"]), panel["title"]
