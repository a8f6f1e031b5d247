"""What a candidate took: records per second, and processor time per million records."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Took:
    """The figures of a candidate, one per round.

    Attributes:
        rates: Records per second.
        cpu: Processor seconds of its process, user and system, per million records.
    """

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, records: int, seconds: float, cpu_seconds: float) -> None:
        """Counts a round."""
        self.rates.append(records / seconds)
        self.cpu.append(cpu_seconds * 1e6 / records)

    @contextmanager
    def round(self, records: int) -> Iterator[None]:
        """Counts what is done inside as a round of `records`."""
        start, cpu = time.perf_counter(), time.process_time()
        yield
        self.add(records, time.perf_counter() - start, time.process_time() - cpu)


def children_cpu() -> float:
    """Processor seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
