"""The topics of a probe are deleted, and what has failed is told."""

import logging

import pytest
from rivven_kafka.errors import AuthorizationError, ConnectError, DeliveryError, RivvenKafkaError
from rivven_kafka.plan.probe import deleted_afterwards


class Rivven:
    """Refuses to delete some topics."""

    def __init__(self, refused=None):
        self.refused, self.asked = refused or {}, []

    def delete_topic(self, name):
        self.asked.append(name)
        if name in self.refused:
            raise self.refused[name]
        return True


def test_all_topics_are_deleted_that_can_be():
    rivven = Rivven({"b": AuthorizationError("may not")})
    with (
        pytest.raises(RivvenKafkaError, match=r"^cannot delete topics of the probe in Rivven: b: may not$"),
        deleted_afterwards(rivven, {"c", "b", "a"}),
    ):
        pass
    assert rivven.asked == ["a", "b", "c"]


def test_the_first_error_is_the_one_that_is_told(caplog):
    rivven = Rivven(dict.fromkeys("ab", AuthorizationError("may not delete")))
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(DeliveryError, match="^may not create$"),
        deleted_afterwards(rivven, {"a", "b"}),
    ):
        raise DeliveryError("may not create")
    assert rivven.asked == ["a", "b"]
    assert caplog.messages == ["cannot delete topics of the probe in Rivven: a, b: may not delete"]


def test_a_broker_that_is_away_is_not_asked_for_each_topic():
    rivven = Rivven(dict.fromkeys("bc", ConnectError("away")))
    with (
        pytest.raises(RivvenKafkaError, match=r": b, c: away$"),
        deleted_afterwards(rivven, {"a", "b", "c"}),
    ):
        pass
    assert rivven.asked == ["a", "b"]
