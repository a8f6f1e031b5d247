"""A distribution at one moment: counts by range, and what can be told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rivven_kafka._native import Histogram


@dataclass(frozen=True)
class Distribution:
    """How many values fell into which range.

    Attributes:
        bounds: Upper bounds of the ranges, each included.
        counts: Values of each range, and at the end those above all bounds.
        total: Sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @classmethod
    def of(cls, histogram: Histogram, unit: float = 1.0) -> Distribution:
        """What a histogram says now.

        Args:
            histogram: Counts in whole units.
            unit: What such a unit is in the unit of the distribution.
        """
        counts, total = histogram.read()
        return cls(tuple(bound * unit for bound in histogram.bounds), tuple(counts), total * unit)

    @property
    def count(self) -> int:
        """All values."""
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """The value below which this share of the values lies, as PromQL's `histogram_quantile` estimates it.

        Args:
            share: From 0 to 1.

        Returns:
            The last bound, where it lies above all bounds; None without values.
        """
        wanted, seen, low = share * self.count, 0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            if count and seen + count >= wanted:
                return low + (bound - low) * (wanted - seen) / count
            seen, low = seen + count, bound
        return self.bounds[-1] if self.count else None

    def buckets(self) -> Sequence[tuple[str, int]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        found, seen = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            seen += count
            found.append(("+Inf" if bound == float("inf") else _text(bound), seen))
        return found


def _text(bound: float) -> str:
    return f"{bound:.10g}" if "." in f"{bound:.10g}" else f"{bound:.1f}"
