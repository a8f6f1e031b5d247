"""Brokers behind taps, for tests that look at what goes over the wire."""

from collections.abc import Iterator

import pytest

from tests.support import RivvenBroker
from tests.support.kafka_tap import TappedKafka
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.rivven_tap import RivvenTap
from tests.support.token_issuer import TokenIssuer


@pytest.fixture
def tapped(kafka: TappedKafka) -> TappedKafka:
    """The shared Kafka, for clients that are connected through its tap, which remembers only this test."""
    kafka.tap.clear()
    return kafka


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


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenIssuer]:
    """A token endpoint, and the keys to check its tokens with."""
    with TokenIssuer(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer
