"""Rivven -> Kafka with acks all, against producers that have nothing else to do than to send."""

import contextlib
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from rivven_kafka._native import Publisher, RivvenClient, block_from_rows

from benches.child import Measured, ask
from benches.peers import java_producer
from benches.report import show
from benches.served import record, serving
from tests.support.connector import sink_file
from tests.support.topics import Headers, create_topic

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

LINGER_MS = 5
OURS, HEADERS, PLAIN_SINK, TRANSACTIONS = (
    "sink",
    "sink, its headers added",
    "sink, idempotent: false",
    "sink, transactions",
)
JAVA, WARM, CONFLUENT, BATCHED, KAFKA_PYTHON = (
    "Java ProducerPerformance",
    "Java ProducerPerformance, warmed up",
    "confluent-kafka produce() loop",
    "confluent-kafka produce_batch() loop",
    "kafka-python producer loop",
)
FETCH = "fetcher alone"
ALONE = "Kafka alone, finished requests"


@dataclass(frozen=True)
class Case:
    """What is moved.

    Attributes:
        batch: `batch_size_bytes` and `batch.size`.
        partitions: Of both topics.
        size: Bytes of a record's key and value.
        compression: Codec of the batches.
    """

    batch: int
    partitions: int = 4
    size: int = 160
    compression: str = "none"

    def __str__(self) -> str:
        codec = "" if self.compression == "none" else f", {self.compression}"
        return f"batches of {self.batch}, {self.partitions} partitions, records of {self.size}{codec}"

    def short(self) -> str:
        """For test ids."""
        return f"{self.batch}-{self.partitions}-{self.size}-{self.compression}"


PLAIN = [
    Case(16_384),
    Case(262_144),
    Case(16_384, partitions=16),
    Case(262_144, partitions=16),
    Case(16_384, size=1024),
    Case(262_144, size=1024),
    Case(262_144, size=10_240),
]
COMPRESSED = [Case(65_536, compression=codec) for codec in ("lz4", "zstd", "gzip", "snappy")]

