"""Places as a user writes them."""

import pytest
from rivven_kafka.offsets import Place, parse_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("orders:3@1000", Place("orders", 3, offset=1000)),
        ("a.b_c-d:0@0", Place("a.b_c-d", 0, offset=0)),
        ("orders:3@ms:1790000000000", Place("orders", 3, time_ms=1_790_000_000_000)),
        ("orders:3@2026-11-26T10:00:00Z", Place("orders", 3, time_ms=1_795_687_200_000)),
        ("orders:3@2026-11-26T12:00:00.5+02:00", Place("orders", 3, time_ms=1_795_687_200_500)),
    ],
)
def test_places(text, place):
    assert parse_place(text) == place
    assert parse_place(str(place)) == place


@pytest.mark.parametrize(
    "text",
    [
        "orders",
        "orders:3",
        "orders@5",
        "orders:x@5",
        "orders:3@",
        "orders:-1@5",
        "orders:3@-5",
        "orders:3@ms:",
        "orders:3@ms:x",
        "orders:3@2026-11-26T10:00:00",
        "orders:3@10000000000000000000",
        "orders:3@\n5",
        "or ders:3@5",
        "orders:٣@5",
    ],
)
def test_what_is_none(text):
    with pytest.raises(ValueError, match="got .*expected"):
        parse_place(text)
