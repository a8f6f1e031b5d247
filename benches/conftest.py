"""The brokers of the tests, for the benchmarks."""

from tests.conftest import kafka, rivven, topic_name

__all__ = ["kafka", "rivven", "topic_name"]
