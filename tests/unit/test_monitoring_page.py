"""docs/monitoring.md names what there is."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from rivven_kafka import KafkaSinkMetrics, KafkaSourceMetrics
from rivven_kafka.config import ConnectConfig
from rivven_kafka.runtime import Runner, State
from rivven_kafka.runtime.reports import Reports

DOCUMENT = {
    "broker": {"bootstrap_servers": "r:1"},
    "sources": {"in": {"connector": "kafka", "topic": "t", "config": {"brokers": "k:1", "topic": "t"}}},
}
PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()


def test_every_metric_is_listed_and_no_other():
    texts = [
        kind().snapshot().to_prometheus_format("rivven") for kind in (KafkaSourceMetrics, KafkaSinkMetrics)
    ]
    exported = {
        sample.name
        for text in texts
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    listed = set(re.findall(r"`(rivven_[a-z_]+)`", PAGE))
    assert {name for name in listed if not name.startswith("rivven_kafka_")} == exported


def test_every_metric_of_the_process_is_listed():
    """Those of prometheus-client's own collector aside."""
    registry = Reports(Runner(ConnectConfig.build(DOCUMENT))).registry()
    exported = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in registry.collect()
        if family.name.startswith("rivven_kafka_")
    }
    listed = set(re.findall(r"`(rivven_kafka_[a-z_]+)`", PAGE))
    assert {name.removesuffix("_info") for name in listed} == {
        name.removesuffix("_info") for name in exported
    }


def test_every_state_is_explained():
    assert re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE) == [str(state) for state in State]


def test_the_program_runs():
    [program] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    start = "from prometheus_client import REGISTRY, start_http_server"
    assert start in program
    registry = CollectorRegistry()
    program = program.replace(start, "").replace("start_http_server(9091)", "")
    exec(program, {"REGISTRY": registry})
    labels = {"connector": "audit", "direction": "sink"}
    assert registry.get_sample_value("rivven_sends_total", labels) == 0
