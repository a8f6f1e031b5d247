"""What a check found: one line per thing that was tried."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rivven_kafka.errors import RivvenKafkaError


@dataclass(frozen=True)
class Check:
    """One thing that was tried.

    Attributes:
        name: What was tried.
        ok: Whether it worked.
        duration_ms: How long it took (ms).
        detail: What was found, or why it failed.
    """

    name: str
    ok: bool
    duration_ms: float
    detail: str


@dataclass(frozen=True)
class CheckResult:
    """All that was tried, in order. After a failure the rest is not tried."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether everything worked."""
        return all(check.ok for check in self.checks)


def run_checks(steps: list[tuple[str, Callable[[], str]]]) -> CheckResult:
    """Tries `steps` in order until one fails; a bad environment is a result, not an exception.

    Args:
        steps: Name and function of each check; the function returns what it found.
    """
    checks = []
    for name, step in steps:
        start = time.perf_counter()
        try:
            detail, ok = step(), True
        except (RivvenKafkaError, OSError) as error:
            detail, ok = str(error), False
        checks.append(Check(name, ok, (time.perf_counter() - start) * 1000, detail))
        if not ok:
            break
    return CheckResult(tuple(checks))
