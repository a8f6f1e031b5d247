"""Whether the side that is written to counts as one that answers, with the time told by hand for Kafka."""

import threading
import time

import pytest
from rivven_kafka.pipeline import pulse
from rivven_kafka.pipeline.pulse import KafkaPulse, RivvenPulse


class Question:
    """A question for metadata, and what becomes of it."""

    def __init__(self):
        self.is_done = self.right = False

    def succeeded(self):
        return self.right

    def ends(self, *, right):
        self.is_done, self.right = True, right


class Asker:
    """A loop that asks ten times a second, and the producer that it asks."""

    def __init__(self):
        self.now = 100.0
        self.questions = []
        self.pulse = KafkaPulse(self, lambda: self.now)

    def ask_metadata(self):
        self.questions.append(Question())
        return self.questions[-1]

    def pass_(self, seconds, right=None):
        """With `right` all questions end at once, with or without an answer."""
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.pulse.ask()
            if right is not None:
                self.questions[-1].ends(right=right)


def test_what_answers_is_ignored_by_nobody():
    asker = Asker()
    asker.pass_(60, right=True)
    assert (asker.pulse.ignores_s < 0.2, asker.pulse.silent_s < 2.2) == (True, True)
    assert len(asker.questions) == pytest.approx(30, abs=2)


@pytest.mark.parametrize("right", [None, False])
def test_what_does_not_answer_does_not(right):
    asker = Asker()
    asker.pass_(5, right=True)
    asker.pass_(20, right=right)
    assert asker.pulse.ignores_s == pytest.approx(20, abs=2.2)
    asker.pass_(5, right=True)
    if right is None:
        asker.questions[-1].ends(right=True)
        asker.pass_(0.1)
    assert asker.pulse.ignores_s < 2.2


@pytest.mark.parametrize("right", [None, False, True])
def test_what_keeps_the_loop_itself_is_not_the_silence_of_kafka(right):
    asker = Asker()
    asker.pass_(5, right=True)
    asker.pass_(2)
    if right is not None:
        asker.questions[-1].ends(right=right)
    asker.now += 100
    assert asker.pulse.silent_s > 100
    asker.pulse.ask()
    assert asker.pulse.ignores_s < 2.2
    asker.pass_(10)
    assert asker.pulse.ignores_s == pytest.approx(10, abs=2.2)


class Refused:
    """A connection that gets no answer: it fails, first by an error that nobody has expected."""

    def __init__(self, **_):
        self.asked = 0
        self.answers = threading.Event()

    def ping(self):
        self.asked += 1
        if not self.answers.is_set():
            raise ValueError("what is this?")

    def close(self):
        pass


@pytest.fixture
def refused(monkeypatch):
    monkeypatch.setattr(pulse, "RivvenClient", Refused)
    monkeypatch.setattr(pulse, "_EVERY_S", 0.02)
    arguments = {"servers": ["r:1"], "request_timeout_ms": 1, "connect_timeout_ms": 1}
    made = RivvenPulse(arguments, "in", 5)
    yield made
    made.close()


def test_acknowledgements_are_a_sign_of_life(refused):
    time.sleep(0.2)
    refused.note(5)
    assert refused.silent_s >= 0.2
    refused.note(6)
    assert refused.silent_s < 0.2


def test_an_error_that_nobody_expects_does_not_end_the_questions(refused):
    time.sleep(0.3)
    assert refused.silent_s >= 0.3
    refused._client.answers.set()
    deadline = time.monotonic() + 10
    while refused.silent_s >= 0.3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert refused._client.asked > 2
