"""`rivven-kafka migrate`: copies up to a snapshot, reports, and goes on where it was."""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest
import yaml
from kafka import KafkaAdminClient, TopicPartition
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import load_connect_file
from rivven_kafka.migrate import Outcome
from rivven_kafka.migrate.files import ReportFiles
from rivven_kafka.migrate.snapshot import take_snapshot

from tests.integration.connector_kit import QUICK, filled, rows_of
from tests.integration.pipelines import Running, rivven_records
from tests.integration.test_cli_commands import command
from tests.support.connector import source_file, wait_until
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
            *("--report", tmp_path / "reports", "--format", "json"),
        )
    finally:
        over.set()
        producer.join()
    assert code == 0, err
    [report] = json.loads(out)
    assert report == json.loads((tmp_path / "reports" / "migration-kafka.json").read_text())
    assert (report["outcome"], report["processes"], report["error"]) == ("verified", 1, None)
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
    assert {"copy", "verification"} <= {each["event"] for each in events}
    page = (tmp_path / "reports" / "migration-kafka.html").read_text()
    assert f"mirror.{orders}" in page
    assert "cleanup.policy=compact" in page


class Migrating:
    """`rivven-kafka migrate` for one source in a file, as a process of its own or to its end."""

    def __init__(self, kafka, rivven, topic, directory, **config):
        self.kafka, self.rivven, self.topic, self.copy = kafka, rivven, topic, f"{topic}-copy"
        self.group, self.report = f"m-{topic}", directory / "report.json"
        self.file = directory / "connect.yaml"
        self.log = directory / "migrate.log"
        self.write(**config)

    def write(self, **config):
        options = {**FAST, **config}
        document = source_file(
            self.kafka.bootstrap, self.rivven.bootstrap, self.topic, self.copy, self.group, **options
        )
        self.file.write_text(yaml.safe_dump(document))

    def arguments(self, *more):
        return "-c", self.file, "migrate", "--report", self.report, *more

    def __call__(self, *more):
        return command(*self.arguments(*more))

    @contextmanager
    def started(self, *more):
        arguments = [sys.executable, "-m", "rivven_kafka.cli", *map(str, self.arguments(*more))]
        with self.log.open("wb") as log, subprocess.Popen(arguments, stdout=log, stderr=log) as process:
            try:
                yield process
            finally:
                process.kill()

    def logged(self):
        return self.log.read_text()

    def load(self):
        return json.loads(self.report.read_text())

    def ends(self):
        return {each["partition"]: each["end"] for each in self.load()["topics"][0]["partitions"]}

    def begin(self):
        """Leaves what a migration leaves that was interrupted before it had copied anything."""
        config = load_connect_file(str(self.file))
        report = take_snapshot("in", config.sources["in"], config.broker)
        report.settle(Outcome.INTERRUPTED)
        ReportFiles.of(str(self.report), "in", alone=True).save(report, with_page=False)

    def add(self, partition, sequence, partitions):
        with TopicWriter(self.kafka.bootstrap, self.topic, partitions) as writer:
            writer.write(partition, rows_of(partition, sequence))


def test_a_killed_migration_goes_on_to_the_same_snapshot(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 700, 700, 0)
    # Whatever it is killed at: commits come every 50 ms.
    job = Migrating(kafka, rivven, topic, tmp_path, auto_commit_interval_ms=50)

    def committed():
        return sum(committed_offsets(kafka.bootstrap, job.group, topic).values())

    with job.started() as process:
        wait_until(lambda: committed() > 20 or process.poll() is not None, 30, job.logged)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = job.load()
    assert before["outcome"] == "running"
    assert committed() < 1400, "it was killed in the middle"
    job.add(0, range(700, 760), 3)
    job.add(2, range(10), 3)
    code, out, err = job("--format", "json")
    assert code == 0, err
    assert "waits for the session of a process that was killed" in err
    assert f"goes on with the snapshot of {before['snapshot']}" in err
    [after] = json.loads(out)
    assert (after["snapshot"], after["processes"]) == (before["snapshot"], 2)
    assert job.ends() == {0: 700, 1: 700, 2: 0}
    assert offsets_in(rivven, job.copy) == {0: list(range(700)), 1: list(range(700)), 2: []}
    assert after["outcome"] == "verified"
    assert {each["doubled"] for each in after["verification"]["partitions"]} == {0}
    # A third time there is nothing to do, and with a new snapshot there is.
    code, _, err = job()
    assert code == 0, err
    assert job.load()["processes"] == 2
    assert job("--restart")[0] == 0
    assert job.ends() == {0: 760, 1: 700, 2: 10}
    assert offsets_in(rivven, job.copy)[2] == list(range(10))


