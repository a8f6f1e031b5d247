"""Brokers behind taps, for tests that look at what goes over the wire."""

from collections.abc import Iterator

import pytest

from tests.support import RivvenBroker
from tests.support.kafka_tap import TappedKafka
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.rivven_tap import RivvenTap


@pytest.fixture(scope="session")
def _tapped_kafka() -> Iterator[TappedKafka]:
    # Sessions shorter than 6 s are refused otherwise.
    with TappedKafka(properties={"group.min.session.timeout.ms": 500}) as broker:
        yield broker


@pytest.fixture
def tapped(_tapped_kafka: TappedKafka) -> TappedKafka:
    """A Kafka for the whole session, its clients connected through a tap that remembers only this test."""
    _tapped_kafka.tap.clear()
    return _tapped_kafka


@pytest.fixture
def rivven_tap(rivven: RivvenBroker) -> Iterator[RivvenTap]:
    """A tap in front of the shared rivvend."""
    with RivvenTap(rivven.port) as tap:
        yield tap


@pytest.fixture(scope="module")
def proxied() -> Iterator[ProxiedKafka]:
    """A Kafka behind a proxy that can lose answers."""
    with ProxiedKafka() as broker:
        yield broker
