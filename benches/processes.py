"""A program as a child process: how fast it moves records, and what it takes of the processors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_EVERY_S = 0.01


class Moved(NamedTuple):
    """What was measured, from the first record on, so that the start does not count.

    Attributes:
        rate: Records per second.
        cpu: Processor seconds of the process, user and system, per million records.
    """

    rate: float
    cpu: float


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and all its threads (s)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def moved(
    arguments: Sequence[str], progress: Callable[[], int], total: int, timeout_s: float = 60.0
) -> Moved:
    """Runs `python -m *arguments` until `progress` says `total`.

    Args:
        arguments: The module and its arguments.
        progress: How many records the other side has.
        total: How many it is to get.
        timeout_s: Longest time for all of it (s).
    """
    deadline = time.perf_counter() + timeout_s
    process = subprocess.Popen([sys.executable, "-m", *arguments])
    try:

        def wait_for(count: int) -> tuple[float, float, int]:
            while (now := progress()) < count:
                ended = process.poll()
                assert ended in (None, 0), f"{arguments[0]} ended with {ended}"
                assert time.perf_counter() < deadline, f"{arguments[0]} is stuck at {now} of {total}"
                time.sleep(_LOOK_EVERY_S)
            return time.perf_counter(), cpu_seconds(process.pid), now

        begin, cpu_begin, first = wait_for(1)
        end, cpu_end, last = wait_for(total)
        count = max(last - first, 1)
        return Moved(count / (end - begin), (cpu_end - cpu_begin) / count * 1e6)
    finally:
        process.kill()
        process.wait()
