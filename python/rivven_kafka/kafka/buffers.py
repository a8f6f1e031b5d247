"""Memory for what is read in large pieces, used again as soon as no record is left in it.

A new buffer of a megabyte costs as much as copying as many bytes into it: the kernel has to give it a page at
a time, all zeros, and takes it back afterwards.
"""

from __future__ import annotations

import sys
from io import BytesIO

_STEP_BYTES = 128 * 1024
"""Buffers are multiples of this, so that one fits what comes next too."""

_MOST_KEPT_BYTES = 32 * 1024 * 1024
"""Two answers of 16 MiB: one is read while the records of the other are on their way."""

_probe = [bytes(_STEP_BYTES)]
# Counted just as `Buffers` counts: how many references that takes depends on the Python.
_UNUSED = sys.getrefcount(_probe[0])


class Buffers:
    """Hands buffers out, and keeps them for the next time.

    For all connections of one event loop, not for several threads.
    """

    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def take(self, size: int) -> BytesIO:
        """A buffer of at least `size` bytes, with anything in it."""
        kept = self._kept
        for index in range(len(kept)):
            if sys.getrefcount(kept[index]) == _UNUSED and size <= len(kept[index]) <= 2 * size:
                # Without another reference to it, the object itself becomes the buffer, and its value again.
                return BytesIO(kept.pop(index))
        return BytesIO(bytes(-(-size // _STEP_BYTES) * _STEP_BYTES))

    def keep(self, value: bytes) -> None:
        """Takes note of what `take` has handed out: it is used again when it is not used any more."""
        self._kept.append(value)
        while sum(map(len, self._kept)) > _MOST_KEPT_BYTES:
            self._kept.pop(0)
