"""A source that is killed again and again loses nothing, reorders nothing and repeats little."""

import random

import pytest

from tests.support.connector import Connector, advance, source_file, wait_until
from tests.support.numbered import Arrivals, fill_kafka, rivven_ends, rivven_values
from tests.support.topics import committed_offsets

pytestmark = pytest.mark.faults

PARTITIONS = 8
COUNT = 4_000
KILLS = 10
BATCH = 25
COMMIT_INTERVAL_S = 0.1
# A commit starts when the loop comes round to it, and takes its way to Kafka and back on a busy machine.
COMMIT_DELAY_S = 0.3
# rivvend spends at least 1.5 ms on each record of a connection; there is one for each partition.
MOST_RECORDS_PER_S = PARTITIONS / 0.0015


@pytest.mark.symptom("After a crash.")
@pytest.mark.timeout(150)
def test_ten_kills_lose_nothing_and_repeat_what_was_not_committed(kafka, rivven, topic_name, tmp_path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    origin, copy = topic_name(), topic_name()
    fill_kafka(kafka.bootstrap, origin, PARTITIONS, COUNT)
    config = source_file(
        kafka.bootstrap,
        rivven.bootstrap,
        origin,
        copy,
        f"g-{origin}",
        auto_commit_interval_ms=int(COMMIT_INTERVAL_S * 1000),
        empty_poll_delay_ms=20,
        max_batch_records=BATCH,
        session_timeout_ms=2_000,
        heartbeat_interval_ms=300,
    )

    def published():
        return sum(rivven_ends(rivven, copy, PARTITIONS))

    def complete():
        # Not by reading the records again and again: that would use up rivvend's quota.
        return sum(committed_offsets(kafka.bootstrap, f"g-{origin}", origin).values()) == PARTITIONS * COUNT

    connector = Connector(tmp_path, config)
    for _ in range(KILLS):
        with connector:
            advance(published, chance.randrange(1, PARTITIONS * COUNT // 12), connector)
            assert connector.running, connector.log_tail()
    in_the_middle = Arrivals.of(rivven_values(rivven, copy, PARTITIONS), PARTITIONS, COUNT)
    assert in_the_middle.lost, "the kills fell before the end"

    with connector:
        wait_until(lambda: complete() or not connector.running, 60, connector.log_tail)
        assert connector.stop() == 0, connector.log_tail()
    arrivals = Arrivals.of(rivven_values(rivven, copy, PARTITIONS), PARTITIONS, COUNT)
    on_the_wire = PARTITIONS * BATCH
    uncommitted = int(MOST_RECORDS_PER_S * (COMMIT_INTERVAL_S + COMMIT_DELAY_S))
    arrivals.check(KILLS * (on_the_wire + uncommitted))
