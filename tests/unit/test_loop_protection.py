"""The names of clusters in marks, and the log of what was refused."""

import logging

import pytest
from rivven_kafka._native import PositionIndex, SinkEncoder, block_from_rows
from rivven_kafka.config import ConnectConfig
from rivven_kafka.errors import ConfigError
from rivven_kafka.pipeline import loop_protection, news
from rivven_kafka.pipeline.loop_protection import Echoes, sink_protection, source_protection

DOCUMENT = {
    "broker": {"bootstrap_servers": "r:1", "cluster_name": "eu"},
    "sources": {"in": {"connector": "kafka", "topic": "r", "config": {"brokers": "a:1", "topic": "t"}}},
    "sinks": {
        "out": {
            "connector": "kafka",
            "topics": ["r"],
            "consumer_group": "g",
            "config": {"brokers": "a:1", "topic": "u"},
        }
    },
}


def protections(monkeypatch, kafka_id, **options):
    config = ConnectConfig.build(
        DOCUMENT
        | {
            section: {name: {**entry, **options} for name, entry in DOCUMENT[section].items()}
            for section in ("sources", "sinks")
        }
    )
    monkeypatch.setattr(loop_protection, "cluster_id", lambda _: kafka_id)
    return (
        source_protection("in", config.sources["in"], config.broker),
        sink_protection("out", config.sinks["out"], config.broker),
    )


def test_kafka_is_asked_for_its_id(monkeypatch):
    assert protections(monkeypatch, "c1", loop_protection=True) == (
        {"loop_protection": ("kafka:c1", "rivven:eu")},
        ("rivven:eu", "kafka:c1", "u"),
    )


def test_a_name_takes_the_place_of_the_id(monkeypatch):
    source, _ = protections(monkeypatch, None, loop_protection=True, kafka_cluster_name="west")
    assert source == {"loop_protection": ("kafka:west", "rivven:eu")}


def test_without_it_nobody_is_asked(monkeypatch):
    assert protections(monkeypatch, 1 / 3) == ({}, None)


@pytest.mark.parametrize("kafka_id", [None, "", "a b", "a/b", "a\n"])
def test_an_id_that_does_not_fit_is_refused(monkeypatch, kafka_id):
    with pytest.raises(ConfigError, match="expected kafka_cluster_name"):
        protections(monkeypatch, kafka_id, loop_protection=True)


def test_echoes_are_told_once_a_minute(caplog, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(news.time, "monotonic", lambda: now)
    echoes = Echoes("out")

    def told(count):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            echoes.look(count)
        return [record.getMessage() for record in caplog.records]

    assert told(0) == []
    [message] = told(3)
    assert message.startswith("refused 3 records ")
    now += 59
    assert told(5) == []
    now += 2
    [message] = told(9)
    assert message.startswith("refused 6 records ")


def test_an_encoder_counts_echoes_as_done():
    encoder = SinkEncoder(1, loop_protection=("rivven:eu", "kafka:c1", "orders"), include_headers=False)
    echo = b'{"metadata":{"kafka_via":"kafka:c1/orders"}}'
    rows = [(0, None, echo, []), (0, None, b"own", []), (0, None, echo, [])]
    assert encoder.append(block_from_rows("r", 0, rows)) == []
    assert (encoder.echoes_refused(), encoder.records_filtered()) == (2, 0)
    assert encoder.in_flight_records() == 1
    [batch] = encoder.take_ready(0)
    assert batch.record_count == 1
    batch.acknowledge()
    assert encoder.take_positions() == [("r", 0, 3)]


def test_an_echo_is_refused_before_transforms_that_do_not_fit_it():
    steps = '[{"type": "add_field", "config": {"field": "data.metadata.kafka_via.x", "value": "y"}}]'
    row = (0, None, b'{"metadata":{"kafka_via":"kafka:c1/orders"}}', [])
    encoder = SinkEncoder(1, transforms=steps, loop_protection=("rivven:eu", "kafka:c1", "orders"))
    assert encoder.append(block_from_rows("r", 0, [row])) == []
    assert encoder.echoes_refused() == 1
    encoder = SinkEncoder(1, transforms=steps, on_bad="skip")
    [bad] = encoder.append(block_from_rows("r", 0, [row]))
    assert "expected an object" in bad.reason


def test_a_record_that_comes_back_is_not_missing():
    index = PositionIndex("r", {"t": None}, loop_protection=("kafka:c1", "rivven:eu"))
    mark = [("rivven_kafka_via", b"rivven:eu/r")]
    block = block_from_rows("t", 0, [(0, None, b"a", mark), (0, None, b"b", [])])
    missing, ranges, present, left_out, bad = index.compare(block)
    assert (len(missing), ranges, present, left_out, bad) == (1, [(1, 1)], 0, 1, 0)


def test_native_code_refuses_raw_values_too():
    with pytest.raises(ConfigError, match="loop_protection: got value_format raw"):
        PositionIndex("r", {"t": None}, value_format="raw", loop_protection=("kafka:c1", "rivven:eu"))
    with pytest.raises(ConfigError, match="loop_protection: got the cluster"):
        SinkEncoder(1, loop_protection=("eu", "kafka:c1", "t"))
