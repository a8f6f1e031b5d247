"""A <-> B, written to on both sides, while the connectors between them are killed."""

import random
import time
from collections import Counter

import pytest

from tests.support.connector import Connector, wait_until
from tests.support.two_way import (
    ToKafka,
    ToRivven,
    create_both,
    file_of,
    in_kafka,
    in_rivven,
    moves,
    sink_entry,
    source_entry,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

PARTITIONS = 2
SESSIONS = {"session_timeout_ms": 2_000, "heartbeat_interval_ms": 300}


@pytest.mark.parametrize(
    ("seconds", "kills"), [(4, 2), pytest.param(60, 8, marks=pytest.mark.long)], ids=["short", "minute"]
)
def test_each_side_gets_each_record_once_whatever_is_killed(
    kafka, rivven, topic_name, tmp_path, seconds, kills
):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    topic = topic_name()
    create_both(kafka.bootstrap, rivven.bootstrap, topic, PARTITIONS)
    source = source_entry(
        kafka.bootstrap,
        topic,
        topic,
        f"g-{topic}",
        delivery_guarantee="exactly_once",
        isolation_level="read_committed",
        **SESSIONS,
    )
    sink = sink_entry(kafka.bootstrap, topic, topic, f"g-{topic}", transactional_id=topic, **SESSIONS)
    connector = Connector(
        tmp_path, file_of(rivven.bootstrap, sources={"in": source}, sinks={"out": sink}), "both"
    )
    here = ToKafka(kafka.bootstrap, topic, "kafka", PARTITIONS, 0.1)
    there = ToRivven(rivven.bootstrap, topic, "rivven", PARTITIONS, 0.1)
    with connector:
        here.start()
        there.start()
        for _ in range(kills):
            time.sleep(chance.uniform(0.5, 1.5) * seconds / kills)
            assert connector.running, connector.log_tail()
            connector.kill()
            connector.start()
        made_here, made_there = here.finish(), there.finish()
        once = Counter(made_here | made_there)
        wait_until(lambda: in_kafka(kafka.bootstrap, topic) >= once, 60, connector.log_tail)
        wait_until(lambda: in_rivven(rivven, topic, PARTITIONS) >= once, 60, connector.log_tail)
        # Both go on to the ends of their logs, past what the other one has written.
        time.sleep(1.0)
        assert moves(kafka.bootstrap, rivven, topic, PARTITIONS, 2.0) == 0
        assert connector.stop() == 0, connector.log_tail()
    print(f"{len(made_here)} records made in Kafka, {len(made_there)} in Rivven, {kills} kills")
    assert in_kafka(kafka.bootstrap, topic) == once
    assert in_rivven(rivven, topic, PARTITIONS) == once
