"""A sink in a process of its own: `benches.child.ask` runs it."""

from typing import Any

from rivven_kafka._native import Fetcher
from rivven_kafka.config import ConnectConfig
from rivven_kafka.pipeline import SinkPipeline

from benches.child import Measured, arguments, tell, watched
from benches.running import running


def run_sink(config: dict[str, Any], total: int) -> Measured:
    """Runs the sink `out` until it has delivered `total` records."""
    connect = ConnectConfig.build(config)
    pipeline = SinkPipeline("bench", connect.sinks["out"], connect.broker, connect.settings)
    with running(pipeline):
        return watched(pipeline.delivered, total)


def only_fetch(servers: str, topic: str, partitions: int, total: int) -> Measured:
    """Reads the topic as a sink does, and does nothing with the blocks."""
    fetcher = Fetcher([servers], max_buffered_bytes=16 << 20)
    fetcher.assign([(topic, partition, 0) for partition in range(partitions)])
    read = 0

    def progress() -> int:
        nonlocal read
        read += sum(len(block) for block in fetcher.poll(100))
        return read

    try:
        return watched(progress, total)
    finally:
        fetcher.close()


if __name__ == "__main__":
    wanted = arguments()
    tell(only_fetch(**wanted) if "servers" in wanted else run_sink(**wanted))  # type: ignore[arg-type]
