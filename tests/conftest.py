"""Fixtures for every test: one Kafka and one rivvend per session, and names that collide with nothing."""

import itertools
import os
import re
import uuid
from collections.abc import Callable, Generator, Iterator

import pytest
import pytest_timeout  # type: ignore[import-untyped]
from hypothesis import HealthCheck, settings

from tests.support import KafkaBroker, RivvenBroker
from tests.support.kafka_broker import obtain_kafka
from tests.support.kafka_tap import TappedKafka
from tests.support.rivvend_dist import rivvend_binary

# A first example may compile or import something slow: time limits belong to pytest-timeout.
settings.register_profile("default", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=10)
settings.register_profile(
    "thorough", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure() -> None:
    """Makes the brokers of the tests, unlike those of the benchmarks, quick to start rather than quick."""
    KafkaBroker.short_lived = True


def pytest_collection_finish(session: pytest.Session) -> None:
    """Obtain the brokers before the first test, outside its time limit and where the progress can be seen."""
    needed = any(
        item.get_closest_marker("integration") or item.get_closest_marker("faults") for item in session.items
    )
    if not needed or session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        obtain_kafka()
        rivvend_binary()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Stops the time limit of a test that has failed: one that passed while the report is made would end the run.

    What is torn down after it has the whole limit again.
    """
    if call.excinfo is None:
        return (yield)
    hook = item.config.hook
    hook.pytest_timeout_cancel_timer(item=item)
    report = yield
    settings = pytest_timeout._get_item_settings(item)
    if call.when != "teardown" and settings.timeout:
        hook.pytest_timeout_set_timer(item=item, settings=settings)
    return report


@pytest.fixture(scope="session")
def kafka() -> Iterator[TappedKafka]:
    """A Kafka shared by the whole session: make your own topics, and start your own broker to break one.

    Its members choose how soon they are taken for dead, which Kafka's own limit puts at 6 s. It looks for topics to
    compact five times a second, not every 15 s.
    """
    properties = {"group.min.session.timeout.ms": 500, "log.cleaner.backoff.ms": 200}
    with TappedKafka(properties=properties) as broker:
        yield broker


@pytest.fixture(scope="session")
def rivven() -> Iterator[RivvenBroker]:
    """A rivvend shared by the whole session: make your own topics, and start your own broker to break one."""
    with RivvenBroker() as broker:
        yield broker


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> Callable[[], str]:
    """A function that returns another unused topic name at each call, valid in Kafka and in Rivven."""
    test = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:80].strip("-")
    run = uuid.uuid4().hex[:8]
    numbers = itertools.count(1)
    return lambda: f"{test}-{run}-{next(numbers)}"
