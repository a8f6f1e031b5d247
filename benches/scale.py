"""How much a benchmark moves: enough to measure, or just enough to show that it still works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """The size of a run.

    Attributes:
        quick: Whether the run only shows that the benchmark works: its figures mean nothing.
    """

    quick: bool

    @property
    def rounds(self) -> int:
        """How often every candidate is measured, in turn with the others."""
        return 1 if self.quick else 3

    def records(self, count: int, least: int = 2_000) -> int:
        """`count` records, or a hundredth of them, but at least `least`."""
        return max(count // 100, least) if self.quick else count
