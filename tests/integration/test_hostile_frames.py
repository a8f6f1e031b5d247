"""A Kafka that lies in its frames and its metadata: a source that goes on meanwhile says what was wrong.

One source meets them all, so nothing else may be connected through the tap.
"""

import time

import pytest

from tests.support import hostile
from tests.support.hostile_journey import Journey
from tests.support.kafka_tap import ApiKey

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

FRAMES = {
    "a vast length": (hostile.length(2**31 - 1), "a frame length of 2147483647 bytes"),
    "a negative length": (hostile.length(-5), "a frame length of -5 bytes"),
    "half an answer": (hostile.cut, "timed out"),
    "a byte per second": (hostile.trickle, "timed out"),
    "garbage": (hostile.garbage, "Connection lost: "),
    "another id": (hostile.other_id(0), "answer 2130706439 came to request"),
}
METADATA = {
    "countless brokers": (hostile.countless_brokers, "it claims a list of 2147483647 items in 0 bytes"),
    "many brokers": (hostile.many_brokers, "it is made of more than"),
    "many tagged fields": (hostile.many_tags, "it is made of more than"),
    "an endless number": (hostile.endless_number, "it holds a number of more than 32 bits"),
    "too many bytes": (hostile.oversized, "an answer without records of "),
    "a text beyond the end": (hostile.broken_text, "its bytes make no sense"),
}


@pytest.fixture(scope="module")
def steady(kafka, rivven, tmp_path_factory):
    """One source for all lies that end a connection and no more."""
    made = Journey(kafka, rivven, f"hostile-{time.time_ns()}", tmp_path_factory.mktemp("steady"))
    with made.connector:
        made.write()
        made.arrive()
        yield made
        made.check()
        assert "restart in" not in made.connector.log()
        assert made.connector.stop() == 0


@pytest.mark.parametrize("lie", FRAMES)
def test_a_frame_that_is_none(steady, lie):
    action, said = FRAMES[lie]
    log = steady.endure(ApiKey.Fetch, action, said)
    assert len(log) < 20_000, "neither the bytes nor the errors fill the log"


@pytest.mark.parametrize("lie", METADATA)
def test_metadata_that_make_no_sense(steady, lie):
    action, said = METADATA[lie]
    log = steady.endure(ApiKey.Metadata, action, said, times=2)
    assert len(log) < 20_000, "neither the bytes nor the errors fill the log"


def test_metadata_that_lead_nowhere(steady):
    """Hundreds of brokers that are none take the place of the one that is; the first addresses lead back to it."""
    log = steady.endure(ApiKey.Metadata, hostile.ever_new_brokers(), "asks the bootstrap servers again")
    assert log.count("asks the bootstrap servers again") < 5
    assert len(log) < 20_000
