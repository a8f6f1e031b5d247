"""Timing of calls that take microseconds, so that ratios hold on a machine that does other things as well."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from benches.report import show
from benches.scale import Scale

Call = Callable[[], object]
Row = tuple[int, bytes, bytes, list[tuple[str, bytes | None]]]

_BATCHES = 4
_BATCH_S = 0.02


def rows(count: int) -> list[Row]:
    """`count` records as (timestamp, key, value, headers): about 160 bytes of JSON, a key, a header each."""
    return [
        (
            1_700_000_000_000 + index,
            b"customer-%05d" % (index * 7919 % 100_000),
            json.dumps(
                {
                    "order_id": 10_000_000 + index,
                    "customer": f"customer-{index * 7919 % 100_000:05d}",
                    "amount": (index * 37 % 99_991) / 100,
                    "status": ("new", "paid", "sent")[index % 3],
                    "paid": index % 3 > 0,
                    # Digits without a pattern: a payload of repetitions would compress to nothing.
                    "note": f"{index * 0x9E3779B97F4A7C15_C2B2AE3D27D4EB4F % 2**128:032x}",
                }
            ).encode(),
            [("trace", b"%08x" % (index * 2_654_435_761 % 2**32))],
        )
        for index in range(count)
    ]


def rates(candidates: Mapping[str, Call], per_call: int, scale: Scale) -> list[tuple[str, list[float]]]:
    """Calls the candidates in turn, and tells for each how much it did per second of CPU, once per round.

    The CPU time of this thread is counted, not the clock on the wall, so that other processes cost little. A
    round is the best of several batches of calls.

    Args:
        candidates: What is called, by name.
        per_call: How much one call does.
        scale: How often.
    """
    batches = 1 if scale.quick else _BATCHES
    calls = {name: 1 if scale.quick else _calls(call) for name, call in candidates.items()}
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(scale.rounds):
        for name, call in candidates.items():
            best = min(_cpu_seconds(call, calls[name]) for _ in range(batches))
            samples[name].append(per_call * calls[name] / best)
    return list(samples.items())


def _cpu_seconds(call: Call, count: int) -> float:
    start = time.thread_time()
    for _ in range(count):
        call()
    return max(time.thread_time() - start, 1e-9)


def _calls(call: Call) -> int:
    """How many calls make a batch that is long enough to be timed."""
    call()
    count = 1
    while (seconds := _cpu_seconds(call, count)) < _BATCH_S / 4:
        count *= 4
    return max(1, round(count * _BATCH_S / seconds))


def compare(
    benchmark: Any,
    scale: Scale,
    group: str,
    title: str,
    candidates: Mapping[str, Call],
    *,
    per_call: int = 1,
    unit: str = "records/s",
    at_least: Mapping[tuple[str, str], float] | None = None,
) -> dict[str, float]:
    """Measures `candidates` in turn and shows their ratios; the last one also goes to pytest-benchmark.

    Args:
        benchmark: The fixture of pytest-benchmark.
        scale: How often.
        group: Comparisons of one group share a plot.
        title: What was measured.
        candidates: What is called, by name; the first is what the others are compared with, the last is ours.
        per_call: How much one call does.
        unit: Of what it does.
        at_least: Least ratio that is to be reached, by (candidate, against).

    Returns:
        Ratios to the first candidate, by name.
    """
    ratios = show(group, title, rates(candidates, per_call, scale), unit=f"{unit} of CPU", at_least=at_least)
    record(benchmark, scale, group, title, candidates, ratios)
    return ratios


def record(
    benchmark: Any,
    scale: Scale,
    group: str,
    title: str,
    candidates: Mapping[str, Call],
    ratios: Mapping[str, float],
) -> None:
    """Has pytest-benchmark time the last candidate, and keep what was measured in turn beside it."""
    benchmark.group = f"{group}: {title}"
    benchmark.extra_info.update(ratios)
    ours = list(candidates.values())[-1]
    calls = 1 if scale.quick else _calls(ours)
    benchmark.pedantic(ours, rounds=scale.rounds, iterations=calls, warmup_rounds=0)


def rate_of_threads(call: Call, threads: int, calls: int) -> float:
    """Calls per second on the wall when `threads` threads make `calls` calls each."""
    ready = threading.Barrier(threads + 1)

    def run() -> None:
        ready.wait()
        for _ in range(calls):
            call()

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    return threads * calls / (time.perf_counter() - start)
