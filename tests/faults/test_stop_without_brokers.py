"""A stop ends the process in time, whatever it waits for."""

import signal
import socket
import time

import pytest

from tests.support import KafkaBroker
from tests.support.connector import Connector, advance, sink_file, source_file, wait_until
from tests.support.endpoint import answers, ask
from tests.support.numbered import fill_kafka, fill_rivven, rivven_ends
from tests.support.ports import ReservedPort
from tests.support.topics import create_topic, end_offsets

pytestmark = pytest.mark.faults

PARTITIONS = 4
SHUTDOWN_S = 2
# An abort 2 s after shutdown_timeout_ms, the end 4 s later at the latest, and a busy machine. The retries that
# are cut short would take more than a minute.
END_S = SHUTDOWN_S + 6 + 10
FAILURE = 1


def stop(connector):
    """Stops it, and returns the exit code and how long it took."""
    begin = time.monotonic()
    connector.send(signal.SIGTERM)
    code = connector.wait(END_S)
    print(f"ended after {time.monotonic() - begin:.1f} s, {SHUTDOWN_S} s were allowed for delivery")
    return code


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_sink_ends_without_rivven(kafka, own_rivven, topic_name, tmp_path, fault):
    origin, copy = topic_name(), topic_name()
    create_topic(kafka.bootstrap, copy, PARTITIONS)
    fill_rivven(own_rivven.bootstrap, origin, PARTITIONS, 500)
    config = sink_file(
        kafka.bootstrap,
        own_rivven.bootstrap,
        origin,
        copy,
        f"g-{origin}",
        shutdown_timeout_ms=SHUTDOWN_S * 1000,
        # Something is left to commit, whenever the fault comes.
        commit_interval_ms=600_000,
    )
    with Connector(tmp_path, config) as connector:
        advance(lambda: sum(end_offsets(kafka.bootstrap, copy).values()), 1_000, connector)
        getattr(own_rivven, fault)()
        assert stop(connector) == FAILURE, connector.log_tail()
        assert "still not stopped" in connector.log()
        assert "abandoned" not in connector.log()


@pytest.mark.parametrize("kind", ["source", "sink"])
def test_one_that_is_opening_ends_without_rivven(kafka, topic_name, tmp_path, port, kind):
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, PARTITIONS)
    with ReservedPort() as nobody:
        make = source_file if kind == "source" else sink_file
        names = (topic, "other") if kind == "source" else ("other", topic)
        config = make(
            kafka.bootstrap, nobody.address, *names, f"g-{topic}", shutdown_timeout_ms=SHUTDOWN_S * 1000
        )
        config["settings"] = {"health": {"enabled": True, "port": port.number}}
        with Connector(tmp_path, config) as connector:
            wait_until(lambda: answers(port.address, "/live"), 30, connector.log_tail)
            assert "starting since" in ask(port.address, "/ready").json["reasons"][0]
            assert stop(connector) == FAILURE, connector.log_tail()
            assert "abandoned" not in connector.log()


def test_a_source_ends_without_rivven(kafka, own_rivven, topic_name, tmp_path):
    origin, copy = topic_name(), topic_name()
    fill_kafka(kafka.bootstrap, origin, PARTITIONS, 20_000)
    config = source_file(
        kafka.bootstrap,
        own_rivven.bootstrap,
        origin,
        copy,
        f"g-{origin}",
        shutdown_timeout_ms=SHUTDOWN_S * 1000,
    )
    with Connector(tmp_path, config) as connector:
        advance(lambda: sum(rivven_ends(own_rivven, copy, PARTITIONS)), 500, connector)
        own_rivven.kill()
        # What had lost its connection is not on the wire any more: it stays in Kafka, and that is no failure.
        assert stop(connector) in (0, FAILURE), connector.log_tail()
        assert "abandoned" not in connector.log()


def test_a_sink_ends_without_both(own_rivven, topic_name, tmp_path):
    origin, copy = topic_name(), topic_name()
    with KafkaBroker() as kafka:
        create_topic(kafka.bootstrap, copy, PARTITIONS)
        fill_rivven(own_rivven.bootstrap, origin, PARTITIONS, 2_000)
        config = sink_file(
            kafka.bootstrap,
            own_rivven.bootstrap,
            origin,
            copy,
            f"g-{origin}",
            batch_size_bytes=1,
            shutdown_timeout_ms=SHUTDOWN_S * 1000,
        )
        with Connector(tmp_path, config) as connector:
            advance(lambda: sum(end_offsets(kafka.bootstrap, copy).values()), 100, connector)
            kafka.pause()
            own_rivven.pause()
            assert stop(connector) == FAILURE, connector.log_tail()


def test_one_that_waits_for_kafka_is_left_behind(topic_name, tmp_path, port):
    # It accepts and never answers: the client of Kafka waits for its request timeout.
    with socket.create_server(("127.0.0.1", 0)) as kafka:
        address = f"127.0.0.1:{kafka.getsockname()[1]}"
        config = source_file(
            address,
            "127.0.0.1:1",
            "from",
            "to",
            "g",
            shutdown_timeout_ms=SHUTDOWN_S * 1000,
            request_timeout_ms=120_000,
        )
        config["settings"] = {"health": {"enabled": True, "port": port.number}}
        with Connector(tmp_path, config) as connector:
            wait_until(lambda: answers(port.address, "/live"), 30, connector.log_tail)
            assert stop(connector) == FAILURE, connector.log_tail()
            assert "ERROR abandoned: not stopped within shutdown_timeout_ms" in connector.log()