CASES = {
    "test_sink_against_producers": PLAIN,
    "test_what_guarantees_cost": PLAIN[:4],
    "test_compression": COMPRESSED,
    "test_where_rivvend_is_the_limit": [Case(262_144)],
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each case, for the first one only in the quick form."""
    cases = CASES[metafunc.function.__name__]
    if metafunc.config.getoption("--bench-quick"):
        cases = cases[:1]
    metafunc.parametrize("case", cases, ids=Case.short)


@dataclass
class Rows:
    """Figures by candidate, in the order in which the candidates came first."""

    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, measured: Measured) -> None:
        """Adds the figures of one round."""
        self.rates[name].append(measured.rate)
        self.cpu[name].append(measured.cpu)

    def show(self, group: str, title: str, at_least: Mapping[tuple[str, str], float] | None = None) -> None:
        """Shows both, and the targets that hold for the rates."""
        show(group, title, list(self.rates.items()), at_least=at_least)
        show(f"{group}-cpu", f"{title}: CPU of the client", list(self.cpu.items()), unit="s/M records")


def short_name() -> str:
    """A name for a topic, as long as such names are: the headers of the sink repeat it in every record."""
    return f"orders-{uuid.uuid4().hex[:6]}"


@contextlib.contextmanager
def kafka_topic(bootstrap: str, topic: str, partitions: int) -> Iterator[str]:
    """A topic that is gone afterwards, so that what rounds write does not add up."""
    create_topic(bootstrap, topic, partitions)
    try:
        yield topic
    finally:
        with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
            admin.delete_topics([topic])


class Bench:
    """Runs the candidates of one case, each in a process of its own."""

    def __init__(self, kafka, case: Case, directory: Path) -> None:
        self._bootstrap = kafka.bootstrap
        self._case = case
        self._directory = directory

    def _topic(self):
        return kafka_topic(self._bootstrap, short_name(), self._case.partitions)

    def sink(self, rivven: str, origin: str, records: int, **options: object) -> Measured:
        """Our sink, as `rivven-kafka run` runs it."""
        case = self._case
        with self._topic() as topic:
            config = sink_file(
                self._bootstrap,
                rivven,
                origin,
                topic,
                f"g-{topic}",
                **{
                    "batch_size_bytes": case.batch,
                    "linger_ms": LINGER_MS,
                    "compression": case.compression,
                    "include_headers": False,
                    **options,
                },
            )
            return ask("benches.sink_child", config=config, total=records)

    def transactions(self, rivven: str, origin: str, records: int) -> Measured:
        """The sink with a transactional id of its own."""
        return self.sink(rivven, origin, records, transactional_id=short_name())

    def java(self, records: int) -> java_producer.JavaMeasured:
        """Kafka's own tool."""
        case = self._case
        properties = {
            "batch.size": case.batch,
            "linger.ms": LINGER_MS,
            "compression.type": case.compression,
        }
        with self._topic() as topic:
            return java_producer.produce(
                self._directory, self._bootstrap, topic, case.size, records, properties
            )

    def confluent(self, records: int, **arguments: object) -> Measured:
        """librdkafka's producer."""
        case = self._case
        options = {
            "batch.size": case.batch,
            "linger.ms": LINGER_MS,
            "compression.codec": case.compression,
        }
        return self._loop("confluent_writer", records, options, **arguments)

    def kafka_python(self, records: int) -> Measured:
        """The producer that the sink's own is built on."""
        case = self._case
        codec = None if case.compression == "none" else case.compression
        options = {"batch_size": case.batch, "linger_ms": LINGER_MS, "compression_type": codec}
        return self._loop("kafka_python_writer", records, options)

    def alone(self, records: int) -> Measured:
        """What Kafka takes when nobody has anything else to do."""
        case = self._case
        with self._topic() as topic:
            return ask(
                "benches.peers.kafka_alone",
                bootstrap=self._bootstrap,
                topic=topic,
                partitions=case.partitions,
                size=case.size,
                records=records,
                batch=case.batch,
            )

    def _loop(
        self, module: str, records: int, options: Mapping[str, object], **arguments: object
    ) -> Measured:
        with self._topic() as topic:
            return ask(
                f"benches.peers.{module}",
                bootstrap=self._bootstrap,
                topic=topic,
                partitions=self._case.partitions,
                size=self._case.size,
                records=records,
                options=options,
                **arguments,
            )


@pytest.fixture
def served(rivven, scale, case):
    """Address of a Rivven with the records of the case, the topic and how many they are."""
    records = scale.records(1_200_000 * 160 // max(case.size, 160))
    # Whole partitions of the same length.
    each = records // case.partitions
    topic = short_name()
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(topic, case.partitions)
    with serving(rivven.bootstrap, topic, each, case.size) as address:
        yield address, topic, each * case.partitions


def test_sink_against_producers(kafka, served, scale, case, tmp_path):
    bench, rows = Bench(kafka, case, tmp_path), Rows()
    address, origin, total = served
    for _ in range(scale.rounds):
        java = bench.java(total)
        rows.add(JAVA, Measured(java.rate, java.cpu))
        rows.add(WARM, Measured(java.warm, java.cpu))
        rows.add(CONFLUENT, bench.confluent(total // 2))
        rows.add(BATCHED, bench.confluent(total // 2, batched=True))
        rows.add(KAFKA_PYTHON, bench.kafka_python(total // 20))
        rows.add(OURS, bench.sink(address, origin, total))
        rows.add(PLAIN_SINK, bench.sink(address, origin, total, idempotent=False))
        rows.add(ALONE, bench.alone(total))
    targets = {(OURS, JAVA): 1.5, (OURS, CONFLUENT): 2.0}
    rows.show("sink", f"Rivven -> Kafka, {case}", at_least=targets)


def test_what_guarantees_cost(kafka, served, scale, case, tmp_path):
    bench, rows = Bench(kafka, case, tmp_path), Rows()
    address, origin, total = served
    for _ in range(scale.rounds):
        rows.add(OURS, bench.sink(address, origin, total))
        rows.add(PLAIN_SINK, bench.sink(address, origin, total, idempotent=False))
        rows.add(TRANSACTIONS, bench.transactions(address, origin, total))
        rows.add(HEADERS, bench.sink(address, origin, total, include_headers=True))
    targets = {(TRANSACTIONS, OURS): 0.85}
    rows.show("sink-guarantees", f"Rivven -> Kafka, {case}", at_least=targets)


def test_compression(kafka, served, scale, case, tmp_path):
    bench, rows = Bench(kafka, case, tmp_path), Rows()
    address, origin, total = served
    for _ in range(scale.rounds):
        java = bench.java(total)
        rows.add(JAVA, Measured(java.rate, java.cpu))
        rows.add(CONFLUENT, bench.confluent(total // 2))
        rows.add(KAFKA_PYTHON, bench.kafka_python(total // 20))
        rows.add(OURS, bench.sink(address, origin, total))
    rows.show("sink-compression", f"Rivven -> Kafka, {case}")


@pytest.fixture(scope="module")
def filled(rivven, scale):
    """A topic of rivvend itself, and its number of records: written at about 13,000/s."""
    topic, case = "sink-benchmark", Case(16_384)
    total = scale.records(160_000)
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(topic, case.partitions)
    publisher = Publisher([rivven.bootstrap], value_format="raw", connections=96)
    publisher.add_route("raw", topic, case.partitions, lanes_per_partition=24)
    for first in range(0, total, 500):
        rows: list[tuple[int, bytes, bytes, Headers]] = [
            (-1, *record(number, case.size), []) for number in range(first, first + 500)
        ]
        publisher.submit(block_from_rows("raw", first // 500 % case.partitions, rows))
    while publisher.in_flight_records():
        publisher.wait(100)
    publisher.close()
    return topic, total


def test_where_rivvend_is_the_limit(kafka, rivven, filled, served, scale, case, tmp_path):
    bench, rows = Bench(kafka, case, tmp_path), Rows()
    topic, stored = filled
    address, origin, total = served
    for _ in range(scale.rounds):
        for source, servers, name, count in (
            ("rivvend", rivven.bootstrap, topic, stored),
            ("made up", address, origin, total),
        ):
            fetched = ask(
                "benches.sink_child", servers=servers, topic=name, partitions=case.partitions, total=count
            )
            rows.add(f"{FETCH}, {source}", fetched)
            rows.add(f"{OURS}, {source}", bench.sink(servers, name, count))
    rows.show("sink-source", f"Rivven -> Kafka, {case}, by where the records come from")
