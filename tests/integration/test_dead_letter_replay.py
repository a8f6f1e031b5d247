"""`rivven-kafka dlq` on real brokers: letters are listed, and their records sent again once the cause is gone."""

import base64
import json
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import parse_connect
from rivven_kafka.errors import DeliveryError
from rivven_kafka.pipeline.dead_letter_replay import DeadLetterReplay, Selection, replay_group
from rivven_kafka.pipeline.letter import envelope
from rivven_kafka.pipeline.resend import SinkResend, SourceResend

from tests.integration.pipelines import Running, rivven_records
from tests.integration.test_records_too_large import set_limit
from tests.support.connector import sink_file, source_file, wait_until
from tests.support.topics import Row, create_topic, fill, read_topic

pytestmark = pytest.mark.integration

NOW = int(time.time() * 1000)
VALUES = [b"%d " % i + (b"\xff\x00" * 3_000 if i % 4 == 1 else b"") for i in range(12)]
HUGE = [i for i in range(12) if i % 4 == 1]


def dlq(tmp_path, document, *arguments, fails=False):
    """Runs the command; returns its exit code and what it found."""
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [sys.executable, "-m", "rivven_kafka.cli", "dlq", *arguments, "-c", str(path), "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, 3) or fails, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def results(report):
    return [(letter["position"], letter["status"], letter["retry_count"]) for letter in report["letters"]]


def send_bad_ones(document, delivered, client, topic, letters):
    """Runs a connector until its letters are written."""
    with Running(document) as running:
        wait_until(
            lambda: (
                running.error is not None
                or (
                    running.pipeline.delivered() >= delivered
                    and client.partition_count(topic) is not None
                    and client.offset_bounds(topic, 0)[1] == letters
                )
            ),
            30,
            running.describe,
        )
    assert running.error is None


class SinkLane:
    """A sink whose Kafka topic takes only small records, and its letters."""

    def __init__(self, kafka, rivven, topic_name, **config):
        self.kafka, self.rivven = kafka, rivven
        self.origin, self.copy, self.dlq = topic_name(), topic_name(), topic_name()
        self.client = RivvenClient([rivven.bootstrap])
        self.client.create_topic(self.origin, 2)
        self.client.publish(self.origin, 1, [(b"k%d" % i, value) for i, value in enumerate(VALUES)])
        create_topic(kafka.bootstrap, self.copy, 2, **{"max.message.bytes": 2_000})
        self.document = sink_file(
            kafka.bootstrap, rivven.bootstrap, self.origin, self.copy, f"g-{self.origin}", **config
        )
        self.document["sinks"]["out"]["dead_letter_topic"] = self.dlq
        good = len(VALUES) - len(HUGE)
        send_bad_ones(self.document, good, self.client, self.dlq, len(HUGE))

    def position(self, number):
        return f"{self.origin}:1:{number}"

    def rows(self):
        return read_topic(self.kafka.bootstrap, self.copy, "read_committed")

    def copied(self):
        return [(row.key, row.value) for row in self.rows()[1]]

    def letters(self):
        return self.client.offset_bounds(self.dlq, 0)[1]

    def progress(self):
        return self.client.committed_offset(replay_group("out"), self.dlq, 0)


@pytest.mark.parametrize("transactional", [False, True])
def test_a_sink(kafka, rivven, topic_name, tmp_path, transactional):
    name = topic_name()
    options = {"transactional_id": f"tx-{name}"} if transactional else {}
    lane = SinkLane(kafka, rivven, topic_name, **options)
    found = [(lane.position(i), "found", 0) for i in HUGE]
    good = [(b"k%d" % i, value) for i, value in enumerate(VALUES) if i not in HUGE]

    # Neither writes anything.
    for action in (["list"], ["replay", "--dry-run"]):
        code, report = dlq(tmp_path, lane.document, *action, "--sink", "out")
        assert (code, results(report)) == (0, found)
        assert "does not take a record of 6" in report["letters"][0]["reason"]
    assert (lane.letters(), lane.progress(), lane.copied()) == (3, None, good)

    # The cause is still there: the records keep their letters, one more each, and this run ends.
    code, report = dlq(tmp_path, lane.document, "replay", "--sink", "out")
    assert (code, results(report)) == (3, [(lane.position(i), "failed", 0) for i in HUGE])
    assert (report["failed"], report["sent"]) == (3, 0)
    assert (lane.letters(), lane.progress(), lane.copied()) == (6, 3, good)

    # It is gone.
    set_limit(kafka.bootstrap, lane.copy, 1_000_000)
    code, report = dlq(tmp_path, lane.document, "replay", "--sink", "out", "--limit", "1")
    assert (code, results(report)) == (0, [(lane.position(HUGE[0]), "sent", 1)])
    # Another group of letters, and the sink itself, may go on meanwhile.
    lane.client.publish(lane.dlq, 0, [(None, b"no letter")])
    code, report = dlq(tmp_path, lane.document, "replay", "--sink", "out")
    assert (code, results(report)) == (0, [(lane.position(i), "sent", 1) for i in HUGE[1:]])
    assert report["unreadable"] == 1
    assert lane.copied() == good + [(b"k%d" % i, VALUES[i]) for i in HUGE]
    headers = [row.headers for row in lane.rows()[1] if row.key == b"k5"]
    assert ("rivven_position", lane.position(5).encode()) in headers[0]

    # Once.
    code, report = dlq(tmp_path, lane.document, "replay", "--sink", "out")
    assert (code, report["letters"], lane.letters()) == (0, [], 7)
    assert len(lane.copied()) == len(VALUES)
    assert dlq(tmp_path, lane.document, "list", "--sink", "out", "--from-start")[1]["found"] == 6
    code, report = dlq(tmp_path, lane.document, "replay", "--sink", "out", "--from-start", "--limit", "1")
    assert (code, report["sent"], len(lane.copied())) == (0, 1, len(VALUES) + 1)
    # The progress did not go back with it.
    assert lane.progress() == 7
    # The sink works as before, also with its transactions.
    lane.client.publish(lane.origin, 1, [(b"after", b"after")])
    with Running(lane.document) as running:
        wait_until(lambda: running.pipeline.delivered() == 1, 30, running.describe)
    assert running.error is None
    lane.client.close()


def test_a_source(kafka, rivven, topic_name, tmp_path):
    origin, copy, letters = topic_name(), topic_name(), topic_name()
    create_topic(kafka.bootstrap, origin, 3)
    rows = [
        Row(NOW + i, b"k%d" % i, None if i % 4 == 1 else b"%d" % i, [("h", b"\xff"), ("n", None)])
        for i in range(12)
    ]
    fill(kafka.bootstrap, origin, {0: [], 1: [], 2: rows})
    options = {"on_tombstone": "fail", "value_format": "raw", "empty_poll_delay_ms": 20}
    document = source_file(kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}", **options)
    document["sources"]["in"]["dead_letter_topic"] = letters
    client = RivvenClient([rivven.bootstrap])
    send_bad_ones(document, 9, client, letters, 3)
    code, report = dlq(tmp_path, document, "replay", "--source", "in")
    assert (code, report["failed"]) == (3, 3)
    assert "tombstone" in report["letters"][0]["reason"]

    # What was raw becomes events: nothing of the records was lost on the way.
    document["sources"]["in"]["config"]["value_format"] = "event"
    del document["sources"]["in"]["config"]["on_tombstone"]
    code, report = dlq(tmp_path, document, "replay", "--source", "in")
    assert (code, results(report)) == (0, [(f"{origin}:2:{i}", "sent", 1) for i in (1, 5, 9)])
    found = rivven_records(rivven.bootstrap, copy)
    assert (len(found[0]), len(found[1]), len(found[2])) == (0, 0, 12)
    again = found[2][9:]
    assert [key for key, _ in again] == [b"k1", b"k5", b"k9"]
    event = json.loads(again[1][1])
    assert event["data"] is None
    assert event["metadata"]["position"] == f"{origin}:2:5"
    assert event["metadata"]["kafka_timestamp"] == NOW + 5

    # And to the byte, back in Kafka.
    target = topic_name()
    create_topic(kafka.bootstrap, target, 3)
    back = sink_file(
        kafka.bootstrap, rivven.bootstrap, copy, target, f"g-{copy}", value_format="event", on_error="skip",
        include_headers=False,
    )  # fmt: skip
    with Running(back) as running:
        wait_until(lambda: running.pipeline.delivered() >= 3, 30, running.describe)
    restored = [row for row in read_topic(kafka.bootstrap, target)[2] if row.value is None]
    assert restored == [row for row in rows if row.value is None]
    code, report = dlq(tmp_path, document, "replay", "--source", "in")
    assert (code, report["letters"]) == (0, [])
    client.close()


def test_only_the_letters_of_one_connector_since_a_time(kafka, rivven, topic_name, tmp_path):
    copy, letters = topic_name(), topic_name()
    client = RivvenClient([rivven.bootstrap])
    client.create_topic(copy, 1)
    client.create_topic(letters, 1)
    document = source_file(kafka.bootstrap, rivven.bootstrap, "t", copy, "g")
    document["sources"]["in"]["dead_letter_topic"] = letters
    hour = datetime.now(UTC) - timedelta(hours=1)

    def letter(payload, written, connector="in"):
        # As rivven-connect writes them: they hold what was to be published, and no more.
        return None, json.dumps(
            {
                "original_topic": copy,
                "connector_name": connector,
                "payload_b64": payload and base64.b64encode(payload).decode(),
                "error": "Failed to publish",
                "retry_count": 0,
                "timestamp": written.isoformat(),
            }
        ).encode()

    new = hour + timedelta(minutes=30)
    client.publish(
        letters,
        0,
        [letter(b"old", hour), letter(b"other", new, "out"), letter(b"new", new), letter(None, new)],
    )
    since = (hour + timedelta(minutes=1)).isoformat()
    code, report = dlq(tmp_path, document, "list", "--source", "in", "--since", since)
    assert (code, report["found"], report["too_old"], report["of_others"]) == (0, 2, 1, 1)
    code, report = dlq(tmp_path, document, "replay", "--source", "in", "--since", since)
    assert (code, report["sent"], report["failed"]) == (3, 1, 1)
    assert report["letters"][0]["notes"] == ["the letter has no key, headers, timestamp, position"]
    assert rivven_records(rivven.bootstrap, copy)[0] == [(None, b"new")]
    assert (report["too_old"], report["not_noted"]) == (1, 2)
    # The old one is not forgotten, so what lies behind it is not noted either.
    assert client.committed_offset(replay_group("in"), letters, 0) in (None, 0)
    code, report = dlq(tmp_path, document, "list", "--source", "in")
    assert [each["retry_count"] for each in report["letters"]] == [0, 0, 0, 1]
    code, report = dlq(tmp_path, document, "replay", "--source", "in", "--limit", "1")
    assert (report["sent"], report["not_noted"]) == (1, 0)
    assert rivven_records(rivven.bootstrap, copy)[0][-1] == (None, b"old")
    # What was passed over was dealt with before: it holds nothing back.
    code, report = dlq(
        tmp_path, document, "replay", "--source", "in", "--since", since, "--from-start", "--limit", "1"
    )
    assert (report["sent"], report["too_old"], report["not_noted"]) == (1, 1, 0)
    assert client.committed_offset(replay_group("in"), letters, 0) == 3
    client.close()


class Overtaken:
    """Sends letters while another replay sends all of them."""

    def __init__(self, resend, other):
        self._resend = resend
        self._other = other

    def send(self, letters):
        failed = self._resend.send(letters)
        self._other()
        return failed


def test_two_replays_at_a_time(kafka, rivven, topic_name):
    lane = SinkLane(kafka, rivven, topic_name)
    set_limit(kafka.bootstrap, lane.copy, 1_000_000)
    entry = parse_connect(lane.document).sinks["out"]
    with (
        closing(RivvenClient([rivven.bootstrap])) as client,
        closing(SinkResend("out", entry)) as resend,
        closing(SinkResend("out", entry)) as other,
    ):
        replay = DeadLetterReplay(client, lane.dlq, "out")
        overtaken = Overtaken(resend, lambda: replay.run(Selection(), other))
        told = "another replay sends these letters: the progress is at offset 3, not at the start any more"
        with pytest.raises(DeliveryError, match=told):
            replay.run(Selection(limit=1), overtaken)
        # Nothing that the other one has noted is taken back.
        assert lane.progress() == 3
        assert replay.run(Selection(), resend).outcomes == []
    lane.client.close()


def test_what_was_not_committed_is_sent_again(kafka, rivven, topic_name, monkeypatch):
    lane = SinkLane(kafka, rivven, topic_name)
    set_limit(kafka.bootstrap, lane.copy, 1_000_000)
    entry = parse_connect(lane.document).sinks["out"]
    with closing(RivvenClient([rivven.bootstrap])) as client:
        replay = DeadLetterReplay(client, lane.dlq, "out")
        resend = SinkResend("out", entry)
        with monkeypatch.context() as patch:
            # Kafka goes away in the middle.
            patch.setattr(resend._producer, "flush", lambda timeout_s: False)
            with pytest.raises(Exception, match="Kafka has not acknowledged"):
                replay.run(Selection(), resend)
        assert lane.progress() is None
        resend.close()
        resend = SinkResend("out", entry)
        assert [outcome.status for outcome in replay.run(Selection(), resend).outcomes] == ["sent"] * 3
        resend.close()
    assert set(lane.copied()) == {(b"k%d" % i, value) for i, value in enumerate(VALUES)}
    lane.client.close()


@dataclass
class Lost:
    """A record that got a letter."""

    value: bytes
    offset: int
    topic: str = "origin"
    partition: int = 0
    key: bytes | None = None
    headers: tuple = ()
    timestamp: int = NOW
    reason: str = "why"


@pytest.mark.parametrize("direction", ["source", "sink"])
def test_what_is_left_out_does_not_count_as_sent(kafka, rivven, topic_name, direction):
    copy, letters = topic_name(), topic_name()
    steps = [{"type": "filter", "config": {"field": "data.keep", "equals": "yes"}}]
    kept, dropped = b'{"keep":"yes"}', b'{"keep":"no"}'
    if direction == "sink":
        create_topic(kafka.bootstrap, copy, 1)
        document = sink_file(kafka.bootstrap, rivven.bootstrap, "origin", copy, "g", value_format="raw")
        document["sinks"]["out"] |= {"dead_letter_topic": letters, "transforms": steps}
        entry = parse_connect(document).sinks["out"]
        echo = Lost(b'{"keep":"yes","metadata":{"kafka_via":"kafka:c1/%s"}}' % copy.encode(), 2)
        resend = SinkResend("out", entry, ("rivven:eu", "kafka:c1", copy))
    else:
        document = source_file(kafka.bootstrap, rivven.bootstrap, "origin", copy, "g")
        document["sources"]["in"] |= {"dead_letter_topic": letters, "transforms": steps}
        entry = parse_connect(document).sources["in"]
        echo = Lost(kept, 2, headers=[("rivven_kafka_via", f"rivven:eu/{copy}".encode())])
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(letters, 1)
        if direction == "source":
            client.create_topic(copy, 1)
            resend = SourceResend(
                entry,
                {"servers": [rivven.bootstrap]},
                client,
                10,
                {"loop_protection": ("kafka:c1", "rivven:eu")},
            )
        records = [Lost(kept, 0), Lost(dropped, 1), echo, Lost(b"no JSON", 3), Lost(kept, 4)]
        client.publish(letters, 0, [envelope(record, "c", copy) for record in records])
        with closing(resend):
            found = DeadLetterReplay(client, letters, "c").run(Selection(), resend).outcomes
        assert [outcome.status for outcome in found] == ["sent", "left_out", "left_out", "left_out", "sent"]
        assert [[*outcome.notes] for outcome in found[1:3]] == [
            ["left out: a filter of the transforms drops it"],
            ["left out: it has been in the topic that it would go to"],
        ]
        # They are dealt with, as those are that the connector itself leaves out.
        assert client.committed_offset(replay_group("c"), letters, 0) == len(records)
        stored = (
            [row.value for row in read_topic(kafka.bootstrap, copy)[0]]
            if direction == "sink"
            else [json.loads(value)["data"] for _, value in rivven_records(rivven.bootstrap, copy)[0]]
        )
    assert stored == ([kept, kept] if direction == "sink" else [json.loads(kept)] * 2)


@pytest.mark.parametrize("change", ["topic", "kafka"])
def test_a_broker_or_topic_that_is_missing_is_an_error(rivven, topic_name, tmp_path, change):
    letters = topic_name()
    document = sink_file("127.0.0.1:1", rivven.bootstrap, "t", "t", "g", request_timeout_ms=2_000)
    document["sinks"]["out"]["dead_letter_topic"] = letters
    if change == "kafka":
        with closing(RivvenClient([rivven.bootstrap])) as client:
            client.create_topic(letters, 1)
    code, text = dlq(tmp_path, document, "replay", "--sink", "out", fails=True)
    assert code == 1
    assert (f"Rivven topic '{letters}' does not exist" if change == "topic" else "127.0.0.1:1") in text
