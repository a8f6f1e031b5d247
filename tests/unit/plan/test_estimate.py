"""How long a copy is expected to take: within what was measured of rivvend, and bound by what bounds it."""

import pytest
from rivven_kafka.config import SourceEntry
from rivven_kafka.plan.estimate import Load, Measured, estimate
from rivven_kafka.plan.probe import steady_rate


def entry(events_per_second=0, **config):
    options = {"brokers": "kafka1:9092", "topic": "orders", **config}
    limit = {"events_per_second": events_per_second}
    return SourceEntry(connector="kafka", topic="orders", config=options, rate_limit=limit)


def load(*partitions, to=None, keys=None, size=300.0):
    return Load(partitions, to or len(partitions), keys, size)


@pytest.mark.parametrize(
    ("partitions", "config", "connections", "measured"),
    [
        # docs/performance.md, Kafka -> rivvend.
        (1, {}, 1, (574, 578)),
        (4, {}, 4, (2_235, 2_327)),
        (16, {}, 16, (7_568, 7_715)),
        (64, {}, 64, (18_608, 19_304)),
        (1, {"ordering": "key"}, 64, (10_234, 10_329)),
        (4, {"ordering": "key"}, 64, (11_723, 12_273)),
        (4, {"ordering": "key", "connections": 96}, 96, (12_817, 13_380)),
        (16, {"ordering": "key", "connections": 96}, 96, (16_502, 18_804)),
    ],
)
def test_what_was_measured_lies_in_the_range(partitions, config, connections, measured):
    found = estimate(entry(**config), [load(*[1000.0] * partitions)], Measured())
    assert found.connections == connections
    slow, fast = found.records_per_second
    assert slow <= measured[0] <= measured[1] <= fast
    assert fast < 3 * slow, "a range that says nothing is no estimate"
    assert found.seconds == pytest.approx((found.records / fast, found.records / slow), rel=0.1)


def test_the_busiest_partition_takes_its_time():
    even, uneven = load(*[1000.0] * 4), load(3970.0, 10.0, 10.0, 10.0)
    short, long = (estimate(entry(), [each], Measured()) for each in (even, uneven))
    assert long.records == short.records == 4000
    assert long.seconds[0] > 3 * short.seconds[0]
    assert long.bound_by.startswith("the busiest partition")
    empty = estimate(entry(), [load(100.0, 0.0, 0.0)], Measured())
    assert empty.connections == 1, "an empty partition needs no connection"


def test_few_keys_keep_few_connections_busy():
    def connections(keys):
        return estimate(entry(ordering="key"), [load(100.0, 100.0, keys=keys)], Measured()).connections

    assert [connections(keys) for keys in (2, 10, None, 4096)] == [2, 10, 64, 64]


def test_several_topics_share_the_connections():
    loads = [load(*[100.0] * 60), load(*[100.0] * 60)]
    assert estimate(entry(), loads, Measured()).connections == 64
    assert estimate(entry(connections=100), loads, Measured()).connections == 100
    # Partitions of the same number of two Kafka topics meet in one of Rivven.
    assert estimate(entry(), [load(*[100.0] * 8, to=4)], Measured()).connections == 4
    assert estimate(entry(partitioning="key"), [load(100.0, to=12)], Measured()).connections == 12


def test_what_is_slower_than_rivvend_bounds_the_rate():
    many = [load(*[1000.0] * 64)]
    for source, measured, most, text in (
        (entry(), Measured(kafka_per_second=700.0), 700, "reading from Kafka"),
        (entry(events_per_second=50), Measured(), 50, "rate_limit"),
        (entry(), Measured(published_per_second=100.0), 130, "64 connections"),
    ):
        found = estimate(source, many, measured)
        assert found.records_per_second[1] == pytest.approx(most)
        assert text in found.bound_by
    found = estimate(entry(), [load(*[1000.0] * 64, size=100_000.0)], Measured())
    assert found.records_per_second[1] <= 525
    assert found.rivven_bytes == 64_000 * 100_000


def test_a_distant_rivven_costs_its_round_trips():
    near, far = (estimate(entry(), [load(1000.0)], Measured(round_trip_ms=ms)) for ms in (0.0, 400.0))
    # 200 records in a request: 2 ms each.
    assert far.seconds[0] - near.seconds[0] == pytest.approx(2.0, rel=0.05)


def test_whether_it_keeps_up():
    def keeps_up(incoming):
        return estimate(entry(), [load(1000.0)], Measured(incoming_per_second=incoming)).keeps_up

    assert [keeps_up(incoming) for incoming in (0.0, 100.0, 5000.0)] == [None, True, False]


def test_nothing_to_copy_takes_no_time():
    found = estimate(entry(), [load(0.0, 0.0, size=0.0)], Measured())
    assert (found.records, found.seconds, found.rivven_bytes) == (0, (0.0, 0.0), 0)


def test_a_probe_is_measured_in_its_steady_part():
    # Half a second to connect, then 1,000 records/s.
    seen = [(0.1 * step, max(0, 100 * (step - 5))) for step in range(26)]
    assert steady_rate(seen) == pytest.approx(1000)
    assert steady_rate([(0.0, 0), (1.0, 0)]) is None
    assert steady_rate([(0.0, 0), (0.5, 100)]) == 200, "all at once"
