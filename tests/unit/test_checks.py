"""`run_checks`: what is tried after a failure, and what is not."""

import pytest
from rivven_kafka.checks import CheckStatus, NotTriedError, Step, run_checks
from rivven_kafka.errors import UnknownTopicError
from rivven_kafka.kafka.reach import failures, host_and_port, reach


def good():
    return "good"


def bad():
    raise UnknownTopicError("it is not there", topic="orders")


def found(*steps):
    return [(check.name, str(check.status), check.detail) for check in run_checks(steps).checks]


def test_only_what_depends_on_a_failure_is_not_tried():
    assert found(
        Step("a", good),
        Step("b", bad, after=("a",)),
        Step("c", good, after=("a",)),
        Step("d", good, after=("b", "c")),
        Step("e", good, after=("d",)),
    ) == [
        ("a", "ok", "good"),
        ("b", "failed", "it is not there"),
        ("c", "ok", "good"),
        ("d", "skipped", "not tried, because b failed"),
        ("e", "skipped", "not tried, because b failed"),
    ]


def test_a_step_may_have_no_answer():
    def unknown():
        raise NotTriedError("nobody tells")

    result = run_checks([Step("a", unknown), Step("b", good, after=("a",))])
    assert [check.status for check in result.checks] == [CheckStatus.SKIPPED, CheckStatus.SKIPPED]
    assert [check.detail for check in result.checks] == ["nobody tells", "nobody tells"]
    # Nothing is known to be wrong.
    assert result.ok
    assert not any(check.ok for check in result.checks)


def test_a_bug_is_not_a_bad_environment():
    with pytest.raises(ZeroDivisionError):
        run_checks([Step("a", lambda: str(1 / 0))])


def test_addresses():
    assert host_and_port("kafka1:9092") == ("kafka1", 9092)
    assert host_and_port("[::1]:9092") == ("::1", 9092)
    assert reach([], 1000) == {}
    assert failures({"a:1": None, "b:2": "refused", "c:3": "timed out"}) == "b:2: refused; c:3: timed out"
