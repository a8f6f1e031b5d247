"""Short measurements of Rivven."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from statistics import median
from typing import Any

from rivven_kafka._native import Publisher, RecordBlock, RivvenClient
from rivven_kafka.config import SourceEntry, TopicSettings
from rivven_kafka.errors import ConnectError, RivvenKafkaError
from rivven_kafka.pipeline.destination import Destinations
from rivven_kafka.pipeline.publisher_options import publisher_options
from rivven_kafka.plan.destination import name_problem

log = logging.getLogger(__name__)

_PINGS = 20
_MOST_SECONDS = 5.0
_LOOK_MS = 20

_WARM, _DONE = 0.2, 0.9
"""The shares of what is published between which the rate is taken: connections are made before, and lanes run
empty behind."""


def round_trip_ms(client: RivvenClient) -> float:
    """Median time that Rivven takes to answer (ms).

    Raises:
        ConnectError: Rivven cannot be reached any more.
    """
    times = []
    for _ in range(_PINGS):
        start = time.perf_counter()
        client.ping()
        times.append(time.perf_counter() - start)
    return median(times) * 1000


def published_per_second(
    arguments: dict[str, Any],
    entry: SourceEntry,
    settings: TopicSettings,
    topics: Mapping[str, int],
    blocks: Sequence[RecordBlock],
) -> float | None:
    """Publishes records as the source would, to Rivven topics of its own that are deleted afterwards.

    rivvend keeps the files of topics that were deleted.

    Args:
        arguments: Arguments of the native clients, see `client_arguments`.
        entry: The source.
        settings: Defaults for the creation of topics.
        topics: Partitions of the Kafka topics, by name.
        blocks: What to publish.

    Returns:
        Records per second, None if there was nothing to publish.

    Raises:
        RivvenKafkaError: Rivven has refused a topic or records, or cannot be reached any more.
    """
    scratch = f"rivven-kafka-plan-{uuid.uuid4().hex[:8]}-{entry.topic}"
    auto_create = entry.topic_config.model_copy(update={"auto_create": True})
    copy = entry.model_copy(update={"topic": scratch, "topic_config": auto_create})
    used = {block.topic for block in blocks if len(block)}
    topics = {
        name: count
        for name, count in topics.items()
        if name in used and name_problem(copy.destination(name)) is None
    }
    if not topics:
        return None
    names = {copy.destination(topic) for topic in topics}
    with closing(RivvenClient(**arguments)) as client, deleted_afterwards(client, names):
        publisher = Publisher(**arguments, **publisher_options(copy), on_bad="skip")
        try:
            Destinations(client, copy, settings, publisher, lambda _: None).add(topics)
            return _rate(publisher, [block for block in blocks if block.topic in topics])
        finally:
            publisher.close(0)


@contextmanager
def deleted_afterwards(client: RivvenClient, names: Iterable[str]) -> Generator[None, None, None]:
    """Deletes topics at the end, those that are there.

    Raises:
        RivvenKafkaError: Some are left. After another error that one is raised, and this is logged.
    """
    names = sorted(names)
    try:
        yield
    except BaseException:
        left = _delete(client, names)
        if left is not None:
            log.warning("%s", left)
        raise
    left = _delete(client, names)
    if left is not None:
        raise RivvenKafkaError(left)


def _delete(client: RivvenClient, names: Sequence[str]) -> str | None:
    """Deletes topics; names those that may be left, and why."""
    left: list[str] = []
    why: RivvenKafkaError | None = None
    for index, name in enumerate(names):
        try:
            client.delete_topic(name)
        except ConnectError as error:
            left, why = [*left, *names[index:]], why or error
            break
        except RivvenKafkaError as error:
            left, why = [*left, name], why or error
    return f"cannot delete topics of the probe in Rivven: {', '.join(left)}: {why}" if left else None


def _rate(publisher: Publisher, blocks: Sequence[RecordBlock]) -> float | None:
    begin = time.monotonic()
    seen = [(0.0, 0)]
    for block in blocks:
        publisher.submit(block)
    while publisher.in_flight_records() and seen[-1][0] < _MOST_SECONDS:
        publisher.wait(_LOOK_MS)
        seen.append((time.monotonic() - begin, int(publisher.stats()["records_published"])))
    return steady_rate(seen)


def steady_rate(seen: Sequence[tuple[float, int]]) -> float | None:
    """Records per second of the steady part of a run; None if nothing was published.

    Args:
        seen: Seconds since the beginning, and how many records were published by then.
    """
    seconds, published = seen[-1]
    if not published:
        return None
    middle = [(at, count) for at, count in seen if _WARM * published <= count <= _DONE * published]
    if len(middle) > 1 and middle[-1][1] - middle[0][1] > published / 3:
        return (middle[-1][1] - middle[0][1]) / (middle[-1][0] - middle[0][0])
    return published / seconds
