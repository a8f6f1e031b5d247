"""Running pipelines inside a benchmark."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rivven_kafka.pipeline import SinkPipeline, SourcePipeline


@contextmanager
def running(pipeline: SourcePipeline | SinkPipeline) -> Iterator[None]:
    """Runs a pipeline in a thread; its error becomes the benchmark's."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            pipeline.run(stop)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if errors:
            # Whatever else went wrong, this is why.
            raise errors[0]


def rate_of(progress: Callable[[], int], total: int, timeout_s: float = 40.0) -> float:
    """Records/s from the first record seen until `total`, so that start-up does not count."""
    deadline = time.perf_counter() + timeout_s
    while (first := progress()) == 0:
        assert time.perf_counter() < deadline, "nothing moved"
        time.sleep(0.0005)
    start = time.perf_counter()
    while (count := progress()) < total:
        assert time.perf_counter() < deadline, f"stuck at {count} of {total}"
        time.sleep(0.001)
    return (total - first) / (time.perf_counter() - start)
