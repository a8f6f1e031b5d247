"""Keys and values for people's eyes: short, and nothing in them that a terminal would obey."""

from __future__ import annotations

MOST_BYTES = 200
"""Bytes that are shown of one key, value or header."""

_LEAD = 40


def shown(data: bytes | None, around: int = 0) -> str | None:
    """Bytes as text, with what is not printable escaped; of long ones the part that has byte `around`."""
    if data is None:
        return None
    start = max(0, around - _LEAD) if len(data) > MOST_BYTES else 0
    part = data[start : start + MOST_BYTES]
    text = "".join(map(_escaped, part.decode("utf-8", "backslashreplace")))
    before = f"[{start} bytes] " if start else ""
    rest = len(data) - start - len(part)
    after = f" [{rest} more bytes]" if rest else ""
    return f"{before}{text}{after}"


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
