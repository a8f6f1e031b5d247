"""Brokers of one test's own, to be killed; flows of records, and the table of what became of them."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import KafkaBroker, RivvenBroker
from tests.support.ports import ReservedPort
from tests.support.scenario import Flow
from tests.support.verdicts import markdown, no_verdict, text

_ROWS = pytest.StashKey[list[list[str]]]()
SEED = pytest.StashKey[int]()
VERDICT = "verdict"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the scenarios."""
    group = parser.getgroup("faults")
    group.addoption("--faults-seed", type=int, metavar="N", help="repeat the faults of a run with this seed")
    group.addoption("--faults-table", type=Path, metavar="FILE", help="write the verdicts there, as markdown")


def pytest_configure(config: pytest.Config) -> None:
    """Draws the seed, if none is given."""
    config.addinivalue_line("markers", "long: a scenario of minutes, left out unless -m asks for it")
    # One seed for all workers.
    seed = getattr(config, "workerinput", {}).get("faults_seed", config.getoption("faults_seed", None))
    config.stash[SEED] = random.randrange(1 << 32) if seed is None else seed
    config.stash[_ROWS] = []
    config.pluginmanager.register(_Verdicts(config), "verdicts")


class _Verdicts:
    """Gathers the verdicts where the results of all tests come together, also from other processes."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hands the seed to a worker of pytest-xdist."""
        node.workerinput["faults_seed"] = self._config.stash[SEED]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes what `new_flow` has left with a test."""
        if report.when == "teardown":
            found = [row for name, row in report.user_properties if name == VERDICT]
            self._config.stash[_ROWS] += found


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the long forms to those who ask for them."""
    if "long" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints the table, also of what failed."""
    rows = config.stash[_ROWS]
    if not rows:
        return
    terminalreporter.section("verdicts")
    terminalreporter.write_line(text(rows))
    terminalreporter.write_line(f"the same faults again: --faults-seed {config.stash[SEED]}")
    path = config.getoption("faults_table", None)
    if path is not None:
        path.write_text(markdown(rows))


@pytest.fixture
def own_kafka() -> Iterator[KafkaBroker]:
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture
def own_rivven() -> Iterator[RivvenBroker]:
    with RivvenBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def patient_kafka(kafka: KafkaBroker) -> KafkaBroker:
    """The shared Kafka, under a name that says what it is used for: it forgets its members soon if they ask."""
    return kafka


@pytest.fixture
def port() -> Iterator[ReservedPort]:
    with ReservedPort() as reserved:
        yield reserved


@pytest.fixture
def new_flow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Flow]]:
    """Makes a `Flow` that is ended and judged with the test: `new_flow(direction, guarantee, kafka, rivven)`.

    `what` names the scenario, where one test has several.
    """
    seed = request.config.stash[SEED]
    scenario = re.sub(r"^test_", "", request.node.originalname).replace("_", " ")
    long = request.node.get_closest_marker("long")
    form, patience_s = ("long", 30.0) if long else ("short", 10.0)
    flows = []
    with ExitStack() as stack:

        def make(
            direction: str,
            guarantee: str,
            kafka: KafkaBroker,
            rivven: RivvenBroker,
            *,
            what: str = "",
            **options: Any,
        ) -> Flow:
            print(f"{request.node.name}: seed {seed}")
            flow = Flow(
                direction,
                guarantee,
                kafka,
                rivven,
                tmp_path,
                seed,
                name=f"{what or scenario} ({form})",
                patience_s=patience_s,
                **options,
            )
            flows.append(flow)
            return stack.enter_context(flow)

        yield make
    for flow in flows:
        missing = no_verdict(flow.name, flow.direction, flow.label, seed)
        row = missing if flow.verdict is None else flow.verdict.row()
        request.node.user_properties.append((VERDICT, row))
        print(text([row]))
        if flow.verdict is not None:
            print(flow.verdict.story())