def delete_before(kafka, topic, offset):
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_records({TopicPartition(topic, 0): offset})


def test_what_kafka_deletes_before_it_is_copied_is_no_success(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 100)
    job = Migrating(kafka, rivven, topic, tmp_path)
    job.begin()
    delete_before(kafka, topic, 60)
    loss = f"Kafka has deleted 60 of 100 offsets of topic {topic} before they were copied"
    code, out, err = job("--no-verify")
    assert code == 3, err
    assert "0 of 100 offsets are copied" in err
    assert loss in err
    assert f"note: {loss}" in out
    assert "40.0 %" in out
    assert job.load()["outcome"] == "incomplete"
    assert offsets_in(rivven, job.copy) == {0: list(range(60, 100))}
    # A comparison finds the rest equal, which changes nothing; nobody is sent to the live link.
    code, _, err = job("--follow")
    assert code == 3, err
    report = job.load()
    assert (report["outcome"], report["caught_up"]) == ("incomplete", None)
    assert report["verification"]["partitions"][0]["equal"]
    page = job.report.with_suffix(".html").read_text()
    assert "Incomplete" in page
    assert loss in page


def test_a_topic_that_has_grown_is_copied_as_it_was(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 20, 30)
    job = Migrating(kafka, rivven, topic, tmp_path)
    job.begin()
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(job.copy, 2)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.create_partitions({topic: 3})
    job.add(2, range(5), 3)
    code, _, err = job("--no-verify")
    assert code == 0, err
    assert job.load()["outcome"] == "copied"
    assert offsets_in(rivven, job.copy) == {0: list(range(20)), 1: list(range(30))}


def test_a_source_that_is_not_enabled_is_migrated_by_its_name(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 10)
    job = Migrating(kafka, rivven, topic, tmp_path)
    document = yaml.safe_load(job.file.read_text())
    document["sources"]["in"]["enabled"] = False
    job.file.write_text(yaml.safe_dump(document))
    with job.started("--source", "in", "--follow") as process:
        wait_until(lambda: "caught up" in job.logged() or process.poll() is not None, 30, job.logged)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, job.logged()
    assert job.load()["outcome"] == "verified"
    assert offsets_in(rivven, job.copy) == {0: list(range(10))}


def test_what_was_copied_elsewhere_is_not_taken_for_copied(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 50)
    job = Migrating(kafka, rivven, topic, tmp_path)
    assert job("--no-verify")[0] == 0
    before = job.load()
    document = yaml.safe_load(job.file.read_text())
    document["sources"]["in"]["topic"] = f"{topic}-second"
    job.file.write_text(yaml.safe_dump(document))
    code, out, err = job("--restart", "--no-verify")
    assert (code, out) == (1, "")
    assert (
        f"Kafka group '{job.group}' of source 'in' has committed 50 offsets of topic '{topic}' before, and "
        f"Rivven topic '{topic}-second' holds nothing: expected another consumer group"
    ) in err
    assert job.load() == before
    # Where they went to, they are.
    job.write()
    code, out, err = job("--restart")
    assert code == 0, err
    assert "note: 50 offsets were committed before, and are not copied" in out


def test_a_signal_interrupts_it(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 900)
    job = Migrating(kafka, rivven, topic, tmp_path)
    with job.started() as process:
        wait_until(lambda: "assigned" in job.logged(), 30, job.logged)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130, job.logged()
    report = job.load()
    assert (report["outcome"], report["finished"]) == ("interrupted", None)
    code, _, err = job()
    assert code == 0, err
    assert offsets_in(rivven, job.copy) == {0: list(range(900))}


