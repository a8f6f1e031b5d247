"""What a check found: one line per thing that was tried."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rivven_kafka.errors import RivvenKafkaError


class CheckStatus(StrEnum):
    """What became of a check."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not tried, or not answered, because of something else; the detail says what."""


@dataclass(frozen=True)
class Check:
    """One thing that was tried.

    Attributes:
        name: What was tried.
        status: Whether it worked.
        duration_ms: How long it took (ms); 0 if it was not tried.
        detail: What was found, why it failed, or why it was not tried.
    """

    name: str
    status: CheckStatus
    duration_ms: float
    detail: str

    @property
    def ok(self) -> bool:
        """Whether it was tried and worked."""
        return self.status is CheckStatus.OK


@dataclass(frozen=True)
class CheckResult:
    """Everything that was to be tried, in order. After a failure only what depends on it is not tried."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(check.status is not CheckStatus.FAILED for check in self.checks)


class NotTriedError(Exception):
    """Raised by a step that cannot give an answer; the message says why."""


@dataclass(frozen=True)
class Step:
    """One thing to try.

    Attributes:
        name: What is tried.
        run: Tries it and returns what was found.
        after: Names of the steps that have to work before this one can.
    """

    name: str
    run: Callable[[], str]
    after: tuple[str, ...] = ()


def run_checks(steps: Sequence[Step]) -> CheckResult:
    """Tries `steps` in order; a bad environment is a result, not an exception."""
    done: dict[str, Check] = {}
    for step in steps:
        missing = [name for name in step.after if not done[name].ok]
        if missing:
            first = done[missing[0]]
            # What was not tried itself hands its own reason on.
            failed = first.status is CheckStatus.FAILED
            detail = f"not tried, because {first.name} failed" if failed else first.detail
            done[step.name] = Check(step.name, CheckStatus.SKIPPED, 0.0, detail)
        else:
            done[step.name] = _tried(step)
    return CheckResult(tuple(done.values()))


def _tried(step: Step) -> Check:
    start = time.perf_counter()
    try:
        detail, status = step.run(), CheckStatus.OK
    except NotTriedError as reason:
        detail, status = str(reason), CheckStatus.SKIPPED
    except (RivvenKafkaError, OSError) as error:
        # The name of the topic in brackets is for logs; here the message names it already.
        detail = str(error.args[0]) if isinstance(error, RivvenKafkaError) and error.args else str(error)
        status = CheckStatus.FAILED
    return Check(step.name, status, (time.perf_counter() - start) * 1000, detail)
