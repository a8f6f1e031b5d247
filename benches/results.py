"""`benches/results.json`: what was found, with the run that found it.

A run replaces what it measured and leaves the rest, so that one benchmark can be repeated alone. Every
comparison names its run, because the others of the file may come from another commit or another machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benches.report import Candidate, Comparison, Target

BENCHES = Path(__file__).parent
RESULTS = BENCHES / "results.json"

Results = dict[str, Any]
"""`runs`: what `benches.machine.describe_run` said, by its date; `comparisons`: see `entry`."""


def load(path: Path = RESULTS) -> Results:
    """What the file holds; nothing if there is none yet."""
    if not path.exists():
        return {"runs": {}, "comparisons": []}
    results: Results = json.loads(path.read_text())
    return results


def save(results: Results, path: Path = RESULTS) -> None:
    """Writes the file, complete or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
    partial.replace(path)


def merge(
    results: Results,
    run: Mapping[str, Any],
    found: Sequence[tuple[str, Comparison]],
    gone: Callable[[str], bool] = lambda test: False,
) -> Results:
    """What is kept, with what a run found.

    Args:
        results: What was kept so far.
        run: Where and when it was measured; has a `date`.
        found: The node id of a benchmark, and a comparison that it showed.
        gone: Whether there is no such benchmark any more: what it showed is dropped.
    """
    date = str(run["date"])
    new = [entry(test, date, comparison) for test, comparison in found]
    replaced = {_key(each) for each in new}
    # A benchmark that ran and no longer shows a comparison has renamed or dropped it.
    measured = {test for test, _ in found}
    kept = [
        each
        for each in results["comparisons"]
        if _key(each) not in replaced and each["test"] not in measured and not gone(each["test"])
    ]
    comparisons = sorted(kept + new, key=lambda each: (each["group"], each["test"]))
    runs = {**results["runs"], date: dict(run)}
    used = {each["run"] for each in comparisons}
    return {
        "runs": {each: runs[each] for each in sorted(runs) if each in used},
        "comparisons": comparisons,
    }


def entry(test: str, run: str, comparison: Comparison) -> dict[str, Any]:
    """A comparison as the file has it."""
    return {
        "group": comparison.group,
        "title": comparison.title,
        "unit": comparison.unit,
        "test": test,
        "run": run,
        "candidates": [
            {
                "name": each.name,
                "median": _short(each.median),
                "ratio": _short(each.ratio),
                "samples": [_short(sample) for sample in each.samples],
            }
            for each in comparison.candidates
        ],
        "targets": [
            {
                "candidate": each.candidate,
                "against": each.against,
                "at_most" if each.at_most else "at_least": each.wanted,
                "measured": _short(each.measured),
                "met": each.met,
            }
            for each in comparison.targets
        ],
    }


def comparisons(results: Results) -> list[Comparison]:
    """The comparisons of the file."""
    return [
        Comparison(
            group=each["group"],
            title=each["title"],
            unit=each["unit"],
            candidates=[
                Candidate(one["name"], one["samples"], _number(one["ratio"])) for one in each["candidates"]
            ],
            targets=[
                Target(
                    one["candidate"],
                    one["against"],
                    one["at_most"] if "at_most" in one else one["at_least"],
                    _number(one["measured"]),
                    "at_most" in one,
                )
                for one in each["targets"]
            ],
        )
        for each in results["comparisons"]
    ]


def _key(each: Mapping[str, Any]) -> tuple[str, str]:
    return each["group"], each["title"]


def _short(value: float) -> float | None:
    """Five digits are more than any figure is worth; JSON knows no infinity."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.inf if value is None else value
