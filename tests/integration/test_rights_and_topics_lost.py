"""A topic that is deleted, or a right that is taken away, while a connector runs: nothing is lost, and it says what it needs."""

import time
from contextlib import closing

import pytest
from kafka import KafkaAdminClient
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePatternFilter,
    ResourceType,
)
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import AuthorizationError, DeliveryError, RivvenKafkaError

from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import sink_file, source_file, wait_until
from tests.support.secured_kafka import SecuredKafka
from tests.support.topics import Row, committed_offsets, create_topic, fill, read_topic

pytestmark = pytest.mark.integration

USER, SECRET = "bridge", "bridge-secret"
LOGIN = {
    "protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_username": USER,
    "sasl_password": SECRET,
}
NOW = int(time.time() * 1000)


@pytest.fixture(scope="module")
def secured():
    # Kafka keeps what it has answered about topics for as long as its clients ask for.
    with SecuredKafka({USER: SECRET}) as broker:
        yield broker


def forbid(broker, kind, name):
    """Takes every right on one resource away."""
    resource = ResourcePatternFilter(kind, name, ACLResourcePatternType.LITERAL)
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        admin.delete_acls([ACLFilter(f"User:{USER}", "*", ACLOperation.ANY, ACLPermissionType.ANY, resource)])


class Sink:
    """A sink of a user who may do just what it needs."""

    def __init__(self, broker, rivven, topic_name, *, transactional):
        self.broker, self.rivven = broker, rivven
        self.origin, self.copy = topic_name(), topic_name()
        self.group = f"g-{self.origin}"
        self.client = RivvenClient([rivven.bootstrap])
        self.client.create_topic(self.origin, 1)
        create_topic(broker.bootstrap, self.copy, 1)
        self.id = f"tx-{self.copy}" if transactional else None
        self.rights = {
            "topic": (ResourceType.TOPIC, self.copy, [ACLOperation.WRITE]),
        }
        if transactional:
            self.rights["topic"][2].append(ACLOperation.READ)
            self.rights["id"] = (ResourceType.TRANSACTIONAL_ID, self.id, [ACLOperation.WRITE])
            group = f"rivven-kafka:{self.group}:{self.origin}"
            self.rights["group"] = (ResourceType.GROUP, group, [ACLOperation.READ])
        for name in self.rights:
            self.allow(name)
        self.sent = 0

    def allow(self, name):
        kind, resource, operations = self.rights[name]
        self.broker.allow(USER, kind, resource, *operations)

    def forbid(self, name):
        forbid(self.broker, *self.rights[name][:2])

    def document(self, **config):
        options = {"include_headers": False, "security": LOGIN, "request_timeout_ms": 5_000, **config}
        if self.id is not None:
            options["transactional_id"] = self.id
        return sink_file(
            self.broker.sasl, self.rivven.bootstrap, self.origin, self.copy, self.group, **options
        )

    def publish(self, count):
        values = [b"%d" % i for i in range(self.sent, self.sent + count)]
        self.client.publish(self.origin, 0, [(None, value) for value in values])
        self.sent += count

    def copied(self):
        isolation = "read_uncommitted" if self.id is None else "read_committed"
        return [row.value for row in read_topic(self.broker.bootstrap, self.copy, isolation)[0]]

    def wait_delivered(self, running, count):
        wait_until(
            lambda: running.pipeline.delivered() >= count or running.error is not None, 30, running.describe
        )
        assert running.error is None


CASES = [
    (False, "topic", "WRITE on topic"),
    (True, "topic", "WRITE on topic"),
    (True, "id", "WRITE on transactional id"),
    (True, "group", "READ on group"),
]


