"""A Rivven that lies: the process neither ends, hangs nor swells, says what was wrong, and goes on when it may."""

import time

import pytest

from tests.support import hostile
from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.numbered import Arrivals, fill_kafka, fill_rivven, kafka_values, rivven_values
from tests.support.rivven_tap import RivvenApi
from tests.support.topics import committed_offsets, create_topic, end_offsets

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

GROWTH = 256 * hostile.MIB
COUNT = 50
TIMEOUT_MS = 1_500
ANSWERS = {
    "a vast length": (hostile.length(2**31 - 1), "response of 2147483647 bytes, above 10 MiB"),
    "an error of 100 MB": (hostile.length(100_000_000), "response of 100000000 bytes, above 10 MiB"),
    "half an answer": (hostile.cut, ""),
    "a byte per second": (hostile.trickle, ""),
    "garbage": (hostile.garbage, "above 10 MiB"),
    "another id": (hostile.other_id(1), "answer 2130706439 to request"),
    "countless messages": (hostile.countless_messages, "cannot be decoded"),
    "another kind": (hostile.other_kind, "unexpected"),
    "an unknown kind": (hostile.unknown_kind, "the response cannot be decoded"),
    "an error of 9 MB": (hostile.error_text(9_000_000), "a response without messages has"),
    "an error of 2 MB": (hostile.error_text(2_000_000), "(2000000 bytes)"),
}


def quick(document):
    document["broker"]["request_timeout_ms"] = TIMEOUT_MS
    return document


def endure(connector, tap, api, lie, said, arrived):
    """Starts the connector before a lie, and lets it go on behind it; returns its log."""
    with tap.fault(api, lie, 1) as fault, connector:
        wait_until(lambda: connector.pid > 0, 5)
        with hostile.Peak(connector) as peak:
            wait_until(lambda: fault.hits, 20, connector.log_tail)
            begin = time.monotonic()
            wait_until(lambda: said in connector.log(), 15, connector.log_tail)
            wait_until(arrived, 20, connector.log_tail)
        print(f"{peak.most >> 20} MiB at most, {time.monotonic() - begin:.1f} s")
        assert connector.running
        # From the start of the interpreter on: about 100 MiB are the process itself.
        assert peak.growth < GROWTH
        assert connector.stop() == 0
    return connector.log()


@pytest.mark.parametrize("lie", ANSWERS)
def test_an_answer_to_a_read(kafka, rivven, rivven_tap, topic_name, tmp_path, lie):
    action, said = ANSWERS[lie]
    topic = topic_name()
    fill_rivven(rivven.bootstrap, topic, 1, COUNT)
    create_topic(kafka.bootstrap, topic, 1)
    document = quick(sink_file(kafka.bootstrap, rivven_tap.address, topic, topic, f"g-{topic}"))
    log = endure(
        Connector(tmp_path, document),
        rivven_tap,
        RivvenApi.CONSUME,
        action,
        said,
        lambda: end_offsets(kafka.bootstrap, topic)[0] >= COUNT,
    )
    Arrivals.of(kafka_values(kafka.bootstrap, topic), 1, COUNT).check(COUNT)
    assert len(log) < 20_000, "neither the bytes nor the errors fill the log"
    assert "\x1b" not in log
    assert not [line for line in log.splitlines() if line.endswith("INFO forged")]


@pytest.mark.parametrize("lie", ["garbage", "another kind", "a byte per second"])
def test_an_answer_to_a_publish(kafka, rivven, rivven_tap, topic_name, tmp_path, lie):
    action, _ = ANSWERS[lie]
    topic = topic_name()
    fill_kafka(kafka.bootstrap, topic, 1, COUNT)
    group = f"g-{topic}"
    options = {"session_timeout_ms": 6_000, "auto_commit_interval_ms": 200}
    document = source_file(kafka.bootstrap, rivven_tap.address, topic, topic, group, **options)

    def arrived():
        """The records are there as soon as the lie is told: what was committed has been acknowledged."""
        return committed_offsets(kafka.bootstrap, group, topic)[0] >= COUNT

    endure(Connector(tmp_path, quick(document)), rivven_tap, RivvenApi.PUBLISH_BATCH, action, "", arrived)
    Arrivals.of(rivven_values(rivven, topic, 1), 1, COUNT).check(10 * COUNT)
