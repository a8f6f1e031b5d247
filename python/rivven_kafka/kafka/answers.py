"""Decodes Kafka's answers as kafka-python does, but believes no length in them before it is checked.

kafka-python generates its decoders from the schemas of the protocol, and lets them trust what they read: an
endless number grows without bound, each list of tagged fields costs a copy of all that follows it, a string
may end behind the answer, and a list that must not be null is None. The same generator is used here, and what
it writes is completed with the checks it lacks.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from kafka.errors import CorrelationIdError, KafkaProtocolError
from kafka.protocol.frame import KafkaBytes
from kafka.protocol.metadata import ApiVersionsRequest, FindCoordinatorResponse
from kafka.protocol.schemas.fields.codecs import Bytes, String
from kafka.protocol.schemas.fields.codegen import CodegenContext

RECORDLESS_SHARE = 12
"""An answer may have this share of `receive_message_max_bytes`, not counting records: 8.3 MB by default.

Objects take much more memory than the bytes they are made of, records do not become any.
"""

_BYTES_PER_OBJECT = 40
"""The objects of an answer are limited to one for this many of the bytes that it may have."""

_HEADER_BYTES = 256
"""A header is a number and tagged fields, of which Kafka has none yet."""

_BITS_WEIGHT = 8
"""A set of bits takes as much memory as so many objects."""

_MOST_VARINT_SHIFT = 28

_NONSENSE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    struct.error,
)

_MAKES = re.compile(r"(\w+) = object\.__new__\((\w+)\)")
_SETS = re.compile(r"(\w+)\.(\w+) = (_val\d+)")
_COUNTS = re.compile(r"for (\w+) in range\((\w+)\):")
_SHIFTS = re.compile(r"(_sh\d+) \+= 7")
_TAGS = re.compile(r"(\w+) = _BytesIO\(bytes\(data\[pos:\]\)\)")


def decode(parser: Any, body: Any, most_bytes: int) -> tuple[int, Any]:
    """Takes the place of `KafkaProtocol._process_response`.

    Args:
        parser: Knows which answer is the next.
        body: The answer, header first, as a `KafkaBytes`.
        most_bytes: What it may have without records.

    Returns:
        Its correlation id, and the answer.

    Raises:
        KafkaProtocolError: It is none, or not the one that is due.
    """
    if not parser.in_flight_requests:
        raise CorrelationIdError("an answer came that nothing had been asked for")
    header = parser.in_flight_requests.popleft()
    kind = header.get_response_class()
    if kind is None:
        raise KafkaProtocolError(f"no answer is known to request {header.request_api_key}")
    try:
        head = KafkaBytes(0)
        head[:] = body[:_HEADER_BYTES]
        _check_id(kind, header, kind.parse_header(head).correlation_id)
        body.seek(head.tell())
        if not hasattr(kind, "_struct"):
            # One of SASL's early days, which is bytes and nothing else.
            return header.correlation_id, kind.decode(body)
        data = memoryview(body.read())
        # A broker that does not know the version of this request says so in the oldest one.
        old = header.request_api_key == ApiVersionsRequest.API_KEY and bytes(data[:2]) != bytes(2)
        read = _decoder(kind[None], 0 if old else header.request_api_version)
        return header.correlation_id, read(data, _spender(most_bytes // _BYTES_PER_OBJECT))
    # What an answer can provoke that is cut or makes no sense. No word of it gets into the error: it may hold
    # secrets, and be of any length.
    except _NONSENSE as error:
        name = getattr(kind, "__name__", "answer").partition("_")[0]
        known = isinstance(error, _LimitError)
        detail = str(error) if known else f"its bytes make no sense ({type(error).__name__})"
        raise KafkaProtocolError(f"cannot read a {name} of {len(body)} bytes: {detail}") from None


def _check_id(kind: Any, header: Any, found: int) -> None:
    # Kafka 0.8.2 answers the search for a coordinator with the id 0.
    quirk = found == 0 and header.request_api_version == 0 and kind is FindCoordinatorResponse[0]
    if found != header.correlation_id and not quirk:
        raise CorrelationIdError(f"answer {found} came to request {header.correlation_id}")


class _LimitError(ValueError):
    """An answer asks for more than it may."""


Spend = Callable[[int], None]
"""Counts objects."""


def _spender(most: int) -> Spend:
    left = most

    def spend(count: int) -> None:
        nonlocal left
        left -= count
        if left < 0:
            raise _LimitError(f"it is made of more than {most} parts; receive_message_max_bytes allows more")

    return spend


def _items(count: int, data: memoryview, pos: int) -> range:
    """What a list of `count` items is counted with; each takes a byte at least."""
    if count > len(data) - pos:
        raise _LimitError(f"it claims a list of {count} items in {max(len(data) - pos, 0)} bytes")
    return range(count)


def _endless() -> None:
    raise _LimitError("it holds a number of more than 32 bits")


class _Tail:
    """Reads tagged fields where they stand; takes the place of a copy of all that follows."""

    def __init__(self, data: memoryview, pos: int, spend: Spend) -> None:
        self._data = data
        self._start = self._pos = pos
        self._spend = spend

    def read(self, size: int) -> bytes:
        self._spend(1)
        piece = bytes(self._data[self._pos : self._pos + size])
        self._pos += size
        return piece

    def tell(self) -> int:
        return self._pos - self._start


class _Generator(CodegenContext):  # type: ignore[misc]  # kafka-python is untyped
    """kafka-python's generator of decoders, which checks what it reads."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self._version = version
        self._classes: dict[str, Any] = {}
        self.globs |= {"_items": _items, "_endless": _endless, "_Tail": _Tail}

    def emit(self, indent: str, line: str) -> None:
        """Writes a line of the decoder, and the checks that belong to it."""
        code = line.strip()
        deeper = indent + line[: len(line) - len(line.lstrip())]
        if found := _COUNTS.fullmatch(code):
            code = f"for {found[1]} in _items({found[2]}, data, pos):"
        elif found := _TAGS.fullmatch(code):
            code = f"{found[1]} = _Tail(data, pos, spend)"
        elif (found := _SETS.fullmatch(code)) and (empty := self._empty(found[1], found[2])):
            super().emit(deeper, f"if {found[3]} is None: {found[3]} = {empty}")
        super().emit(deeper, code)
        if found := _SHIFTS.fullmatch(code):
            super().emit(deeper, f"if {found[1]} > {_MOST_VARINT_SHIFT}: _endless()")
        elif found := _MAKES.fullmatch(code):
            self._classes[found[1]] = self.globs[found[2]]
            super().emit(deeper, "spend(1)")
        elif "_bitfield_from_32(" in code:
            super().emit(deeper, f"spend({_BITS_WEIGHT})")

    def _empty(self, holder: str, name: str) -> str | None:
        """What a field has in place of null, where null may not be; None where it may, or cannot be."""
        field = self._classes[holder]._struct.fields[name]
        if field.nullable_for_version_q(self._version):
            return None
        if field.is_array():
            return "[]"
        kind = getattr(field, "_type", None)
        if isinstance(kind, String):
            return "''"
        return "b''" if kind is Bytes else None


@cache
def _decoder(kind: Any, version: int) -> Callable[[memoryview, Spend], Any]:
    """The decoder of a kind of answer."""
    flexible = kind.flexible_version_q(version)
    generator = _Generator(version)
    generator.lines.append("def _decode(data, pos, spend):")
    fields = kind._struct
    # A message's own schema knows its class only by a weak reference.
    before = fields._data_class
    fields._data_class = kind
    try:
        fields.emit_decode_from(generator, "obj", "    ", version=version, compact=flexible, tagged=flexible)
    finally:
        fields._data_class = before
    generator.lines.append("    return obj, pos")
    exec(compile(generator.source(), f"<{kind.__name__}_v{version}>", "exec"), generator.globs)
    generated = generator.globs["_decode"]

    def read(data: memoryview, spend: Spend) -> Any:
        answer, end = generated(data, 0, spend)
        if end > len(data):
            raise _LimitError("it is cut short")
        return answer

    return read
