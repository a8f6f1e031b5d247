"""Measuring in a process of its own, whose CPU time is that of the candidate alone."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Measured:
    """What a candidate did.

    Attributes:
        rate: Records/s.
        cpu: CPU seconds of its process per million records.
    """

    rate: float
    cpu: float


class Meter:
    """Measures from its construction on."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._cpu = _cpu_s()

    def read(self, records: int) -> Measured:
        """What was needed for `records`."""
        return Measured(
            records / (time.perf_counter() - self._start), (_cpu_s() - self._cpu) / records * 1_000_000
        )


def watched(progress: Callable[[], int], total: int, timeout_s: float = 60.0) -> Measured:
    """From when nothing was seen for the last time until `total`: start-up does not count."""
    deadline = time.perf_counter() + timeout_s
    meter = Meter()
    while progress() == 0:
        assert time.perf_counter() < deadline, "nothing moved"
        time.sleep(0.001)
        # At most that long before the first record.
        meter = Meter()
    while (count := progress()) < total:
        assert time.perf_counter() < deadline, f"stuck at {count} of {total}"
        time.sleep(0.004)
    return meter.read(total)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ask(module: str, **arguments: object) -> Measured:
    """Runs `python -m module` with `arguments` as JSON; it ends with `tell`."""
    command = [sys.executable, "-m", module, json.dumps(arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=dict(os.environ))
    return Measured(**json.loads(done.stdout))


def arguments() -> dict[str, object]:
    """What `ask` passed to this process."""
    found: dict[str, object] = json.loads(sys.argv[1])
    return found


def tell(measured: Measured) -> None:
    """Answers `ask`."""
    sys.stdout.write(json.dumps(asdict(measured)))
