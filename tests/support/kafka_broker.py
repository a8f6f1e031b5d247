"""Apache Kafka as one process: broker and KRaft controller together."""

import base64
import contextlib
import shutil
import socket
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from tests.support.broker import Broker, BrokerError
from tests.support.kafka_dist import KAFKA_VERSION, java, kafka_libs
from tests.support.kafka_start import KafkaStart, kafka_start
from tests.support.ports import LOOPBACK, ReservedPort

_JVM = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
_FIRST_COMPILER = ("-XX:TieredStopAtLevel=1",)


class KafkaBroker(Broker):
    """A throw-away Kafka. ``properties`` override or extend server.properties; ``jvm`` the JVM options."""

    name = "kafka"
    stop_timeout = 30.0
    short_lived = False
    """Whether to do without the JVM's second compiler: that costs less CPU for minutes, and is slower afterwards."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        version: str = KAFKA_VERSION,
        properties: Mapping[str, str | int] | None = None,
        jvm: Sequence[str] = (),
    ) -> None:
        super().__init__(directory)
        self.version = version
        self._overrides = dict(properties or {})
        self._jvm = (*_JVM, *jvm)
        self._controller_port = ReservedPort()
        self._properties_path = self.directory / "server.properties"

    @property
    def properties(self) -> dict[str, str | int]:
        """The server.properties it runs with; later changes need a restart."""
        listener = f"PLAINTEXT://{self.bootstrap}"
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{self._controller_port.address}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": f"{listener},CONTROLLER://{self._controller_port.address}",
            "advertised.listeners": listener,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.data_dir),
            "auto.create.topics.enable": "false",
            "default.replication.factor": 1,
            # A broker killed with SIGKILL is only let back in when its old session has expired.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
            "group.initial.rebalance.delay.ms": 0,
            # Tests write records with fixed timestamps, which must not be old enough to be deleted.
            "log.retention.ms": -1,
            # Fewer internal partitions: each costs a directory, a leader election and time at every start.
            "offsets.topic.num.partitions": 5,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 5,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            **self._overrides,
        }

    def tool(self, *arguments: str) -> list[str]:
        """Return a command on Kafka's jars: JVM options, a main class, its arguments."""
        return java(kafka_libs(self.version), *arguments)

    def _prepare(self) -> None:
        self._write_properties()
        obtain_kafka(self.version).format(self.data_dir)

    def _write_properties(self) -> None:
        lines = "".join(f"{key}={value}\n" for key, value in self.properties.items())
        self._properties_path.write_text(lines)

    def _command(self) -> list[str]:
        first = _FIRST_COMPILER if self.short_lived else ()
        options = (*self._jvm, *first, *obtain_kafka(self.version).options)
        return self.tool(*options, "kafka.Kafka", str(self._properties_path))

    def _answers(self, timeout: float) -> bool:
        milliseconds = max(1, int(timeout * 1000))
        try:
            # kafka-python backs off after a refusal and would notice the broker late.
            socket.create_connection((LOOPBACK, self.port), timeout).close()
            admin = KafkaAdminClient(
                bootstrap_servers=self.bootstrap,
                bootstrap_timeout_ms=milliseconds,
                request_timeout_ms=milliseconds,
            )
        except (OSError, KafkaError):
            return False
        with contextlib.closing(admin):
            try:
                return any(broker["port"] == self.port for broker in admin.describe_cluster()["brokers"])
            except KafkaError:
                return False

    def _release_ports(self) -> None:
        super()._release_ports()
        self._controller_port.release()


def obtain_kafka(version: str = KAFKA_VERSION) -> KafkaStart:
    """Fetches that version and starts it once, the first time; returns what others of it begin with."""
    return kafka_start(version, lambda start: _FirstKafka(start, version).run())


class _FirstKafka(KafkaBroker):
    """The first Kafka of its version on this machine; the others begin with what it leaves."""

    def __init__(self, start: KafkaStart, version: str) -> None:
        super().__init__(version=version)
        self._leaves = start

    def run(self) -> None:
        """Formats, starts, gives it what makes it load the most of its classes, and stops it."""
        with self:
            topic = "first"
            with contextlib.closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
                admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})
            options: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "metrics_enabled": False}
            with contextlib.closing(KafkaProducer(**options, transactional_id=topic)) as producer:
                producer.init_transactions()
                producer.begin_transaction()
                producer.send(topic, b"value").get(30)
                producer.commit_transaction()
            options |= {"auto_offset_reset": "earliest", "consumer_timeout_ms": 60_000}
            reader = KafkaConsumer(topic, **options, group_id=topic)
            with contextlib.closing(reader) as consumer:
                assert next(iter(consumer), None), "the record is there"
                consumer.commit()
            # It writes the archive when it ends.
            self.stop(120)

    def _prepare(self) -> None:
        self._write_properties()
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        done = subprocess.run(
            [
                *self.tool(*_FIRST_COMPILER, "kafka.tools.StorageTool", "format"),
                # A random id may begin with a dash: joined to its option it cannot be taken for another one.
                f"--cluster-id={cluster}",
                f"--config={self._properties_path}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BrokerError(f"formatting {self.data_dir} failed:\n{done.stdout}{done.stderr}")
        shutil.copytree(self.data_dir, self._leaves.formatted)

    def _command(self) -> list[str]:
        archive = f"-XX:ArchiveClassesAtExit={self._leaves.classes}"
        # Other JVMs than OpenJDK's own may not know it.
        options = (*self._jvm, "-XX:+IgnoreUnrecognizedVMOptions", archive)
        return self.tool(*options, "kafka.Kafka", str(self._properties_path))
