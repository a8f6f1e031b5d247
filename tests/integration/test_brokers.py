"""The brokers under our control do what the other tests rely on."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from tests.support import BrokerError, KafkaBroker, RivvenBroker
from tests.support.ports import LOOPBACK, ReservedPort
from tests.support.rivven_wire import RivvenWire, RivvenWireError, ping

pytestmark = pytest.mark.integration

VALUES = [f"value {number}".encode() for number in range(100)]


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[KafkaBroker]:
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture
def own_rivven() -> Iterator[RivvenBroker]:
    with RivvenBroker() as broker:
        yield broker


def create_topic(broker: KafkaBroker, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    admin.close()


def write(broker: KafkaBroker, topic: str, values: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all")
    for future in [producer.send(topic, value) for value in values]:
        future.get(timeout=30)
    producer.close()


def read(broker: KafkaBroker, topic: str) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    end = consumer.end_offsets([partition])[partition]
    values: list[bytes] = []
    while len(values) < end:
        for records in consumer.poll(timeout_ms=1000).values():
            values += [record.value for record in records]
    consumer.close()
    return values


def test_kafka_keeps_its_records_through_a_clean_restart_and_a_crash(
    own_kafka: KafkaBroker, topic_name: Callable[[], str]
) -> None:
    topic = topic_name()
    bootstrap = own_kafka.bootstrap
    create_topic(own_kafka, topic)
    write(own_kafka, topic, VALUES)

    own_kafka.restart()
    assert read(own_kafka, topic) == VALUES

    own_kafka.kill()
    assert not own_kafka.running
    own_kafka.restart()
    assert own_kafka.bootstrap == bootstrap
    assert read(own_kafka, topic) == VALUES


def test_a_paused_kafka_answers_again_when_it_is_resumed(
    own_kafka: KafkaBroker, topic_name: Callable[[], str]
) -> None:
    own_kafka.pause()
    with pytest.raises(BrokerError, match="did not answer"):
        own_kafka.wait_ready(timeout=0.5)
    own_kafka.resume()
    own_kafka.wait_ready()
    topic = topic_name()
    create_topic(own_kafka, topic)
    write(own_kafka, topic, VALUES)
    assert read(own_kafka, topic) == VALUES


def test_rivvend_loses_and_doubles_nothing_acknowledged_through_a_crash(own_rivven: RivvenBroker) -> None:
    with RivvenWire(LOOPBACK, own_rivven.port) as wire:
        wire.create_topic("t", 2)
        wire.publish("t", [(None, value) for value in VALUES], partition=1)

    own_rivven.kill()
    own_rivven.restart()

    with RivvenWire(LOOPBACK, own_rivven.port) as wire:
        assert wire.partition_count("t") == 2
        assert wire.offset_bounds("t", 1) == (0, len(VALUES))
        assert [record.value for record in wire.read_all("t", 1)] == VALUES


def test_rivvend_doubles_records_when_it_replays_its_write_ahead_log(own_rivven: RivvenBroker) -> None:
    """The reason why it is removed; when this fails, a new rivvend may no longer need that."""
    with RivvenWire(LOOPBACK, own_rivven.port) as wire:
        wire.create_topic("t", 1)
        wire.publish("t", [(None, value) for value in VALUES])

    own_rivven.kill()
    own_rivven.restart(keep_wal=True)

    with RivvenWire(LOOPBACK, own_rivven.port) as wire:
        assert len(wire.read_all("t")) == 2 * len(VALUES)


def test_rivvend_stops_cleanly_and_comes_back(own_rivven: RivvenBroker) -> None:
    with RivvenWire(LOOPBACK, own_rivven.port) as wire:
        wire.create_topic("t", 1)
        wire.publish("t", [(b"key", b""), (b"", b"x" * 100_000), (None, b"\x00\xff")])
        before = wire.read_all("t")
    assert [(record.key, len(record.value)) for record in before] == [(b"key", 0), (b"", 100_000), (None, 2)]

    own_rivven.restart()

    with RivvenWire(LOOPBACK, own_rivven.port) as wire:
        assert wire.read_all("t") == before
        with pytest.raises(RivvenWireError, match="not found"):
            wire.partition_count("elsewhere")


def test_a_paused_rivvend_does_not_answer(own_rivven: RivvenBroker) -> None:
    own_rivven.pause()
    with pytest.raises(TimeoutError):
        ping(LOOPBACK, own_rivven.port, timeout=0.3)
    own_rivven.resume()
    ping(LOOPBACK, own_rivven.port, timeout=10)


def test_several_brokers_run_side_by_side(own_kafka: KafkaBroker, own_rivven: RivvenBroker) -> None:
    with RivvenBroker() as other, KafkaBroker() as other_kafka:
        brokers = [own_kafka, own_rivven, other, other_kafka]
        assert len({broker.bootstrap for broker in brokers}) == len(brokers)
        for broker in brokers:
            broker.wait_ready()


def test_discarding_leaves_no_process_no_files_and_a_free_port() -> None:
    broker = RivvenBroker()
    broker.start().wait_ready()
    pid = broker.pid
    broker.discard()

    assert not Path(f"/proc/{pid}").exists()
    assert not broker.directory.exists()
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind((LOOPBACK, broker.port))


def test_a_named_directory_is_kept(tmp_path: Path) -> None:
    broker = RivvenBroker(tmp_path / "rivven")
    broker.start().wait_ready()
    broker.kill()
    assert broker.log_path.read_text()
    assert (broker.data_dir / "wal").is_dir()
    broker.discard()
    assert not broker.data_dir.exists()
    assert broker.log_path.exists()


def test_a_broker_that_cannot_start_shows_its_log() -> None:
    with (
        pytest.raises(BrokerError, match="unexpected argument '--nonsense'"),
        RivvenBroker(options=["--nonsense"]),
    ):
        pass


def test_a_reserved_port_refuses_clients_and_is_given_to_nobody() -> None:
    with ReservedPort() as port:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port.number), timeout=5)
        others = [ReservedPort() for _ in range(200)]
        assert port.number not in {other.number for other in others}
        for other in others:
            other.release()


OWNER = """
import threading, time
from tests.support import RivvenBroker
broker = RivvenBroker()
thread = threading.Thread(target=broker.start)
thread.start()
thread.join()
broker.wait_ready()
print(broker.pid, broker.directory, flush=True)
try:
    time.sleep(60)
finally:
    broker.discard()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_broker_dies_with_its_owner(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as owner:
        assert owner.stdout is not None
        pid, directory = owner.stdout.readline().split()
        assert Path(f"/proc/{pid}").exists()
        os.kill(owner.pid, how)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() or Path(directory).exists():
        assert time.monotonic() < deadline, "the broker or its files outlived the owner"
        time.sleep(0.05)
