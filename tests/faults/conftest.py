"""Brokers of one test's own, to be killed."""

from collections.abc import Iterator

import pytest

from tests.support import KafkaBroker, RivvenBroker
from tests.support.ports import ReservedPort


@pytest.fixture
def own_kafka() -> Iterator[KafkaBroker]:
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture
def own_rivven() -> Iterator[RivvenBroker]:
    with RivvenBroker() as broker:
        yield broker


@pytest.fixture
def port() -> Iterator[ReservedPort]:
    with ReservedPort() as reserved:
        yield reserved
