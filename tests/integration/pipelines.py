"""One source or sink in a thread, its configuration checked as that of a file, and what it left in Rivven."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from rivven_kafka._native import RivvenClient
from rivven_kafka.config import ConnectConfig
from rivven_kafka.pipeline import SinkPipeline, SourcePipeline

from tests.integration.rivven_blocks import KeyValue, read_all


def pipeline_of(document: Mapping[str, Any]) -> SourcePipeline | SinkPipeline:
    """The pipeline of the only connector of a configuration."""
    config = ConnectConfig.model_validate(document)
    [source] = config.sources.items() or [None]
    if source is not None:
        return SourcePipeline(*source, config.broker, config.settings)
    [sink] = config.sinks.items()
    return SinkPipeline(*sink, config.broker, config.settings)


class Running:
    """Runs the pipeline of `document` until the end of the block, or until it fails."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.pipeline = pipeline_of(document)
        self.error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.pipeline.run(self._stop)
        except BaseException as error:
            self.error = error

    def failure(self, timeout: float = 30.0) -> BaseException:
        """The error it ends with by itself."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "it goes on"
        assert self.error is not None
        return self.error

    def describe(self) -> str:
        """Its state, for messages."""
        return f"error {self.error!r}, delivered {self.pipeline.delivered()}"

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        if kind is None:
            assert not self._thread.is_alive()


def rivven_records(bootstrap: str, topic: str) -> dict[int, list[KeyValue]]:
    """Keys and values of a Rivven topic by partition; nothing if it does not exist."""
    client = RivvenClient([bootstrap])
    try:
        count = client.partition_count(topic) or 0
        return {partition: read_all(client, topic, partition) for partition in range(count)}
    finally:
        client.close()