def test_following_says_when_it_has_caught_up(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 50)
    job = Migrating(kafka, rivven, topic, tmp_path)
    with job.started("--follow") as process:
        wait_until(lambda: "caught up" in job.logged() or process.poll() is not None, 30, job.logged)
        job.add(0, range(50, 80), 1)
        wait_until(lambda: len(offsets_in(rivven, job.copy)[0]) >= 80, 30, job.logged)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, job.logged()
    assert offsets_in(rivven, job.copy) == {0: list(range(80))}
    assert job.ends() == {0: 50}
    report = job.load()
    assert report["caught_up"] < report["updated"]
    assert f"caught up: Rivven holds what Kafka held at {report['caught_up']}" in job.logged()
    assert [each["event"] for each in progress_of(job.logged())].count("caught_up") == 1


def test_a_difference_is_told_and_sends_nobody_to_the_live_link(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 40, 10)
    job = Migrating(kafka, rivven, topic, tmp_path)
    assert job("--no-verify")[0] == 0
    assert job.load()["outcome"] == "copied"
    [(key, value)] = rivven_records(rivven.bootstrap, job.copy)[0][7:8]
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.publish(job.copy, 0, [(key, value)])
    code, out, err = job("--follow")
    assert code == 3, err
    assert f"different in {topic}:0: 40 records in Kafka, 41 in Rivven; first: " in out
    report = job.load()
    assert (report["outcome"], report["processes"], report["caught_up"]) == ("different", 1, None)
    assert [each["equal"] for each in report["verification"]["partitions"]] == [False, True]
    assert "Different" in job.report.with_suffix(".html").read_text()


def test_what_kafka_has_deleted_since_the_snapshot_is_noted(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 40, 10)
    job = Migrating(kafka, rivven, topic, tmp_path)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        # Nothing of partition 1 is left to be copied, nor to be compared.
        admin.delete_records({TopicPartition(topic, 1): 10})
        assert job("--no-verify")[0] == 0
        admin.delete_records({TopicPartition(topic, 0): 15})
    code, _, err = job()
    assert code == 0, err
    report = job.load()
    assert report["outcome"] == "verified"
    assert [each["records_kafka"] for each in report["verification"]["partitions"]] == [25, 0]
    notes = report["verification"]["notes"]
    assert any(f"{topic}:0 before 15" in note and "offsets 0-14 nothing is proved" in note for note in notes)
    assert "offsets 0-14 nothing is proved" in job.report.with_suffix(".html").read_text()


@pytest.mark.parametrize(("more", "outcome"), [((), "verified"), (("--no-verify",), "copied")])
def test_what_could_not_be_compared_is_not_copied_again(kafka, rivven, topic_name, tmp_path, more, outcome):
    topic = filled(kafka, topic_name(), 20)
    migrating = Migrating(kafka, rivven, topic, tmp_path, delivery_guarantee="at_least_once")
    code, _, err = migrating("--no-verify")
    assert code == 0, err
    # As it is left by a broker that was away during the comparison, and the group by some time.
    report = json.loads(migrating.report.read_text())
    migrating.report.write_text(json.dumps({**report, "outcome": "failed", "error": "cannot verify: away"}))
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_groups([migrating.group])
    code, _, err = migrating(*more)
    assert code == 0, err
    after = json.loads(migrating.report.read_text())
    assert (after["outcome"], after["error"], after["finished"]) == (outcome, None, report["finished"])
    assert offsets_in(rivven, migrating.copy) == {0: list(range(20))}


def test_a_snapshot_of_which_nothing_is_left_is_not_verified(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 40)
    job = Migrating(kafka, rivven, topic, tmp_path)
    assert job("--no-verify")[0] == 0
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_records({TopicPartition(topic, 0): 40})
    assert job()[0] == 3
    report = job.load()
    assert report["outcome"] == "different"
    assert [each["undecided"] for each in report["verification"]["partitions"]] == [40]


