"""The pauses before a failed connector is started again."""

from rivven_kafka.runtime.backoff import Refusals, RestartBackoff


def pauses(backoff, runs):
    found, last = [], None
    for ran in runs:
        last = backoff.next_pause(last, ran)
        found.append(last)
    return found


def test_pauses_double_up_to_a_minute():
    assert pauses(RestartBackoff(), [0.5] * 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_long_run_starts_them_anew():
    assert pauses(RestartBackoff(), [0, 0, 0, 61, 0, 60]) == [1, 2, 4, 1, 2, 4]


def test_the_limit_holds_for_the_first_one_too():
    assert pauses(RestartBackoff(first_s=5, longest_s=3), [0, 0, 100]) == [3, 3, 3]


def test_a_refusal_lasts_from_the_first_one_on():
    refusals = Refusals()
    assert refusals.lasted(1, admitted=False) == 0
    assert refusals.lasted(31, admitted=False) == 30
    # However long it took to be refused.
    assert refusals.lasted(131, admitted=False) == 130
    assert refusals.lasted(150, admitted=True) == 0
    assert refusals.lasted(152, admitted=False) == 2
    refusals.clear()
    assert refusals.lasted(160, admitted=False) == 0
