"""Kafka's own `ProducerPerformance`."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benches.served import VARIANTS, record
from tests.support.kafka_dist import java, kafka_libs

_LINE = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec", re.MULTILINE)
_JVM = ("-Xms512m", "-Xmx512m", "-XX:+UseG1GC")


@dataclass(frozen=True)
class JavaMeasured:
    """What the tool did.

    Attributes:
        rate: Records/s of its last line: all records, its start and its compiler included.
        warm: Records/s without its first five seconds; `rate` where it took no longer.
        cpu: CPU seconds of the JVM per million records.
    """

    rate: float
    warm: float
    cpu: float


def produce(
    directory: Path, bootstrap: str, topic: str, size: int, records: int, properties: Mapping[str, object]
) -> JavaMeasured:
    """Runs the tool. It takes its values, the same as ours, from a file, and has no keys."""
    payloads = directory / f"payloads-{size}.txt"
    if not payloads.exists():
        lines = (b"".join(record(number, size)[::-1]) for number in range(VARIANTS))
        payloads.write_bytes(b"\n".join(lines) + b"\n")
    every = {"bootstrap.servers": bootstrap, "acks": "all", **properties}
    command = java(
        kafka_libs(),
        *_JVM,
        "org.apache.kafka.tools.ProducerPerformance",
        *("--topic", topic, "--num-records", str(records), "--throughput", "-1"),
        *("--payload-file", str(payloads), "--producer-props"),
        *(f"{name}={value}" for name, value in every.items()),
    )
    with (directory / "producer.log").open("w+") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        text = log.read()
    assert child.returncode == 0, text
    *windows, (sent, rate) = [(int(count), float(rate)) for count, rate in _LINE.findall(text)]
    assert sent == records, text
    later = windows[1:]
    seconds = sum(count / each for count, each in later)
    warm = sum(count for count, _ in later) / seconds if later else rate
    return JavaMeasured(rate, warm, (used.ru_utime + used.ru_stime) / records * 1_000_000)
