"""What becomes of the comparisons of a run: `results.json`, a plot per group, a summary of the targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from benches import results
from benches.machine import describe_run
from benches.report import Comparison, keeping, verdict


class Keeper:
    """Keeps what the benchmarks of one pytest session show.

    Args:
        directory: Where the benchmarks are, and where `results.json` and `plots` go.
        arguments: What pytest was told to run.
        save: Whether to write anything.
        describe: Tells when, where and with what this is measured.
    """

    def __init__(
        self,
        directory: Path,
        arguments: Sequence[str],
        *,
        save: bool,
        describe: Callable[[], dict[str, Any]] = describe_run,
    ) -> None:
        self._directory = directory
        # Of a file that was named with one of its benchmarks, the others are not collected.
        self._in_part = {each.partition("::")[0] for each in arguments if "::" in each}
        self._save = save
        self._describe = describe
        self._found: list[tuple[str, Comparison]] = []
        self.collected: set[str] = set()
        """Node ids of the benchmarks there are in what was collected, also of those not chosen."""

    @contextmanager
    def during(self, test: str) -> Iterator[None]:
        """Keeps what `test` shows inside the block, and writes it: a later one may not end well."""
        found: list[tuple[str, Comparison]] = []
        with keeping(lambda comparison: found.append((test, comparison))):
            yield
        self._found += found
        if found and self._save:
            path = self._directory / results.RESULTS.name
            results.save(results.merge(results.load(path), self._run, found, self._gone), path)

    def draw(self) -> None:
        """Draws the plots anew, those of other runs too: a group can have lost a comparison."""
        if not (self._found and self._save):
            return
        from benches.plots import draw

        kept = results.load(self._directory / results.RESULTS.name)
        draw(results.comparisons(kept), self._directory / "plots")

    def summary(self) -> list[str]:
        """The targets of this session, the missed ones last."""
        targets = [(each, target) for _, each in self._found for target in each.targets]
        if not targets:
            return []
        if not self._save:
            return [f"a quick run: its figures mean nothing, and {len(targets)} targets were not judged"]
        targets.sort(key=lambda each: not each[1].met)
        met = sum(target.met for _, target in targets)
        lines = [f"{verdict(target)}  ({each.group}: {each.title})" for each, target in targets]
        return ["", "targets:", *lines, f"{met} of {len(targets)} targets met"]

    @cached_property
    def _run(self) -> dict[str, Any]:
        return self._describe()

    def _gone(self, test: str) -> bool:
        file = test.partition("::")[0]
        if not (self._directory.parent / file).exists():
            return True
        seen = any(each.startswith(f"{file}::") for each in self.collected)
        return seen and file not in self._in_part and test not in self.collected
