"""What a sink with transactions must be allowed to do, as `check` tells it and as Kafka enforces it."""

from contextlib import closing

import pytest
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import parse_connect
from rivven_kafka.pipeline.entry_check import check_sink_entry

from tests.support.connector import sink_file, wait_until
from tests.support.secured_kafka import SecuredKafka
from tests.support.topics import create_topic

from .pipelines import Running

pytestmark = pytest.mark.integration

USER, SECRET = "bridge", "bridge-secret"


@pytest.fixture(scope="module")
def secured():
    """A Kafka whose user may write the topic `copy` with the transactional id `mine`, and nothing else."""
    with SecuredKafka({USER: SECRET}) as broker:
        create_topic(broker.bootstrap, "copy", 2)
        broker.allow(USER, ResourceType.TOPIC, "copy", ACLOperation.WRITE)
        broker.allow(USER, ResourceType.TRANSACTIONAL_ID, "mine", ACLOperation.WRITE)
        yield broker


def allow_prefix(broker, prefix):
    resource = ResourcePattern(ResourceType.GROUP, prefix, ACLResourcePatternType.PREFIXED)
    acl = ACL(f"User:{USER}", "*", ACLOperation.READ, ACLPermissionType.ALLOW, resource)
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        assert not admin.create_acls([acl])["failed"]


def test_a_check_asks_for_the_rights_that_positions_in_kafka_need(secured, rivven, topic_name):
    # Rivven has more partitions than Kafka, so positions lie in further groups.
    origin = topic_name()
    document = sink_file(
        secured.sasl,
        rivven.bootstrap,
        origin,
        "copy",
        "g",
        transactional_id="mine",
        partitioning="key",
        request_timeout_ms=10_000,
        security={
            "protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_username": USER,
            "sasl_password": SECRET,
        },
    )
    config = parse_connect(document)

    def authorization():
        result = check_sink_entry("out", config.sinks["out"], config.broker, config.settings)
        return next(check for check in result.checks if check.name == "authorization")

    def works():
        """Whether the sink comes as far as holding its partitions."""
        with Running(document) as running:
            wait_until(
                lambda: running.pipeline.assigned_since is not None or running.error is not None,
                30,
                running.describe,
            )
        return running.error is None

    group = f"rivven-kafka:g:{origin}"
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(origin, 5)
    denied = authorization()
    assert denied.status == "failed"
    assert denied.detail == (
        f"not allowed: READ on topic 'copy'; READ on group '{group}'; READ on groups that begin with "
        f"'{group}/'; allowed: WRITE on transactional id 'mine'"
    )
    secured.allow(USER, ResourceType.TOPIC, "copy", ACLOperation.READ)
    secured.allow(USER, ResourceType.GROUP, group, ACLOperation.READ)
    denied = authorization()
    assert denied.detail.startswith(f"not allowed: READ on groups that begin with '{group}/'; allowed: ")
    assert not works()
    allow_prefix(secured, "rivven-kafka:g:")
    assert authorization().ok, authorization().detail
    assert works()
