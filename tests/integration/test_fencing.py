"""Producer ids of a real rivvend: whose records it refuses."""

from collections.abc import Callable, Iterator

import pytest
from rivven_kafka._native import RivvenClient

from tests.support import RivvenBroker
from tests.support.ports import LOOPBACK
from tests.support.rivven_wire import RivvenWire, RivvenWireError

pytestmark = pytest.mark.integration

TopicName = Callable[[], str]
ONE: list[tuple[bytes | None, bytes]] = [(None, b"one")]


@pytest.fixture
def client(rivven: RivvenBroker) -> Iterator[RivvenClient]:
    client = RivvenClient([rivven.bootstrap])
    yield client
    client.close()


def test_a_fenced_producer_is_refused(
    rivven: RivvenBroker, client: RivvenClient, topic_name: TopicName
) -> None:
    topic = topic_name()
    client.create_topic(topic, 1)
    with RivvenWire(LOOPBACK, rivven.port) as wire:
        old, other = wire.init_producer(), wire.init_producer()
        assert wire.publish_idempotent(topic, ONE, producer=old, sequence=0)
        client.fence([old[0]])
        for sequence in (0, 1):
            with pytest.raises(RivvenWireError, match="^PRODUCER_FENCED"):
                wire.publish_idempotent(topic, ONE, producer=old, sequence=sequence)
        assert wire.publish_idempotent(topic, ONE, producer=other, sequence=0), "nobody fenced this one"
        owner = wire.init_producer(old[0])
        assert owner[1] > old[1] + 1
        assert wire.publish_idempotent(topic, ONE, producer=owner, sequence=0)
        assert client.offset_bounds(topic, 0) == (0, 3)


def test_an_id_that_the_broker_forgot_is_fenced_as_well() -> None:
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap])
        client.create_topic("t", 1)
        with RivvenWire(LOOPBACK, broker.port) as wire:
            old = wire.init_producer()
            assert old[1] == 0
        broker.kill()
        broker.restart()
        with RivvenWire(LOOPBACK, broker.port) as wire:
            with pytest.raises(RivvenWireError, match="^UNKNOWN_PRODUCER_ID"):
                wire.publish_idempotent("t", ONE, producer=old, sequence=0)
            client.fence([old[0]])
            with pytest.raises(RivvenWireError, match="^PRODUCER_FENCED"):
                wire.publish_idempotent("t", ONE, producer=old, sequence=0)
        client.close()
