"""The brokers of the tests for the benchmarks, and the size of a run."""

import pytest

from benches.scale import Scale
from tests.conftest import kafka, rivven, topic_name

__all__ = ["kafka", "rivven", "topic_name"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("benchmarks").addoption(
        "--bench-quick", action="store_true", help="show in seconds that every benchmark still works"
    )


@pytest.fixture(scope="session")
def scale(pytestconfig: pytest.Config) -> Scale:
    """How much to move."""
    return Scale(quick=pytestconfig.getoption("--bench-quick"))
