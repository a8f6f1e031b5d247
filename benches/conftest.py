"""The brokers of the benchmarks, the size of a run, and what becomes of its figures."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from benches.keeper import Keeper
from benches.scale import Scale
from tests.conftest import topic_name
from tests.support import KafkaBroker, RivvenBroker
from tests.support.kafka_dist import kafka_libs
from tests.support.rivvend_dist import rivvend_binary

__all__ = ["topic_name"]

_KEEPER = pytest.StashKey[Keeper]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("benchmarks").addoption(
        "--bench-quick", action="store_true", help="show in seconds that every benchmark still works"
    )


def pytest_configure(config: pytest.Config) -> None:
    # The figures of a quick run mean nothing, and are kept nowhere.
    save = not config.getoption("--bench-quick")
    config.stash[_KEEPER] = Keeper(Path(__file__).parent, config.args, save=save)
    config.addinivalue_line("markers", "needs(fetch): called before the first benchmark of a full run")


@pytest.fixture(scope="session")
def scale(pytestconfig: pytest.Config) -> Scale:
    """How much to move."""
    return Scale(quick=pytestconfig.getoption("--bench-quick"))


# Brokers as they are: those of the tests may have a proxy before them, or options that hasten their start.
@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaBroker]:
    """A Kafka shared by the whole session."""
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def rivven() -> Iterator[RivvenBroker]:
    """A rivvend shared by the whole session."""
    with RivvenBroker() as broker:
        yield broker


def pytest_itemcollected(item: pytest.Item) -> None:
    item.config.stash[_KEEPER].collected.add(item.nodeid)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Obtain what benchmarks run, outside their time limits and where the progress can be seen."""
    config = session.config
    if config.option.collectonly:
        return
    brokers = any(item.get_closest_marker("integration") for item in session.items)
    needed: dict[Callable[[], object], None] = dict.fromkeys((kafka_libs, rivvend_binary) if brokers else ())
    if not config.getoption("--bench-quick"):
        marks = (mark for item in session.items for mark in item.iter_markers("needs"))
        needed |= dict.fromkeys(mark.kwargs["fetch"] for mark in marks)
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        for fetch in needed:
            fetch()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with item.config.stash[_KEEPER].during(item.nodeid):
        return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[_KEEPER].draw()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[_KEEPER].summary():
        terminalreporter.write_line(line)
