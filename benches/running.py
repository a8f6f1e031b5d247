"""Running pipelines inside a benchmark, and printing what came out."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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


def show(title: str, rows: Sequence[tuple[str, Sequence[float]]]) -> dict[str, float]:
    """Prints the median rate of each candidate and its ratio to the first one; returns the ratios."""
    medians = {name: statistics.median(rates) for name, rates in rows}
    base = medians[rows[0][0]]
    lines = [f"\n{title}"]
    for name, rates in rows:
        spread = f"{min(rates):,.0f} .. {max(rates):,.0f}"
        lines.append(
            f"  {name:<44} {medians[name]:>12,.0f} records/s   x{medians[name] / base:<8.3f} ({spread})"
        )
    sys.stdout.write("\n".join(lines) + "\n")
    return {name: median / base for name, median in medians.items()}
