"""Child processes of benchmarks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.broker import Broker
from tests.support.connector import Connector, sink_file, source_file


@contextmanager
def child(log: Path, *arguments: str) -> Iterator[int]:
    """Runs a program of ours with the same Python, until the end of the block; its process id."""
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process.pid
        assert process.poll() is None, f"it ended: {log.read_text()[-2000:]}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def hand_written(
    log: Path, direction: str, kafka: Broker, rivven: Broker, origin: str, target: str, partitions: int
) -> Iterator[int]:
    """`benches.peers.hand_written`, with the linger of our default."""
    places = (kafka.bootstrap, rivven.bootstrap, origin, target)
    module = ("-m", "benches.peers.hand_written")
    with child(log, *module, direction, *places, str(partitions), "5") as pid:
        yield pid


@contextmanager
def connector(
    log: Path, direction: str, kafka: Broker, rivven: Broker, origin: str, target: str, **options: Any
) -> Iterator[int]:
    """`rivven-kafka run` with one source or sink in its default configuration."""
    places = (kafka.bootstrap, rivven.bootstrap, origin, target)
    make = source_file if direction == "source" else sink_file
    config = make(*places, f"group-{target}", **options)
    with Connector(log.parent, config, log.stem) as running:
        yield running.pid
        assert running.running, running.log_tail()
