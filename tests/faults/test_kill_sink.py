"""A sink that is killed again and again loses nothing, reorders nothing and repeats little."""

import random

import pytest

from tests.support.connector import Connector, advance, sink_file, wait_until
from tests.support.numbered import Arrivals, fill_rivven, kafka_values
from tests.support.topics import create_topic, end_offsets

pytestmark = pytest.mark.faults

PARTITIONS = 8
COUNT = 2_000
KILLS = 10
# One record to a batch: slow enough for the kills to fall in the middle.
BATCH_BYTES = 1
COMMIT_INTERVAL_S = 0.1
# A commit starts when the loop comes round to it, and takes its way to Rivven and its disk.
COMMIT_DELAY_S = 0.2
# What the sender of kafka-python can do with single records, and more.
MOST_RECORDS_PER_S = 4_000


@pytest.mark.timeout(150)
def test_ten_kills_lose_nothing_and_repeat_what_was_not_committed(kafka, rivven, topic_name, tmp_path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    origin, copy = topic_name(), topic_name()
    create_topic(kafka.bootstrap, copy, PARTITIONS)
    fill_rivven(rivven.bootstrap, origin, PARTITIONS, COUNT)
    config = sink_file(
        kafka.bootstrap,
        rivven.bootstrap,
        origin,
        copy,
        f"g-{origin}",
        batch_size_bytes=BATCH_BYTES,
        commit_interval_ms=int(COMMIT_INTERVAL_S * 1000),
        session_timeout_ms=1_500,
        heartbeat_interval_ms=100,
    )

    def written():
        return sum(end_offsets(kafka.bootstrap, copy).values())

    def complete():
        values = written() >= PARTITIONS * COUNT and kafka_values(kafka.bootstrap, copy)
        return values and not Arrivals.of(values, PARTITIONS, COUNT).lost

    connector = Connector(tmp_path, config)
    for _ in range(KILLS):
        with connector:
            advance(written, chance.randrange(1, PARTITIONS * COUNT // 12), connector)
            assert connector.running, connector.log_tail()
    in_the_middle = Arrivals.of(kafka_values(kafka.bootstrap, copy), PARTITIONS, COUNT)
    assert in_the_middle.lost, "the kills fell before the end"

    with connector:
        wait_until(lambda: complete() or not connector.running, 60, connector.log_tail)
        assert connector.stop() == 0, connector.log_tail()
    arrivals = Arrivals.of(kafka_values(kafka.bootstrap, copy), PARTITIONS, COUNT)
    on_the_wire = PARTITIONS  # one batch for each partition
    uncommitted = int(MOST_RECORDS_PER_S * (COMMIT_INTERVAL_S + COMMIT_DELAY_S))
    arrivals.check(KILLS * (on_the_wire + uncommitted))
