"""What is told to those who listen, and how many may."""

import json
import threading
import time

import pytest
from rivven_kafka.runtime import live
from rivven_kafka.runtime.live import Live


class Counter:
    """Reports that say how many there were."""

    def __init__(self):
        self.made = 0

    def __call__(self):
        self.made += 1
        return {"number": self.made, "text": "line\nfeed ü"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(live, "EVERY_S", 0.05)


def number(message):
    assert message.startswith(b"data: ")
    assert message.endswith(b"\n\n")
    assert message.count(b"\n") == 2
    report = json.loads(message.removeprefix(b"data: "))
    assert report["text"] == "line\nfeed ü"
    return report["number"]


def test_a_listener_hears_at_once_and_again_and_again():
    listener = Live(Counter()).listen()
    began = time.monotonic()
    assert next(listener) == b"retry: 1000\n\n"
    assert number(next(listener)) == 1
    assert time.monotonic() - began < 0.5
    assert [number(next(listener)) for _ in range(3)] == [2, 3, 4]
    assert time.monotonic() - began >= 0.15


def test_one_report_serves_all():
    reports = Counter()
    hub = Live(reports)
    heard = [[] for _ in range(live.MAX_LISTENERS)]

    def hear(into):
        listener = hub.listen()
        assert next(listener).startswith(b"retry")
        into.extend(number(next(listener)) for _ in range(5))
        listener.close()

    threads = [threading.Thread(target=hear, args=(into,)) for into in heard]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Late ones may have missed some, and nobody heard one twice.
    assert all(len(each) == 5 and each == sorted(set(each)) for each in heard)
    assert reports.made == max(map(max, heard))
    assert hub.listeners == 0
    time.sleep(0.12)
    assert reports.made == max(map(max, heard))


def test_who_was_away_hears_the_latest_only():
    reports = Counter()
    hub = Live(reports)
    quick, slow = hub.listen(), hub.listen()
    for listener in (quick, slow):
        next(listener)
        assert number(next(listener)) == 1
    assert [number(next(quick)) for _ in range(4)] == [2, 3, 4, 5]
    assert number(next(slow)) >= 5


def test_nobody_is_told_something_old():
    hub = Live(Counter())
    first = hub.listen()
    next(first), next(first)
    first.close()
    time.sleep(0.1)
    later = hub.listen()
    next(later)
    assert number(next(later)) == 2


def test_there_is_a_limit_and_room_is_made_once():
    hub = Live(Counter())
    listeners = [hub.listen() for _ in range(live.MAX_LISTENERS)]
    assert hub.listen() is None
    for _ in range(2):
        listeners[0].close()
    assert hub.listen() is not None
    assert hub.listen() is None


def test_the_end_is_heard_at_once(monkeypatch):
    monkeypatch.setattr(live, "EVERY_S", 60)
    hub = Live(Counter())
    listener = hub.listen()
    next(listener), next(listener)
    threading.Timer(0.05, hub.close).start()
    began = time.monotonic()
    assert list(listener) == []
    assert time.monotonic() - began < 5
    assert hub.listen() is None
