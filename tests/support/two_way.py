"""Links in both directions, with writers on either side, and who got which record how often."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from rivven_kafka._native import RivvenClient

from tests.support.numbered import rivven_ends, rivven_values
from tests.support.rivvend import RivvenBroker
from tests.support.topics import TopicWriter, create_topic, end_offsets, read_topic

VIA = "rivven_kafka_via"
_MADE = re.compile(rb"#(\w+):(\d+)#")
_NOW = 1_760_000_000_000
_CHUNK = 10


def source_entry(
    kafka: str, kafka_topic: str, rivven_topic: str, group: str, **config: Any
) -> dict[str, Any]:
    """A source with loop protection."""
    options = {"brokers": kafka, "topic": kafka_topic, "consumer_group": group, "empty_poll_delay_ms": 20}
    return {
        "connector": "kafka",
        "topic": rivven_topic,
        "loop_protection": True,
        "config": {**options, "auto_commit_interval_ms": 100, **config},
    }


def sink_entry(kafka: str, rivven_topic: str, kafka_topic: str, group: str, **config: Any) -> dict[str, Any]:
    """A sink with loop protection that begins at the beginning and adds no other headers."""
    return {
        "connector": "kafka",
        "topics": [rivven_topic],
        "consumer_group": group,
        "start_offset": "earliest",
        "loop_protection": True,
        "config": {"brokers": kafka, "topic": kafka_topic, "include_headers": False, **config},
    }


def file_of(rivven: str, *, cluster: str = "middle", **sections: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with these sections."""
    return {"version": "1.0", "broker": {"bootstrap_servers": [rivven], "cluster_name": cluster}, **sections}


class Writer:
    """Writes records that say who made them, a few at a time, from a thread of its own.

    Args:
        who: What they say.
        partitions: Partitions to write to, in turn.
        pause_s: Between two chunks (s).
    """

    def __init__(self, who: str, partitions: int, pause_s: float) -> None:
        self.who = who
        self.written = 0
        """Records that the broker has stored."""
        self._partitions = partitions
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"writer-{who}", daemon=True)

    def start(self) -> Writer:
        """Starts writing."""
        self._thread.start()
        return self

    def finish(self) -> set[str]:
        """Ends; returns what was written."""
        self._stop.set()
        self._thread.join(60)
        assert self._error is None, f"the writer failed: {self._error!r}"
        return {f"{self.who}:{number}" for number in range(self.written)}

    def _run(self) -> None:
        try:
            turn = 0
            while not self._stop.wait(self._pause_s):
                values = [b"#%s:%d#" % (self.who.encode(), self.written + each) for each in range(_CHUNK)]
                self._write(turn % self._partitions, values)
                self.written += _CHUNK
                turn += 1
        except BaseException as error:  # told by `finish`
            self._error = error

    def _write(self, partition: int, values: list[bytes]) -> None:
        raise NotImplementedError


class ToKafka(Writer):
    """Writes to a Kafka topic that exists."""

    def __init__(self, bootstrap: str, topic: str, who: str, partitions: int, pause_s: float) -> None:
        super().__init__(who, partitions, pause_s)
        self._topic = TopicWriter(bootstrap, topic, partitions, enable_idempotence=True)

    def _write(self, partition: int, values: list[bytes]) -> None:
        self._topic.write(partition, [(_NOW, None, value, [("own", b"1")]) for value in values])
        self._topic.flush()

    def finish(self) -> set[str]:
        """See `Writer.finish`."""
        with closing(self._topic):
            return super().finish()


class ToRivven(Writer):
    """Writes plain values to a Rivven topic that exists."""

    def __init__(self, bootstrap: str, topic: str, who: str, partitions: int, pause_s: float) -> None:
        super().__init__(who, partitions, pause_s)
        self._client, self._topic = RivvenClient([bootstrap]), topic

    def _write(self, partition: int, values: list[bytes]) -> None:
        self._client.publish(self._topic, partition, [(None, value) for value in values])

    def finish(self) -> set[str]:
        """See `Writer.finish`."""
        with closing(self._client):
            return super().finish()


def makers(values: Iterable[bytes]) -> Counter[str]:
    """How often each record is in `values`, which may be events."""
    found: Counter[str] = Counter()
    for value in values:
        made = _MADE.search(value)
        assert made is not None, value[:200]
        found[f"{made[1].decode()}:{int(made[2])}"] += 1
    return found


def in_kafka(bootstrap: str, topic: str) -> Counter[str]:
    """How often each record is in a Kafka topic; what was aborted does not count."""
    rows = read_topic(bootstrap, topic, "read_committed")
    return makers(row.value or b"" for partition in rows.values() for row in partition)


def in_rivven(rivven: RivvenBroker, topic: str, partitions: int) -> Counter[str]:
    """How often each record is in a Rivven topic."""
    values = rivven_values(rivven, topic, partitions)
    return makers(value for partition in values.values() for value in partition)


def create_both(kafka: str, rivven: str, topic: str, partitions: int) -> None:
    """Creates a topic of this name on both sides."""
    create_topic(kafka, topic, partitions)
    with closing(RivvenClient([rivven])) as client:
        client.create_topic(topic, partitions)


def moves(kafka: str, rivven: RivvenBroker, topic: str, partitions: int, for_s: float) -> int:
    """By how much both logs grow within `for_s` seconds."""

    def ends() -> int:
        return sum(end_offsets(kafka, topic).values()) + sum(rivven_ends(rivven, topic, partitions))

    before = ends()
    time.sleep(for_s)
    return ends() - before
