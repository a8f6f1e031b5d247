"""Writing results to standard output."""

from __future__ import annotations

import json
import sys


def print_line(text: str) -> None:
    """Write a line of results."""
    sys.stdout.write(f"{text}\n")


def print_json(value: object) -> None:
    """Write a value as indented JSON."""
    print_line(json.dumps(value, indent=2, ensure_ascii=False))
