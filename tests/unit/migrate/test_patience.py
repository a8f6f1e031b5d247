"""When a migration gives up, and when a live link keeps up."""

import pytest
from rivven_kafka.migrate.catching_up import CatchingUp
from rivven_kafka.migrate.patience import Patience, Restarts
from rivven_kafka.pipeline.watchdog import Lag


@pytest.mark.parametrize(
    ("restarts", "still_s", "over"),
    [(0, 9_999, False), (4, 899, False), (1, 900, True), (5, 119, False), (5, 120, True)],
)
def test_patience(restarts, still_s, over):
    assert Patience().is_over(restarts, still_s) is over


def test_progress_renews_it():
    restarts = Restarts(Patience(restarts=2, seconds=10))
    assert not restarts.is_over(0, 0, 0)
    assert not restarts.is_over(9, 0, 5)
    assert restarts.is_over(10, 0, 5)
    assert not restarts.is_over(11, 1, 5)
    assert not restarts.is_over(30, 1, 6), "one since then"
    assert restarts.is_over(31, 1, 7)


def lag(position, end):
    return [Lag("orders", 0, position, end), Lag("orders", 1, 5, 5)]


def test_an_idle_link_has_caught_up_at_once():
    link = CatchingUp()
    assert link.look(0, []) is None
    assert link.look(1, lag(None, 7)) is None
    assert link.look(2, lag(7, 7)) is True
    assert link.look(3, lag(7, 7)) is None
    assert link.caught_up


def test_under_load_it_has_caught_up_with_what_was_there_a_while_ago():
    link = CatchingUp()
    assert link.look(0, lag(0, 100)) is None
    assert link.look(10, lag(99, 900)) is None
    assert link.look(11, lag(100, 1000)) is True, "the lag is not 0, and never will be"


def test_it_names_a_moment_of_which_everything_is_delivered():
    link = CatchingUp()
    assert link.look(100, lag(0, 100)) is None
    assert link.held_s is None
    assert link.look(150, lag(100, 5000)) is True
    assert link.held_s == 100 - 12.5, "not 150: 4,900 are not copied; and the ends were as old as that"


@pytest.mark.parametrize("what", ["kafka", "rivven"])
def test_without_news_of_both_sides_it_catches_up_with_nothing(what):
    link = CatchingUp()
    old = [Lag("orders", 0, 100, 100, fresh=what != "kafka")]
    assert link.look(0, lag(0, 100)) is None
    assert link.look(1, [old[0], lag(0, 0)[1]], answered=what != "rivven") is True, "what was there at 0"
    for second in range(2, 60):
        assert link.look(second, old, answered=what != "rivven") is None
    assert link.look(61, old, answered=what != "rivven") is False
    assert link.look(62, [Lag("orders", 0, 100, 100)]) is True
    assert link.held_s == 62 - 12.5


def test_a_partition_that_has_left_is_not_delivered():
    link = CatchingUp()
    assert link.look(0, [*lag(0, 100), Lag("orders", 2, 0, 900)]) is None
    assert link.look(5, lag(100, 300)) is None
    assert link.look(6, lag(300, 300)) is True
    assert link.held_s == 5 - 12.5


def test_it_falls_behind_and_catches_up_again():
    link = CatchingUp()
    assert link.look(0, lag(0, 0)) is True
    assert link.look(1, lag(0, 100)) is None
    assert link.look(59, lag(99, 100)) is None
    assert link.look(60, lag(99, 100)) is False
    assert link.look(70, lag(100, 500)) is None, "only what was there a minute ago"
    assert link.look(71, lag(200, 500)) is None
    assert link.look(80, lag(500, 500)) is True


def test_a_long_first_copy_is_no_falling_behind():
    link = CatchingUp()
    assert link.look(0, lag(0, 100)) is None
    assert link.look(500, lag(100, 100)) is None
    assert link.look(501, lag(100, 100)) is True


def test_a_link_without_partitions_falls_behind():
    link = CatchingUp()
    assert link.look(0, lag(0, 0)) is True
    assert link.look(1, lag(0, 0)) is None
    assert link.look(2, []) is None
    assert link.look(80, lag(0, 9)) is False
