"""The dashboard and the alerts use metrics that there are, and the dashboard uses all of them."""

import json
import re
from pathlib import Path

import pytest
import yaml
from rivven_kafka.config import ConnectConfig
from rivven_kafka.runtime import Runner
from rivven_kafka.runtime.reports import Reports

EXAMPLES = Path(__file__).parents[2] / "examples"
DASHBOARD = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
ALERTS = yaml.safe_load((EXAMPLES / "prometheus-alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
CONNECTION = {"brokers": "k:1", "topic": "t"}
DOCUMENT = {
    "broker": {"bootstrap_servers": "r:1"},
    "sources": {"in": {"connector": "kafka", "topic": "t", "config": CONNECTION}},
    "sinks": {
        "out": {
            "connector": "kafka",
            "topics": ["t"],
            "consumer_group": "g",
            "config": {**CONNECTION, "topic": "copy"},
        }
    },
}
NAME = re.compile(r"\b(?:rivven|process)_[a-z_]+\b")


def exported():
    """Names as they are in a scrape, and their labels."""
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
    return {
        family.name + suffix
        for family in Reports(Runner(ConnectConfig.build(DOCUMENT))).registry().collect()
        for suffix in suffixes.get(family.type, [""])
    }


def queries():
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


def test_every_query_of_the_dashboard_asks_for_what_there_is():
    names = exported()
    variables = [
        each["query"]["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"
    ]
    for title, query in [*queries(), *(("a variable", query) for query in variables)]:
        found = set(NAME.findall(query))
        assert found, title
        assert found <= names, title


def test_the_dashboard_shows_every_metric_of_a_connector():
    shown = {name for _, query in queries() for name in NAME.findall(query)}
    ours = {
        name for name in exported() if name.startswith("rivven_") and not name.endswith(("_sum", "_count"))
    }
    assert ours <= shown


def test_the_data_source_is_a_variable():
    assert DASHBOARD["templating"]["list"][0] == {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "current": {},
    }
    for panel in DASHBOARD["panels"]:
        if panel["type"] != "row":
            sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert sources == [{"type": "prometheus", "uid": "${datasource}"}] * len(sources), panel["title"]
    assert {each["name"] for each in DASHBOARD["templating"]["list"]} == {
        "datasource",
        "job",
        "connector",
        "topic",
    }


def test_panels_have_their_own_place_and_number():
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + column, place["y"] + line)
            for column in range(place["w"])
            for line in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_asks_for_what_there_is(rule):
    found = set(NAME.findall(rule["expr"]))
    assert found <= exported()
    assert found or rule["expr"].startswith("up{")
    assert rule["annotations"].keys() == {"summary", "description"}
    assert rule["labels"]["severity"] in ("critical", "warning")


def test_every_alert_is_tested():
    tests = yaml.safe_load((EXAMPLES / "prometheus-alerts.test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in RULES}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names
