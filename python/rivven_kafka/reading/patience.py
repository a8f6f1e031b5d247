"""Asking again while Kafka puts something in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from rivven_kafka.errors import RetriableBrokerError

T = TypeVar("T")

_PATIENCE_S = 10.0
_PAUSE_S = 0.2


def patiently(ask: Callable[[], T], patience_s: float = _PATIENCE_S) -> T:
    """Asks again while a coordinator is moving or being made: the first group of a cluster has to wait.

    Args:
        ask: What to do.
        patience_s: For how long (s).

    Raises:
        RetriableBrokerError: It is still so then.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return ask()
        except RetriableBrokerError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_S)
