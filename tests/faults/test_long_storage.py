"""A Kafka that says that its disk fails, at instants that a seed decides."""

import pytest

from tests.support.kafka_tap import ApiKey, KafkaTap
from tests.support.scenario import COMBINATIONS, ON_THE_WIRE

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(400)]

KAFKA_STORAGE_ERROR = 56
"""Source: the error codes of the Kafka protocol guide."""


@pytest.mark.parametrize(("direction", "guarantee"), [each for each in COMBINATIONS if each[0] == "sink"])
def test_kafka_says_twice_that_its_disk_fails(kafka, rivven, new_flow, direction, guarantee):
    flow = new_flow(
        direction,
        guarantee,
        kafka,
        rivven,
        what="Kafka says that its disk fails, 2x",
        kafka_address=kafka.tap.address,
    )
    connector = flow.connector()
    flow.start(connector)
    refuse = KafkaTap.produce_error(KAFKA_STORAGE_ERROR)
    for _ in range(2):
        flow.advance(flow.chance.randrange(1, 2_000))
        # What is refused may be stored all the same, at every attempt.
        with (
            flow.fault("storage error", held=20 * ON_THE_WIRE),
            kafka.tap.fault(ApiKey.Produce, refuse) as fault,
        ):
            flow.watch(2)
        assert fault.hits
        flow.recover()
        assert connector.running, connector.log_tail()
    flow.finish(connector).check()
