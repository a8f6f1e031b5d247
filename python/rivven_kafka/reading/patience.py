"""Asking again while Kafka puts something in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from rivven_kafka.errors import RetriableBrokerError

T = TypeVar("T")

_PATIENCE_S = 10.0
_PAUSE_S = 0.2


def patiently(
    ask: Callable[[], T], patience_s: float | None = None, *, settled: Callable[[T], bool] = lambda _: True
) -> T:
    """Asks again while a coordinator is moving or being made: the first group of a cluster has to wait.

    Args:
        ask: What to do.
        patience_s: For how long (s); ten seconds if None.
        settled: Whether an answer will do; one that will not is given only then.

    Raises:
        RetriableBrokerError: It is still so then.
    """
    deadline = time.monotonic() + (_PATIENCE_S if patience_s is None else patience_s)
    while True:
        try:
            answer = ask()
            if settled(answer) or time.monotonic() > deadline:
                return answer
        except RetriableBrokerError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_S)
