"""A plot for each group of comparisons, drawn so that the same figures give the same file.

`python -m benches.plots` draws them again from `benches/results.json`.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benches.report import Comparison
from benches.results import BENCHES, comparisons, load

_COLOURS = ("#9aa5b1", "#2f6f9f")
_INK = "#333d47"
_WIDTH_IN = 9.0
_BAR_IN = 0.3
_HEAD_IN = 0.45

# Text stays text: smaller files, and a change of a figure is a change of few lines. Without a fixed salt
# every run would name the parts of a plot anew. A dollar in a title is no formula.
_STYLE: dict[Any, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rivven-kafka",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,
    "text.color": _INK,
    "axes.edgecolor": "#c5ccd3",
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_WITHOUT_DATE = {"Date": None, "Creator": None}


def draw(found: Sequence[Comparison], directory: Path) -> list[Path]:
    """Writes `<group>.svg` for every group, and removes what is left of groups that are no more.

    Returns:
        The files, in the order of the groups.
    """
    groups: dict[str, list[Comparison]] = defaultdict(list)
    for each in found:
        groups[each.group].append(each)
    directory.mkdir(exist_ok=True)
    written = [_draw_group(group, members, directory) for group, members in groups.items()]
    for path in set(directory.glob("*.svg")) - set(written):
        path.unlink()
    return written


def _draw_group(group: str, members: Sequence[Comparison], directory: Path) -> Path:
    heights = [_HEAD_IN + _BAR_IN * len(each.candidates) for each in members]
    path = directory / f"{re.sub(r'[^A-Za-z0-9]+', '-', group).strip('-')}.svg"
    with matplotlib.rc_context(_STYLE):
        # A figure of its own instead of pyplot's: no window system, and nothing global.
        figure = Figure(figsize=(_WIDTH_IN, sum(heights)), layout="constrained")
        panels = figure.subplots(len(members), 1, squeeze=False, height_ratios=heights)
        for axes, each in zip(panels[:, 0], members, strict=True):
            _draw_comparison(axes, each)
        figure.savefig(path, format="svg", metadata=_WITHOUT_DATE)
    # Trailing blanks, which matplotlib leaves, are noise in a diff.
    path.write_text("".join(f"{line.rstrip()}\n" for line in path.read_text().splitlines()))
    return path


def _draw_comparison(axes: Axes, comparison: Comparison) -> None:
    candidates = comparison.candidates
    rows = range(len(candidates))
    medians = [each.median for each in candidates]
    axes.barh(rows, medians, height=0.6, color=[_COLOURS[row > 0] for row in rows])
    for row, each in zip(rows, candidates, strict=True):
        axes.plot(each.samples, [row] * len(each.samples), "|", color=_INK, markersize=6, alpha=0.7)
        ratio = f"   x{_figure(each.ratio)}" if row and math.isfinite(each.ratio) else ""
        right = max(each.median, *each.samples)
        axes.annotate(
            f"{_figure(each.median)}{ratio}", (right, row), (6, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(rows, [each.name for each in candidates])
    axes.invert_yaxis()
    axes.set_title(f"{comparison.title}  [{comparison.unit}]", loc="left", fontsize=9.5, fontweight="bold")
    axes.margins(x=0.25)
    axes.set_xlim(left=min(0, *medians))
    axes.tick_params(length=0)
    # Every bar has its figure beside it.
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> None:
    for path in draw(comparisons(load()), BENCHES / "plots"):
        print(path)


if __name__ == "__main__":
    main()
