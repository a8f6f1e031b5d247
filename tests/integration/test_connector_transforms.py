"""`transforms` of a source and a sink of a file, seen on the other side."""

import json
import time

import pytest
from rivven_kafka._native import RivvenClient

from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import sink_file, source_file, wait_until
from tests.support.topics import Row, committed_offsets, create_topic, fill, read_topic

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)
STEPS = [
    {"type": "filter", "config": {"field": "data.region", "equals": "eu"}},
    {"type": "rename_field", "config": {"from": "data.cust", "to": "customer"}},
    {"type": "remove_field", "config": {"field": "data.card"}},
    {"type": "add_field", "config": {"field": "data.via", "value": {"hops": [1]}}},
]
VALUE = b'{"region": "%s", "cust": 2.50, "card": "4111", "n": %d}'
EDITED = b'{"region": "eu", "customer": 2.50, "n": %d,"via":{"hops":[1]}}'


def test_a_source_edits_what_it_publishes(kafka, rivven, topic_name):
    origin, copy = topic_name(), topic_name()
    create_topic(kafka.bootstrap, origin, 1)
    values = [VALUE % (b"eu" if n % 2 else b"us", n) for n in range(20)]
    fill(kafka.bootstrap, origin, {0: [Row(NOW, b"k", value, []) for value in values]})
    document = source_file(
        kafka.bootstrap,
        rivven.bootstrap,
        origin,
        copy,
        f"g-{origin}",
        value_format="raw",
        empty_poll_delay_ms=20,
    )
    document["sources"]["in"]["transforms"] = STEPS
    with Running(document) as running:
        wait_until(
            lambda: len(rivven_records(rivven.bootstrap, copy).get(0, [])) >= 10 or running.error is not None,
            30,
            running.describe,
        )
    assert running.error is None
    found = [json.loads(value) for _, value in rivven_records(rivven.bootstrap, copy)[0]]
    assert found == [json.loads(EDITED % n) for n in range(20) if n % 2]
    # What is filtered out is done with.
    assert committed_offsets(kafka.bootstrap, f"g-{origin}", origin) == {0: 20}


@pytest.mark.parametrize("transactional", [False, True])
def test_a_sink_edits_what_it_writes(kafka, rivven, topic_name, transactional):
    origin, target = topic_name(), topic_name()
    client = RivvenClient([rivven.bootstrap])
    client.create_topic(origin, 1)
    client.publish(origin, 0, [(b"k", VALUE % (b"eu" if n % 2 else b"us", n)) for n in range(19)])
    create_topic(kafka.bootstrap, target, 1)
    options = {"transactional_id": f"tx-{origin}"} if transactional else {}
    document = sink_file(kafka.bootstrap, rivven.bootstrap, origin, target, f"g-{origin}", **options)
    document["sinks"]["out"]["transforms"] = STEPS
    with Running(document) as running:
        wait_until(
            lambda: client.committed_offset(f"g-{origin}", origin, 0) == 19 or running.error is not None,
            30,
            running.describe,
        )
    client.close()
    assert running.error is None
    found = [json.loads(row.value) for row in read_topic(kafka.bootstrap, target)[0]]
    assert found == [json.loads(EDITED % n) for n in range(19) if n % 2]
