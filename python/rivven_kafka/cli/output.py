"""Writing results to standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence


def print_line(text: str) -> None:
    """Write a line of results."""
    sys.stdout.write(f"{text}\n")


def print_json(value: object) -> None:
    """Write a value as indented JSON."""
    print_line(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> None:
    """Write rows in columns that are as wide as what they hold; the last one has no end.

    Args:
        rows: The cells; all rows have the same number.
        right: Columns to align on the right, counted from 0.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print_line("  ".join(cells).rstrip())
