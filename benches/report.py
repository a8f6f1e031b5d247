"""What a benchmark found: printed at once, and handed to whoever keeps it."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Candidate:
    """One way to do the same thing.

    Attributes:
        name: What it is.
        samples: What was measured, a figure per round.
        ratio: Its median over that of the first candidate; infinite where that is 0.
    """

    name: str
    samples: Sequence[float]
    ratio: float

    @property
    def median(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.samples)


@dataclass(frozen=True)
class Target:
    """A ratio that is to be reached.

    Attributes:
        candidate: Whose figure.
        against: Over whose.
        wanted: The least ratio; with `at_most`, the largest.
        measured: The ratio of the medians.
        at_most: Whether `wanted` is the largest ratio allowed.
    """

    candidate: str
    against: str
    wanted: float
    measured: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


@dataclass(frozen=True)
class Comparison:
    """Candidates that were measured in turn, in one run.

    Attributes:
        group: Comparisons of one group share a plot.
        title: What was measured.
        unit: Of the figures.
        candidates: The first one is what the others are compared with.
        targets: What is to be reached.
    """

    group: str
    title: str
    unit: str
    candidates: Sequence[Candidate]
    targets: Sequence[Target] = field(default=())


_keep: ContextVar[Callable[[Comparison], None] | None] = ContextVar("keep", default=None)


@contextmanager
def keeping(keep: Callable[[Comparison], None]) -> Iterator[None]:
    """Gives every comparison that is shown inside the block to `keep` too."""
    before = _keep.set(keep)
    try:
        yield
    finally:
        _keep.reset(before)


def show(
    group: str,
    title: str,
    rows: Sequence[tuple[str, Sequence[float]]],
    *,
    unit: str = "records/s",
    at_least: Mapping[tuple[str, str], float] | None = None,
    at_most: Mapping[tuple[str, str], float] | None = None,
) -> dict[str, float]:
    """Prints the median of each candidate and its ratio to the first one.

    Args:
        group: Comparisons of one group share a plot.
        title: What was measured.
        rows: Name of a candidate, and its figures of all rounds.
        unit: Of the figures.
        at_least: Least ratio that is to be reached, by (candidate, against).
        at_most: Largest ratio that is allowed, by (candidate, against).

    Returns:
        Ratios to the first candidate, by name.
    """
    medians = {name: statistics.median(samples) for name, samples in rows}
    base = medians[rows[0][0]]
    candidates = [Candidate(name, samples, _over(medians[name], base)) for name, samples in rows]
    targets = [
        Target(one, other, wanted, _over(medians[one], medians[other]), most)
        for wants, most in ((at_least or {}, False), (at_most or {}, True))
        for (one, other), wanted in wants.items()
    ]
    found = Comparison(group, title, unit, candidates, targets)
    sys.stdout.write(f"\n{text(found)}\n")
    if (keep := _keep.get()) is not None:
        keep(found)
    return {each.name: each.ratio for each in candidates}


def text(comparison: Comparison) -> str:
    """The comparison for a terminal."""
    unit = comparison.unit
    digits = 0 if comparison.candidates[0].median >= 1000 else 3
    lines = [f"{comparison.group}: {comparison.title}"]
    for each in comparison.candidates:
        spread = f"{min(each.samples):,.{digits}f} .. {max(each.samples):,.{digits}f}"
        lines.append(
            f"  {each.name:<52} {each.median:>14,.{digits}f} {unit}   x{each.ratio:<8.3f} ({spread})"
        )
    lines += [f"  {verdict(target)}" for target in comparison.targets]
    return "\n".join(lines)


def verdict(target: Target) -> str:
    """Whether a target was reached, in a line."""
    sign = "at most" if target.at_most else "at least"
    return (
        f"{'met   ' if target.met else 'MISSED'} {target.candidate} / {target.against}: "
        f"{target.measured:.3f}, {sign} {target.wanted:g} wanted"
    )


def _over(one: float, other: float) -> float:
    if other:
        return one / other
    return 1.0 if not one else math.inf
