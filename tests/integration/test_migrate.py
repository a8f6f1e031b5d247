"""`rivven-kafka migrate`: copies up to a snapshot, reports, and goes on where it was."""

import json
import threading
import time

import pytest

from tests.integration.connector_kit import QUICK, filled, rows_of
from tests.integration.pipelines import rivven_records
from tests.integration.test_cli_commands import command
from tests.support.connector import wait_until
from tests.support.topics import TopicWriter, committed_offsets, create_topic

pytestmark = pytest.mark.integration

FAST = {**QUICK, "session_timeout_ms": 3000, "delivery_guarantee": "exactly_once"}


def offsets_in(rivven, topic):
    """The Kafka offsets of what a Rivven topic holds, by partition."""
    return {
        partition: [int(json.loads(value)["metadata"]["position"].rpartition(":")[2]) for _, value in records]
        for partition, records in rivven_records(rivven.bootstrap, topic).items()
    }


def progress_of(err):
    """The JSON lines on standard error."""
    return [json.loads(line) for line in err.splitlines() if line.startswith("{")]


def test_topics_by_pattern_are_copied_up_to_the_snapshot(kafka, rivven, topic_name, tmp_path):
    base = topic_name()
    orders = filled(kafka, f"{base}.orders", 120, 0)
    create_topic(kafka.bootstrap, f"{base}.pay.in", 1, **{"cleanup.policy": "compact"})
    with TopicWriter(kafka.bootstrap, f"{base}.pay.in", 1) as writer:
        writer.write(0, rows_of(0, range(30)))
    filled(kafka, f"{base}.other", 5)
    written, over = [0], threading.Event()

    def write_on():
        with TopicWriter(kafka.bootstrap, orders, 2) as writer:
            while not over.is_set():
                writer.write(1, rows_of(1, range(written[0], written[0] + 20)))
                writer.flush()
                written[0] += 20
                time.sleep(0.01)

    producer = threading.Thread(target=write_on)
    producer.start()
    try:
        wait_until(lambda: written[0] >= 40, 30)
        code, out, err = command(
            "migrate",
            *("--brokers", kafka.bootstrap, "--rivven", rivven.bootstrap),
            *("--topics", rf"{orders},{base}\.pay\..*", "--to", "mirror.{topic}", "--group", base),
            *("--report", tmp_path / "reports", "--format", "json", "--no-verify"),
        )
    finally:
        over.set()
        producer.join()
    assert code == 0, err
    [report] = json.loads(out)
    assert report == json.loads((tmp_path / "reports" / "migration-kafka.json").read_text())
    assert (report["outcome"], report["processes"], report["error"]) == ("copied", 1, None)
    topics = {topic["topic"]: topic for topic in report["topics"]}
    assert sorted(topics) == [orders, f"{base}.pay.in"]
    assert topics[f"{base}.pay.in"]["configs"]["cleanup.policy"] == "compact"
    ends = [each["end"] for each in topics[orders]["partitions"]]
    assert ends[0] == 120
    assert 40 <= ends[1] < written[0], "the producer was at work all the time"
    assert offsets_in(rivven, f"mirror.{orders}") == {0: list(range(120)), 1: list(range(ends[1]))}
    assert offsets_in(rivven, f"mirror.{base}.pay.in") == {0: list(range(30))}
    assert committed_offsets(kafka.bootstrap, base, orders) == {0: 120, 1: ends[1]}
    assert [each["records"] for each in topics[orders]["partitions"]] == [120, ends[1]]
    events = progress_of(err)
    assert "copy" in {each["event"] for each in events}
    page = (tmp_path / "reports" / "migration-kafka.html").read_text()
    assert f"mirror.{orders}" in page
    assert "cleanup.policy=compact" in page
