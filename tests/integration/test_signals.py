"""SIGTERM delivers and commits, a second one aborts, and a bad configuration stops before any connection."""

import signal
import socket

import pytest

from tests.support import KafkaBroker, RivvenBroker
from tests.support.connector import Connector, advance, sink_file, source_file, wait_until
from tests.support.numbered import Arrivals, fill_kafka, fill_rivven, kafka_values, rivven_ends, rivven_values
from tests.support.topics import create_topic, end_offsets

pytestmark = pytest.mark.integration

PARTITIONS = 4
FAILURE, ABORTED, BAD_CONFIGURATION = 1, 130, 78


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_source_that_is_stopped_goes_on_without_a_duplicate(kafka, rivven, topic_name, tmp_path, number):
    count = 2_000
    origin, copy = topic_name(), topic_name()
    fill_kafka(kafka.bootstrap, origin, PARTITIONS, count)
    # Only the shutdown commits.
    config = source_file(
        kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}", auto_commit_interval_ms=600_000
    )

    def published():
        return sum(rivven_ends(rivven, copy, PARTITIONS))

    with Connector(tmp_path, config) as connector:
        advance(published, 1_000, connector)
        connector.send(number)
        assert connector.wait() == 0, connector.log_tail()
        assert 1_000 <= published() < PARTITIONS * count, "stopped in the middle"
    with Connector(tmp_path, config) as connector:
        wait_until(lambda: published() >= PARTITIONS * count, 30, connector.log_tail)
        assert connector.stop() == 0, connector.log_tail()
    Arrivals.of(rivven_values(rivven, copy, PARTITIONS), PARTITIONS, count).check(most_duplicates=0)


def test_a_sink_that_is_stopped_goes_on_without_a_duplicate(kafka, rivven, topic_name, tmp_path):
    count = 1_000
    origin, copy = topic_name(), topic_name()
    create_topic(kafka.bootstrap, copy, PARTITIONS)
    fill_rivven(rivven.bootstrap, origin, PARTITIONS, count, padding=2_000)
    # A part of the records under way, and a rate: slow enough to be stopped in the middle.
    config = sink_file(
        kafka.bootstrap,
        rivven.bootstrap,
        origin,
        copy,
        f"g-{origin}",
        max_in_flight_bytes=1 << 20,
        commit_interval_ms=600_000,
    )
    config["sinks"]["out"]["rate_limit"] = {"events_per_second": 1_000, "burst_capacity": 100}

    def written():
        return sum(end_offsets(kafka.bootstrap, copy).values())

    with Connector(tmp_path, config) as connector:
        advance(written, 500, connector)
        assert connector.stop() == 0, connector.log_tail()
        assert 500 <= written() < PARTITIONS * count, "stopped in the middle"
    with Connector(tmp_path, config) as connector:
        wait_until(lambda: written() >= PARTITIONS * count, 30, connector.log_tail)
        assert connector.stop() == 0, connector.log_tail()
    Arrivals.of(kafka_values(kafka.bootstrap, copy), PARTITIONS, count).check(most_duplicates=0)


def abort(connector):
    """Sends SIGTERM until the process ends, two at least: one that drains in vain needs the second."""
    connector.send(signal.SIGTERM)

    def ended():
        connector.send(signal.SIGTERM)
        return not connector.running

    wait_until(ended, 10, connector.log_tail)
    return connector.wait()


def test_a_second_signal_aborts_a_source_that_waits_for_rivven(kafka, topic_name, tmp_path):
    origin, copy = topic_name(), topic_name()
    fill_kafka(kafka.bootstrap, origin, PARTITIONS, 20_000)
    with RivvenBroker() as rivven:
        config = source_file(kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}")
        with Connector(tmp_path, config) as connector:
            advance(lambda: sum(rivven_ends(rivven, copy, PARTITIONS)), 500, connector)
            rivven.pause()
            assert abort(connector) == ABORTED, connector.log_tail()


def test_a_source_says_when_it_could_not_deliver_in_time(kafka, topic_name, tmp_path):
    origin, copy = topic_name(), topic_name()
    fill_kafka(kafka.bootstrap, origin, PARTITIONS, 20_000)
    with RivvenBroker() as rivven:
        config = source_file(
            kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}", shutdown_timeout_ms=500
        )
        with Connector(tmp_path, config) as connector:
            advance(lambda: sum(rivven_ends(rivven, copy, PARTITIONS)), 500, connector)
            rivven.pause()
            assert connector.stop() == FAILURE, connector.log_tail()
            assert "within shutdown_timeout_ms" in connector.log_tail()


def test_a_second_signal_aborts_a_sink_that_waits_for_kafka(rivven, topic_name, tmp_path):
    origin, copy = topic_name(), topic_name()
    fill_rivven(rivven.bootstrap, origin, PARTITIONS, 1_000)
    with KafkaBroker() as kafka:
        create_topic(kafka.bootstrap, copy, PARTITIONS)
        config = sink_file(kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}", batch_size_bytes=1)
        with Connector(tmp_path, config) as connector:
            advance(lambda: sum(end_offsets(kafka.bootstrap, copy).values()), 100, connector)
            kafka.pause()
            assert abort(connector) == ABORTED, connector.log_tail()


@pytest.mark.parametrize("broken", [{"acks": "some"}, {"topicc": "t"}, {"linger_ms": -1}])
def test_a_bad_configuration_stops_before_any_connection(tmp_path, broken):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        config = sink_file(address, address, "from", "to", "g", **broken)
        with Connector(tmp_path, config) as connector:
            assert connector.wait(20) == BAD_CONFIGURATION, connector.log_tail()
        assert next(iter(broken)) in connector.log()
        with pytest.raises(BlockingIOError):
            server.accept()
