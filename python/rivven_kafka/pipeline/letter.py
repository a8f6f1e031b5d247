"""The dead letter: a record that could not be delivered, as JSON.

The envelope is rivven-connect's (`original_topic`, `connector_name`, `payload_b64`, `error`, `retry_count`,
`timestamp`), and beside it all that is needed to send the record again: `position`, `key_b64`, `headers`,
`record_timestamp`.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rivven_kafka._native import BadRecord

LARGEST_LETTER = 10_000_000
"""Rivven takes 10,480,000 bytes in one request; the key of the record is among them (bytes)."""

_OMITTED = "; the record is too large for a letter, see position for where it is"


def _name(text: str) -> str:
    """A header's name as text: bytes that are not UTF-8 are written as in Python's `repr`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _dump(letter: dict[str, Any]) -> bytes:
    return json.dumps(letter, ensure_ascii=False, separators=(",", ":")).encode()


def envelope(record: BadRecord, connector: str, original_topic: str) -> tuple[bytes | None, bytes]:
    """Key and value of a dead letter.

    Args:
        record: The record.
        connector: Name of the connector.
        original_topic: Where the record was to go.
    """
    whole = _size(record) <= LARGEST_LETTER
    names = [_name(name) for name, _ in record.headers] if whole else []
    letter: dict[str, Any] = {
        "original_topic": original_topic,
        "connector_name": connector,
        "payload_b64": _base64(record.value) if whole else None,
        "error": record.reason if whole else record.reason + _OMITTED,
        "retry_count": 0,
        "timestamp": datetime.now(UTC).isoformat(),
        "position": f"{record.topic}:{record.partition}:{record.offset}",
        "key_b64": _base64(record.key) if whole else None,
        "headers": [[name, _base64(value)] for name, (_, value) in zip(names, record.headers, strict=False)],
        "record_timestamp": record.timestamp,
    }
    if not whole:
        letter["record_omitted"] = True
    elif names != [name for name, _ in record.headers]:
        letter["header_names_b64"] = [
            _base64(name.encode("utf-8", "surrogateescape")) for name, _ in record.headers
        ]
    return (record.key if whole else None), _dump(letter)


def _size(record: BadRecord) -> int:
    """Bytes of a letter with all of the record, at most."""
    parts = [record.value, record.key, *(value for _, value in record.headers)]
    names = sum(len(name) for name, _ in record.headers)
    # The key is in the letter, and beside it as the key of the letter.
    return 4 * sum(len(part or b"") for part in parts) // 3 + len(record.key or b"") + 12 * names + 4_096


@dataclass(frozen=True)
class Letter:
    """A dead letter that was read.

    Attributes:
        original_topic: Where the record was to go.
        connector: Who gave up.
        reason: Why.
        retry_count: How often its delivery was tried again.
        written: When the letter was written; None if it does not say.
        key: Key of the record, None for null.
        value: Its value, None for null.
        headers: Its headers, in order.
        timestamp: Its timestamp (ms since the epoch); negative if it is not known.
        position: Topic, partition and offset where it was read; None in letters of rivven-connect.
        omitted: Whether the record was too large to be in its letter.
        notes: What the letter does not tell about the record.
    """

    original_topic: str
    connector: str
    reason: str
    retry_count: int
    written: datetime | None
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int
    position: tuple[str, int, int] | None
    omitted: bool
    notes: tuple[str, ...]
    _json: dict[str, Any]
    _stored_key: bytes | None

    def again(self, reason: str) -> tuple[bytes | None, bytes]:
        """Key and value of the letter of a record that failed once more."""
        changed = {
            "error": reason + (_OMITTED if self.omitted else ""),
            "retry_count": self.retry_count + 1,
            "timestamp": datetime.now(UTC).isoformat(),
        }
        return self._stored_key, _dump(self._json | changed)


def parse(key: bytes | None, value: bytes | None) -> Letter | None:
    """A letter from what Rivven holds; None if it is none.

    Args:
        key: Key of the letter.
        value: Its value.
    """
    try:
        letter = json.loads(value or b"")
        if not isinstance(letter, dict) or not isinstance(letter["connector_name"], str):
            return None
        # Halves of characters, which JSON can escape, can neither be sent nor written nor shown.
        _dump(letter)
        position = _position(letter.get("position"))
        stored = str(letter.get("error", ""))
        return Letter(
            original_topic=str(letter["original_topic"]),
            connector=letter["connector_name"],
            reason=stored.removesuffix(_OMITTED),
            retry_count=int(letter.get("retry_count", 0)),
            written=_time(letter.get("timestamp")),
            key=_bytes(letter.get("key_b64")),
            value=_bytes(letter["payload_b64"]),
            headers=_headers(letter),
            timestamp=_within(-(2**63), int(letter.get("record_timestamp", -1)), 2**63 - 1),
            position=position,
            omitted=bool(letter.get("record_omitted")) or stored.endswith(_OMITTED),
            notes=_missing(letter),
            _json=letter,
            _stored_key=key,
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        # Any program may write to the topic.
        return None


def _within(least: int, number: int, most: int) -> int:
    if not least <= number <= most:
        raise ValueError
    return number


def _missing(letter: dict[str, Any]) -> tuple[str, ...]:
    names = {"key_b64": "key", "headers": "headers", "record_timestamp": "timestamp", "position": "position"}
    missing = [name for field, name in names.items() if field not in letter]
    return (f"the letter has no {', '.join(missing)}",) if missing else ()


def _bytes(text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError from error


def _headers(letter: dict[str, Any]) -> list[tuple[str, bytes | None]]:
    headers = [(str(name), _bytes(value)) for name, value in letter.get("headers", ())]
    names = letter.get("header_names_b64")
    if names is None:
        return headers
    return [
        ((_bytes(name) or b"").decode("utf-8", "surrogateescape"), value)
        for name, (_, value) in zip(names, headers, strict=True)
    ]


def _position(text: object) -> tuple[str, int, int] | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError
    topic, partition, offset = text.rsplit(":", 2)
    # The offset behind it has to be one, too.
    return topic, _within(0, int(partition), 2**31 - 1), _within(0, int(offset), 2**63 - 2)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