@pytest.mark.symptom("A right is taken away while a connector runs.")
@pytest.mark.parametrize(("transactional", "lost", "needed"), CASES)
def test_a_sink_whose_right_is_taken_away_stops_and_goes_on_later(
    secured, rivven, topic_name, transactional, lost, needed
):
    sink = Sink(secured, rivven, topic_name, transactional=transactional)
    sink.publish(10)
    with Running(sink.document()) as running:
        sink.wait_delivered(running, 10)
        sink.forbid(lost)
        # Changes of rights need a moment to reach the authorizer.
        deadline = time.monotonic() + 30
        while running.error is None and time.monotonic() < deadline:
            sink.publish(5)
            time.sleep(0.1)
        error = running.failure()
    assert isinstance(error, RivvenKafkaError)
    text = f"{error}"
    assert f"user '{USER}' needs {needed}" in text
    assert sink.rights[lost][1] in text
    assert SECRET not in text
    # Nor does it start without the right.
    with Running(sink.document()) as running:
        again = running.failure()
    assert needed in str(again), again
    sink.allow(lost)
    sink.publish(5)
    before = len(sink.copied())
    with Running(sink.document()) as running:
        wait_until(
            lambda: (
                sink.client.committed_offset(sink.group, sink.origin, 0) == sink.sent
                or running.error is not None
            ),
            30,
            running.describe,
        )
    assert running.error is None
    assert before < sink.sent
    assert sink.copied() == [b"%d" % i for i in range(sink.sent)]
    sink.client.close()


@pytest.mark.symptom("The topic of a sink is deleted while it runs.")
@pytest.mark.parametrize("transactional", [False, True])
def test_a_sink_whose_topic_is_deleted(secured, rivven, topic_name, transactional):
    sink = Sink(secured, rivven, topic_name, transactional=transactional)
    sink.publish(10)
    limits = {"delivery_timeout_ms": 3_000, "request_timeout_ms": 2_000, "retries": 100}
    with Running(sink.document(**limits)) as running:
        sink.wait_delivered(running, 10)
        with closing(KafkaAdminClient(bootstrap_servers=secured.bootstrap)) as admin:
            admin.delete_topics([sink.copy])
        time.sleep(1)
        sink.publish(5)
        error = running.failure()
    assert isinstance(error, DeliveryError | AuthorizationError | RivvenKafkaError)
    assert sink.copy in str(error)
    assert "does not exist" in str(error), error
    create_topic(secured.bootstrap, sink.copy, 1)
    with Running(sink.document()) as running:
        wait_until(
            lambda: (
                sink.client.committed_offset(sink.group, sink.origin, 0) == sink.sent
                or running.error is not None
            ),
            30,
            running.describe,
        )
    assert running.error is None
    # What the deleted topic held is gone with it.
    assert sink.copied() == [b"%d" % i for i in range(10, 15)]
    sink.client.close()


@pytest.mark.parametrize("lost", ["topic", "group"])
def test_a_source_whose_right_is_taken_away_stops_and_goes_on_later(secured, rivven, topic_name, lost):
    origin, copy, group = topic_name(), topic_name(), topic_name()
    create_topic(secured.bootstrap, origin, 1)
    rights = {"topic": (ResourceType.TOPIC, origin), "group": (ResourceType.GROUP, group)}
    for kind, name in rights.values():
        secured.allow(USER, kind, name, ACLOperation.READ)
    document = source_file(
        secured.sasl, rivven.bootstrap, origin, copy, group,
        security=LOGIN, value_format="raw", empty_poll_delay_ms=20, request_timeout_ms=30_000,
        session_timeout_ms=6_000, heartbeat_interval_ms=200,
    )  # fmt: skip
    sent = 0

    def add(count):
        nonlocal sent
        rows = [Row(NOW, None, b"%d" % i, []) for i in range(sent, sent + count)]
        fill(secured.bootstrap, origin, {0: rows})
        sent += count

    def values():
        return [value for _, value in rivven_records(rivven.bootstrap, copy).get(0, [])]

    add(10)
    with Running(document) as running:
        wait_until(lambda: committed_offsets(secured.bootstrap, group, origin)[0] == 10, 30, running.describe)
        forbid(secured, *rights[lost])
        deadline = time.monotonic() + 30
        while running.error is None and time.monotonic() < deadline:
            add(1)
            time.sleep(0.2)
        error = running.failure()
    text = str(error)
    assert f"user '{USER}' needs READ on {lost} '{rights[lost][1]}'" in text
    assert SECRET not in text
    secured.allow(USER, *rights[lost], ACLOperation.READ)
    add(5)
    with Running(document) as running:
        wait_until(
            lambda: (
                committed_offsets(secured.bootstrap, group, origin)[0] == sent or running.error is not None
            ),
            30,
            running.describe,
        )
    assert running.error is None
    found = values()
    # At least once: what was not committed comes again.
    assert sorted(set(found), key=int) == [b"%d" % i for i in range(sent)]
