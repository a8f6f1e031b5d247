"""Checks of a connector of a file: what its source or sink checks, and Rivven with its topics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from rivven_kafka._native import RivvenClient
from rivven_kafka.checks import CheckResult, Step, run_checks
from rivven_kafka.config import BrokerConfig, Partitioning, Settings, SinkEntry, SourceEntry
from rivven_kafka.config.values import TOPIC_PLACEHOLDER
from rivven_kafka.errors import ConfigError, ConnectError, RivvenKafkaError, UnknownTopicError
from rivven_kafka.kafka.cluster_check import ClusterCheck, Groups
from rivven_kafka.pipeline.destination import by_destination, require_fit, wanted_partitions
from rivven_kafka.pipeline.kafka_positions import place, places
from rivven_kafka.rivven.options import client_arguments
from rivven_kafka.sink import sink_steps
from rivven_kafka.source import source_steps


def check_source_entry(
    name: str, entry: SourceEntry, broker: BrokerConfig, settings: Settings
) -> CheckResult:
    """Tries what a source of a file needs, on both sides. Never raises for a bad environment.

    Beside the checks of `source_steps`: `rivven` (it answers) and `rivven_topic` (it exists or will be
    created, with enough partitions). Creates nothing.

    Args:
        name: Name of the source.
        entry: Its section.
        broker: How to reach Rivven.
        settings: What holds for all connectors of the file.
    """
    cluster, steps = source_steps(entry.config, name)
    rivven = _Rivven(name, broker, settings)
    try:
        return run_checks(
            [
                *steps,
                rivven.step(),
                Step(
                    "rivven_topic",
                    lambda: _check_destination(rivven.client(), entry, settings, cluster),
                    after=("rivven",),
                ),
            ]
        )
    finally:
        rivven.close()


def check_sink_entry(
    name: str,
    entry: SinkEntry,
    broker: BrokerConfig,
    settings: Settings,
    *,
    filled_by: Collection[SourceEntry] = (),
) -> CheckResult:
    """Tries what a sink of a file needs, on both sides. Never raises for a bad environment.

    Beside the checks of `sink_steps`: `rivven` (it answers) and `rivven_topic` (all of them exist, with no
    more partitions than Kafka can take). With `transactional_id` the rights include those on the groups that
    hold the positions.

    Args:
        name: Name of the sink.
        entry: Its section.
        broker: How to reach Rivven.
        settings: What holds for all connectors of the file.
        filled_by: The sources of the file. Rivven topics that they fill need not exist yet.
    """
    rivven = _Rivven(name, broker, settings)
    transactional = entry.config.transactional_id is not None
    cluster, steps = sink_steps(
        entry.config, name, (lambda found: _position_groups(rivven, entry, found)) if transactional else None
    )
    try:
        return run_checks(
            [
                *steps,
                rivven.step(),
                Step(
                    "rivven_topic",
                    lambda: _check_origins(rivven.client(), entry, settings, cluster, filled_by),
                    after=("rivven",),
                ),
            ]
        )
    finally:
        rivven.close()


class _Rivven:
    """The servers of Rivven, each tried once; the connector itself needs only one of them."""

    def __init__(self, name: str, broker: BrokerConfig, settings: Settings) -> None:
        self._name = name
        self._broker = broker
        self._retry = settings.retry.model_copy(update={"max_retries": 0})
        self._clients: dict[str, RivvenClient] = {}
        self._errors: dict[str, RivvenKafkaError | None] | None = None

    def step(self) -> Step:
        """The step `rivven`."""
        return Step("rivven", self._check)

    def client(self) -> RivvenClient:
        """A client of the first server that answers.

        Raises:
            ConfigError: A file of `broker.tls` cannot be used.
            ConnectError: None of them does.
        """
        errors = self._tried()
        for server, client in self._clients.items():
            if errors[server] is None:
                return client
        raise ConnectError(_texts(errors)) from next(iter(errors.values()))

    def _check(self) -> str:
        self.client()
        errors = self._tried()
        reached = ", ".join(server for server, error in errors.items() if error is None)
        missed = _texts(errors)
        return f"reached {reached}" + (f"; not reached: {missed}" if missed else "")

    def _tried(self) -> dict[str, RivvenKafkaError | None]:
        """Why a server does not answer, by server; all are tried at the same time."""
        if self._errors is None:
            arguments = client_arguments(self._broker, self._retry, self._name)
            self._clients = {
                server: RivvenClient(**{**arguments, "servers": [server]})
                for server in self._broker.bootstrap_servers
            }
            with ThreadPoolExecutor(len(self._clients)) as threads:
                errors = threads.map(_refusal, self._clients.values())
                self._errors = dict(zip(self._clients, errors, strict=True))
        return self._errors

    def close(self) -> None:
        """Closes the connections."""
        for client in self._clients.values():
            client.close()


def _texts(errors: Mapping[str, RivvenKafkaError | None]) -> str:
    return "; ".join(str(error.args[0]) for error in errors.values() if error is not None)


def _refusal(client: RivvenClient) -> RivvenKafkaError | None:
    try:
        client.ping()
    except RivvenKafkaError as error:
        return error
    return None


def _position_groups(rivven: _Rivven, entry: SinkEntry, cluster: ClusterCheck) -> Groups:
    """The Kafka groups in which a sink with transactions looks for its positions when it starts."""
    topic = cluster.topics.get(entry.config.topic)
    kafka_partitions = 1 if topic is None else topic.partitions
    groups: dict[str, list[str]] = {}
    for name in entry.topics:
        try:
            count = rivven.client().partition_count(name) or 1
        except RivvenKafkaError:
            # It has a check of its own; the first group is needed in any case.
            count = 1
        first, _ = place(entry.consumer_group, name, 0, kafka_partitions)
        groups[f"group {first!r}"] = [first]
        held = {place(entry.consumer_group, name, each, kafka_partitions)[0] for each in range(count)}
        # Where the last partition could lie shows the kinds of names, without asking for all of them.
        held |= {group for group, _ in places(entry.consumer_group, name, count - 1, kafka_partitions)}
        if others := sorted(held - {first}):
            groups[f"groups that begin with '{first}/'"] = others
    return groups


def _check_destination(
    client: RivvenClient, entry: SourceEntry, settings: Settings, cluster: ClusterCheck
) -> str:
    kafka_topics = {topic.name: topic.partitions for topic in cluster.topics.values()}
    groups = by_destination(entry, kafka_topics)
    if not groups:
        # What Kafka has is not known; the topics that are named can be looked for all the same.
        groups = {entry.destination(name): {} for name in entry.config.topic_names}
    found = [_destination(client, entry, settings, name, group) for name, group in groups.items()]
    compared = "" if cluster.topics else "; not compared with Kafka, where the topic is not known"
    return "; ".join(found) + compared


def _destination(
    client: RivvenClient, entry: SourceEntry, settings: Settings, name: str, kafka_topics: dict[str, int]
) -> str:
    count = client.partition_count(name)
    found = f"Rivven topic {name!r} has"
    if count is None:
        count = wanted_partitions(entry, settings.topic, name, kafka_topics)
        found = f"Rivven topic {name!r} will be created with"
        if not count:
            return f"{found} as many partitions as the Kafka topic, which is not known"
    require_fit(entry, settings.topic, name, count, kafka_topics)
    return f"{found} {_partitions(count)}"


def _check_origins(
    client: RivvenClient,
    entry: SinkEntry,
    settings: Settings,
    cluster: ClusterCheck,
    sources: Collection[SourceEntry],
) -> str:
    found, missing = [], []
    for name in entry.topics:
        count = client.partition_count(name)
        if count is not None:
            _require_counterparts(entry, name, count, cluster)
            found.append(f"Rivven topic {name!r} has {_partitions(count)}")
        elif any(fills(source, name) for source in sources):
            found.append(f"Rivven topic {name!r} will be created by a source")
        elif settings.topic.require_topic_exists:
            missing.append(f"Rivven topic {name!r} does not exist")
        else:
            found.append(f"Rivven topic {name!r} does not exist; the sink will wait for it")
    if missing:
        raise UnknownTopicError("; ".join(missing))
    return "; ".join(found)


def fills(source: SourceEntry, name: str) -> bool:
    """Whether a Kafka topic that the source may read goes to the Rivven topic of that name."""
    if source.config.topic_names:
        return name in map(source.destination, source.config.topic_names)
    fixed = source.destination("")
    times = source.topic.count(TOPIC_PLACEHOLDER)
    if not times:
        return name == fixed
    start, length = source.topic.index(TOPIC_PLACEHOLDER), (len(name) - len(fixed)) // times
    kafka_topic = name[start : start + max(length, 0)]
    return source.destination(kafka_topic) == name and source.config.selects(kafka_topic)


def _require_counterparts(entry: SinkEntry, name: str, count: int, cluster: ClusterCheck) -> None:
    if entry.config.effective_partitioning is not Partitioning.PRESERVE:
        return
    for topic in cluster.topics.values():
        if topic.partitions < count:
            raise ConfigError(
                f"partitioning: got preserve, but Kafka topic {topic.name!r} has {topic.partitions} "
                f"partitions and Rivven topic {name!r} has {count}; expected at least as many, or "
                "partitioning: key"
            )


def _partitions(count: int) -> str:
    return f"{count} partition{'' if count == 1 else 's'}"