@pytest.mark.symptom("`migrate` says that the group has active members.")
def test_what_uses_the_group_is_named_before_anything_is_copied(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 20)
    job = Migrating(kafka, rivven, topic, tmp_path)
    with Running(yaml.safe_load(job.file.read_text())) as other:
        wait_until(lambda: other.pipeline.assigned_since is not None, 30, other.describe)
        code, out, err = job()
    assert (code, out) == (1, "")
    assert f"Kafka group '{job.group}' of source 'in' has 1 active members" in err
    assert not job.report.exists()


@pytest.mark.symptom("`migrate` says that the report is of another migration.")
def test_the_report_of_another_migration_is_refused(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 20)
    job = Migrating(kafka, rivven, topic, tmp_path)
    assert job("--no-verify")[0] == 0
    report = job.load()

    def refused(what):
        code, out, err = job()
        assert (code, out) == (78, "")
        assert f"--report: {job.report} is the report of another migration: {what}" in err

    job.write(value_format="raw")
    refused("its value_format is 'event', not 'raw'")
    job.write()
    job.report.write_text(json.dumps({**report, "kafka_cluster": "other"}))
    refused("its Kafka cluster is 'other', not ")
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_topics([topic])
    wait_until(lambda: topic not in topics_of(kafka), 30)
    create_topic(kafka.bootstrap, topic, 1)
    job.report.write_text(json.dumps(report))
    refused(f"topic '{topic}' was deleted and created again since")
    job.report.write_text("{}")
    code, _, err = job()
    assert code == 78
    assert f"--report: {job.report} is not the report of a migration by this version" in err


def topics_of(kafka):
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        return admin.list_topics()


def test_a_source_that_cannot_work_ends_it_with_its_error(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 5, 5, 5)
    job = Migrating(kafka, rivven, topic, tmp_path)
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(job.copy, 2)
    code, _, err = job()
    assert code == 1
    assert f"Rivven topic '{job.copy}' has 2 partitions and Kafka topic '{topic}' has 3" in err
    report = job.load()
    assert report["outcome"] == "failed"
    assert "has 2 partitions" in report["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "other"], "--source: got 'other': expected one of: in"),
        (["--source", "in", "--brokers", "k:9092"], "--source: given together with --brokers"),
        (["--topics", "a"], "--brokers: missing: expected with --topics"),
        (
            ["--brokers", "k", "--rivven", "r:1", "--topics", "a"],
            "--brokers: got 'k': expected host:port",
        ),
        (["--brokers", "k:1", "--rivven", "r:1", "--topics", "a(,b"], "--topics: "),
        (["--brokers", "k:1", "--rivven", "r:1", "--topics", "a,b", "--to", "_{topic}"], "--to: "),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(source_file("k:9092", "r:9092", "t", "copy", "g")))
    code, out, err = command("-c", path, "migrate", *arguments)
    assert (code, out) == (78, "")
    assert message in err


def test_what_cannot_be_compared_is_told_before_the_copy(kafka, rivven, topic_name, tmp_path):
    topic = filled(kafka, topic_name(), 5)
    job = Migrating(kafka, rivven, topic, tmp_path)
    document = yaml.safe_load(job.file.read_text())
    document["sources"]["in"]["transforms"] = [{"type": "remove_field", "config": {"field": "metadata"}}]
    document["sources"]["in"]["config"]["delivery_guarantee"] = "at_least_once"
    job.file.write_text(yaml.safe_dump(document))
    code, _, err = job()
    assert code == 78
    assert "sources.in.transforms: " in err
    assert "--no-verify copies all the same" in err
    assert not job.report.exists()
    code, out, err = job("--no-verify")
    assert code == 0, err
    assert "note: delivery_guarantee is at_least_once" in out


def test_it_begins_at_the_beginning_only(tmp_path):
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(source_file("k:9092", "r:9092", "t", "copy", "g", start_offset="latest")))
    code, _, err = command("-c", path, "migrate")
    assert code == 78
    assert "sources.in.config.start_offset: got latest: expected earliest" in err
