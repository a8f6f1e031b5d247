"""`python -m benches.table [group ...]`: `benches/results.json` as Markdown, for the documentation."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from benches.report import Comparison, Target
from benches.results import Results, comparisons, load


def tables(results: Results, groups: Sequence[str] = ()) -> str:
    """Every comparison of these groups, or of all, as Markdown: runs, targets, then a table each."""
    found = [each for each in comparisons(results) if not groups or each.group in groups]
    used = {each["run"] for each in results["comparisons"] if not groups or each["group"] in groups}
    lines = [_run(run) for date, run in results["runs"].items() if date in used]
    lines += ["", *_targets(found)]
    for group, members in groupby(found, key=lambda each: each.group):
        lines += ["", f"## {group}"]
        for each in members:
            lines += ["", *_comparison(each)]
    return "\n".join(lines) + "\n"


def _run(run: Mapping[str, Any]) -> str:
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    return (
        f"* {run['date']}, commit {run['commit'][:10]}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}; {versions}"
    )


def _targets(found: Sequence[Comparison]) -> Iterator[str]:
    rows = [(each, target) for each in found for target in each.targets]
    if not rows:
        return
    yield from _head("group", "measured", "what", "ratio", "target", "")
    for each, target in rows:
        what = f"{target.candidate} / {target.against}"
        yield _row(each.group, each.title, what, _ratio(target.measured), _wanted(target), _met(target))


def _comparison(comparison: Comparison) -> Iterator[str]:
    yield f"**{_escaped(comparison.title)}** ({comparison.unit})"
    yield ""
    yield from _head("", "median", "ratio", "least .. most")
    for each in comparison.candidates:
        spread = f"{_figure(min(each.samples))} .. {_figure(max(each.samples))}"
        yield _row(each.name, _figure(each.median), _ratio(each.ratio), spread)


def _head(*cells: str) -> list[str]:
    return [_row(*cells), "|" + "---|" * len(cells)]


def _row(*cells: str) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _ratio(value: float) -> str:
    if math.isinf(value):
        return "∞"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _wanted(target: Target) -> str:
    return f"at {'most' if target.at_most else 'least'} {target.wanted:g}"


def _met(target: Target) -> str:
    return "met" if target.met else "**missed**"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.table", description=__doc__)
    parser.add_argument("groups", nargs="*", help="only these")
    print(tables(load(), parser.parse_args().groups), end="")


if __name__ == "__main__":
    main()
