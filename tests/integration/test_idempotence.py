"""What an idempotent producer does not save from."""

import pytest

from tests.integration.connector_kit import NOW
from tests.integration.crash_writes import PARTITIONS, arrivals, write_through_a_crash
from tests.support.topics import create_topic

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

DAY_MS = 86_400_000


def test_a_restarted_kafka_forgets_the_producers_of_old_records(proxied, topic_name):
    """A limit of Kafka: it takes a producer's age from the timestamps of its records.

    With timestamps older than `producer.id.expiration.ms` (a day) a restart forgets the sequence numbers, and
    what was stored and not acknowledged is stored again. When this fails, Kafka has become better.
    """
    name = topic_name()
    create_topic(proxied.bootstrap, name, PARTITIONS)
    write_through_a_crash(proxied, name, timestamp=NOW - 2 * DAY_MS)
    found = arrivals(proxied, name)
    # One batch of each partition at most.
    found.check(most_duplicates=PARTITIONS * 50)
    assert found.duplicates > 0
