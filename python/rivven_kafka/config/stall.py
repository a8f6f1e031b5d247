"""When a connector without progress is restarted, and the timeouts that have to pass first."""

from __future__ import annotations

from collections.abc import Iterator

from rivven_kafka.config.model import BrokenRule

_DEFAULT_MS = 300_000


def stall_timeout_ms(given: int | None, *timeouts_ms: int) -> int:
    """The time without progress that is allowed (ms); 0: any.

    Args:
        given: What the configuration says, None if nothing.
        timeouts_ms: Those that have to pass first: a request that is only slow is no stall.
    """
    if given is not None:
        return given
    return max(_DEFAULT_MS, *(2 * timeout_ms for timeout_ms in timeouts_ms))


def too_short(timeout_ms: int | None, **others_ms: int) -> Iterator[BrokenRule]:
    """What is wrong with a `stall_timeout_ms` that has to be more than each of `others_ms`."""
    if not timeout_ms:
        return
    for name, other_ms in others_ms.items():
        if timeout_ms <= other_ms:
            yield "stall_timeout_ms", f"got {timeout_ms}: expected 0, or more than {name} ({other_ms})"
