"""The judge of the fault scenarios sees what it is there to see."""

import os

import pytest

from tests.support.observer import Timeline
from tests.support.verdicts import COLUMNS, MOST_RSS, Differences, Fault, Verdict, markdown, no_verdict, text

pytest_plugins = "pytester"


def values(*sequences, partition=0):
    return {partition: [b"{data: #%d:%d#}" % (partition, number) for number in sequences]}


def verdict(differences, allowed=0, rss=0, faults=(), troubles=()):
    return Verdict("kills", "source", "at_least_once", 7, 3, differences, allowed, faults, rss, 1.0, troubles)


def test_a_perfect_copy():
    found = Differences.between(values(0, 1, 2), values(0, 1, 2))
    assert found == Differences()
    verdict(found).check()


@pytest.mark.parametrize(
    ("copy", "found"),
    [
        (values(0, 2), Differences(lost=[(0, 1)])),
        ({}, Differences(lost=[(0, 0), (0, 1), (0, 2)])),
        (values(0, 1, 0, 1, 2), Differences(doubled=2)),
        (values(0, 1, 2, 3), Differences(doubled=1)),
        (values(0, 2, 1), Differences(overtaken=[(0, 1)])),
        (values(0, 1, 2) | {1: values(2)[0]}, Differences(strayed=[(0, 2)])),
    ],
    ids=["lost", "all lost", "doubled", "never written", "overtaken", "strayed"],
)
def test_what_differs_is_found_and_not_accepted(copy, found):
    assert Differences.between(values(0, 1, 2), copy) == found
    with pytest.raises(AssertionError, match="seed 7: "):
        verdict(found).check()


def test_what_the_origin_holds_twice_may_arrive_twice():
    assert Differences.between(values(0, 0, 1), values(0, 0, 1)) == Differences()
    assert Differences.between(values(0, 0, 1), values(0, 1)) == Differences()


def test_some_doubled_are_allowed_at_least_once():
    verdict(Differences(doubled=5), allowed=5).check()
    with pytest.raises(AssertionError, match="6 doubled, 5 allowed"):
        verdict(Differences(doubled=6), allowed=5).check()


def test_memory_and_troubles_count_too():
    with pytest.raises(AssertionError, match="MiB of memory"):
        verdict(Differences(), rss=MOST_RSS + 1).check()
    with pytest.raises(AssertionError, match="ended with exit code 1"):
        verdict(Differences(), troubles=["a connector ended with exit code 1"]).check()


def test_the_time_to_a_rate():
    timeline = Timeline(100.0)
    # 10 a second, nothing for 3 s, 10 a second again.
    for second, count in enumerate([10, 20, 20, 20, 20, 30, 40], start=101):
        timeline.add(float(second), count)
    assert timeline.rate(100.0, 102.0) == 10.0
    assert timeline.at(100.5) == 5.0
    assert timeline.time_to(8.0, 102.0, until=107.0) == pytest.approx(2.8, abs=0.06)
    assert timeline.time_to(8.0, 105.0, until=107.0) == 0.0
    assert timeline.time_to(8.0, 102.0, until=104.0) is None
    assert timeline.time_to(11.0, 102.0, until=200.0) is None


def test_the_table():
    faults = [Fault("kill", 0, 0, 0, 10, recovered_after=1.5), Fault("kill", 2, 2, 0, 10)]
    row = verdict(Differences(), faults=faults).row()
    assert row[COLUMNS.index("recovery s (median, longest)")] == "1.5, 1.5 (1 of 2)"
    rows = [row, no_verdict("kills", "sink", "exactly_once", 7)]
    assert {len(cells) for cells in rows} == {len(COLUMNS)}
    assert markdown(rows).count("\n") == 4
    assert text(rows).splitlines()[-1].endswith("broke off")


@pytest.mark.parametrize("workers", [0, 2])
def test_the_verdicts_of_all_workers_come_together(pytester, pytestconfig, monkeypatch, workers):
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath), prepend=os.pathsep)
    pytester.makepyfile(
        """
        import pytest
        from tests.faults.conftest import SEED, VERDICT
        from tests.support.verdicts import no_verdict

        @pytest.mark.parametrize("name", ["first", "second"])
        def test_flow(request, name):
            row = no_verdict(name, "source", "at_least_once", request.config.stash[SEED])
            request.node.user_properties.append((VERDICT, row))
        """
    )
    done = pytester.runpytest_subprocess(
        *("-p", "tests.faults.conftest", "-p", "no:cacheprovider"),
        *("-n", str(workers), "--faults-table", "table"),
    )
    done.assert_outcomes(passed=2)
    lines = (pytester.path / "table").read_text().splitlines()[2:]
    cells = sorted([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    assert [row[0] for row in cells] == ["first", "second"]
    [seed] = {row[-2] for row in cells}
    done.stdout.fnmatch_lines([f"the same faults again: --faults-seed {seed}"])
