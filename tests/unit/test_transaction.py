"""How long a transaction may take to end, and how a sink becomes the holder of a partition."""

import time
from types import SimpleNamespace

import pytest
from rivven_kafka.errors import ConnectError, TimeoutExpired
from rivven_kafka.pipeline import transaction
from rivven_kafka.pipeline.transaction import TransactionalDelivery

TIMEOUT_MS = 300


class Batch:
    partition, record_count = 0, 1


class Encoder:
    """Has one batch."""

    def __init__(self):
        self._batches = [Batch()]

    def take_ready(self, linger_ms):
        batches, self._batches = self._batches, []
        return batches

    def take_positions(self):
        return [("orders", 0, 1)]


class Producer:
    """Has refused a record of the batch, and never says that the transaction is committed."""

    in_flight = 0

    def __init__(self):
        self.is_committed = False
        self._refused = [object()]

    def take_refused(self):
        refused, self._refused = self._refused, []
        return refused

    def committed(self):
        return self.is_committed

    def ask_whether_gone(self, topic):
        return None

    def check(self):
        pass

    begin = check

    def send(self, *_):
        pass

    commit = send


CONFIG = SimpleNamespace(
    topic="copies",
    linger_ms=0,
    transaction_max_records=1,
    transaction_interval_ms=0,
    delivery_timeout_ms=TIMEOUT_MS,
    request_timeout_ms=TIMEOUT_MS,
)


@pytest.fixture
def ending():
    """A transaction that is about to be committed, after a letter that has taken the time of a delivery."""
    positions = SimpleNamespace(offsets=lambda moved: moved)
    producer = Producer()

    def letter(_):
        time.sleep(2 * TIMEOUT_MS / 1000)

    delivery = TransactionalDelivery(producer, Encoder(), positions, CONFIG, letter)
    delivery.advance()
    return delivery, producer


def test_what_came_before_the_commit_is_not_its_time(ending):
    delivery, producer = ending
    producer.is_committed = True
    delivery.advance()
    assert delivery.take_positions() == [("orders", 0, 1)]


def test_a_commit_that_takes_as_long_as_a_delivery_may_is_given_up(ending):
    delivery, _ = ending
    time.sleep(1.5 * TIMEOUT_MS / 1000)
    with pytest.raises(TimeoutExpired, match="has not committed a transaction before delivery_timeout_ms"):
        delivery.advance()


def test_a_long_wait_to_take_over_is_told_once(caplog, monkeypatch):
    now, found = 100.0, None
    monkeypatch.setattr(transaction, "time", SimpleNamespace(monotonic=lambda: now))
    positions = SimpleNamespace(take_over=lambda *_: found, starts_anew=lambda: None)
    delivery = TransactionalDelivery(Producer(), Encoder(), positions, CONFIG, lambda _: None)

    def told(seconds):
        nonlocal now
        caplog.clear()
        with caplog.at_level("INFO"):
            for _ in range(seconds):
                delivery.take_over([("orders", 0)], lambda: True)
                now += 1
        return caplog.messages

    assert told(10) == []
    assert [each.startswith("waiting to take partitions over") for each in told(90)] == [True]
    found = {}
    assert told(1) == []
    found = None
    assert told(10) == []
    assert len(told(10)) == 1


class Claims:
    """Notes what it is asked for, and does it."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        def do(*_):
            self.asked.append(name)
            return True

        return do


def hold(confirm):
    producer = Claims()
    delivery = TransactionalDelivery(
        producer, Encoder(), SimpleNamespace(offsets=lambda moved: moved), CONFIG, lambda _: None
    )

    def asked():
        producer.asked.append("confirm")
        return confirm()

    return producer, lambda: delivery.hold({("orders", 0): 5}, asked)


def test_the_group_is_asked_while_the_positions_wait_for_their_commit():
    producer, held = hold(lambda: True)
    assert held()
    assert producer.asked == ["begin", "stage", "confirm", "commit", "wait_committed"]


def test_who_has_lost_its_partitions_commits_no_position():
    producer, held = hold(lambda: False)
    assert not held()
    assert producer.asked == ["begin", "stage", "confirm", "abort"]


def test_a_group_that_cannot_be_asked_leaves_no_transaction_open():
    def away():
        raise ConnectError("away")

    producer, held = hold(away)
    with pytest.raises(ConnectError):
        held()
    assert producer.asked == ["begin", "stage", "confirm", "abort"]
