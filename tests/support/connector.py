"""The command `rivven-kafka run` as a child process, and what the tests ask of both brokers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml


def source_file(
    kafka: str, rivven: str, kafka_topic: str, rivven_topic: str, group: str, **config: Any
) -> dict[str, Any]:
    """A configuration with one source."""
    options = {"brokers": kafka, "topic": kafka_topic, "consumer_group": group, **config}
    return {
        "version": "1.0",
        "broker": {"bootstrap_servers": [rivven]},
        "sources": {"in": {"connector": "kafka", "topic": rivven_topic, "config": options}},
    }


def sink_file(
    kafka: str, rivven: str, rivven_topic: str, kafka_topic: str, group: str, **config: Any
) -> dict[str, Any]:
    """A configuration with one sink that starts at the beginning."""
    return {
        "version": "1.0",
        "broker": {"bootstrap_servers": [rivven]},
        "sinks": {
            "out": {
                "connector": "kafka",
                "topics": [rivven_topic],
                "consumer_group": group,
                "start_offset": "earliest",
                "config": {"brokers": kafka, "topic": kafka_topic, **config},
            }
        },
    }


class Connector:
    """`rivven-kafka run` in a process of its own.

    Args:
        directory: Where the configuration and the log go.
        config: The configuration.
        name: Distinguishes several in one directory.
        verbose: Whether to log debug messages.
        env: Environment variables besides our own.
    """

    def __init__(
        self,
        directory: Path,
        config: Mapping[str, Any],
        name: str = "connector",
        *,
        verbose: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._env = {**os.environ, **(env or {})}
        self._options = ["-v"] if verbose else []
        self.log_path = directory / f"{name}.log"
        self._file = directory / f"{name}.yaml"
        self._file.write_text(yaml.safe_dump(dict(config), sort_keys=False))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Connector:
        """Starts the process."""
        command = [sys.executable, "-m", "rivven_kafka.cli", "-c", str(self._file), *self._options, "run"]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=self._env)
        return self

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def starts_again(self) -> bool:
        """Whether a run has failed, and the next one has no partitions yet."""
        log = self.log()
        return log.rfind("restart in ") > log.rfind("assigned ")

    @property
    def was_fenced(self) -> bool:
        """Whether another sink with transactions has ended its last run."""
        ends = [line for line in self.log().splitlines() if " ERROR stopped: " in line]
        return bool(ends) and "has taken over its partitions" in ends[-1]

    def log(self) -> str:
        """Everything that was logged, by earlier processes of this name too."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self) -> str:
        """The end of the log."""
        return self.log()[-4000:]

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; returns at once."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout: float = 60.0) -> int:
        """Waits for the end; returns the exit code."""
        assert self._process is not None
        return self._process.wait(timeout)

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM; returns the exit code."""
        self.send(signal.SIGTERM)
        return self.wait(timeout)

    def __enter__(self) -> Connector:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()


def wait_until(condition: Callable[[], bool], timeout: float, what: Callable[[], str] = lambda: "") -> None:
    """Waits for `condition`; fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s. {what()}")
        time.sleep(0.05)


def advance(measure: Callable[[], int], by: int, *connectors: Connector, timeout: float = 60.0) -> None:
    """Waits until `measure` has grown by `by`, or a connector has ended."""
    target = measure() + by

    def what() -> str:
        return "\n\n".join(connector.log_tail() for connector in connectors)

    wait_until(
        lambda: measure() >= target or not all(connector.running for connector in connectors), timeout, what
    )
