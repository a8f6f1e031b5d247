"""A connector that stands still for longer than its group waits: its successor's work is not undone."""

import signal
from contextlib import contextmanager

import pytest

from tests.faults.forms import forms
from tests.support.connector import wait_until
from tests.support.scenario import IN_FLIGHT

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


def assignments(connector):
    return connector.log().count("INFO assigned")


def await_assignment(connector, before=0):
    wait_until(lambda: assignments(connector) > before, 30, connector.log_tail)


@contextmanager
def frozen(flow, connector):
    """SIGSTOP, and SIGCONT in the end; the group takes it for dead meanwhile, and it has to join again."""
    before = assignments(connector)
    # What it had read and not delivered may follow when it goes on.
    with flow.fault("freeze", held=IN_FLIGHT):
        connector.send(signal.SIGSTOP)
        try:
            flow.watch(flow.session_s + flow.chance.uniform(1.0, 3.0))
            yield
        finally:
            connector.send(signal.SIGCONT)
    await_assignment(connector, before)


@forms(1, 4, short=["source-exactly_once"])
def test_freezes_of_the_connector(patient_kafka, rivven, new_flow, how_many, count, between):
    flow = new_flow(*between, patient_kafka, rivven, count=count)
    connector = flow.connector()
    flow.start(connector)
    for _ in range(how_many):
        with frozen(flow, connector):
            pass
        flow.advance(flow.chance.randrange(1, 3_000))
    flow.finish(connector).check()


@forms(1, 4, short=["source-exactly_once"])
def test_freezes_of_one_while_another_takes_over(patient_kafka, rivven, new_flow, how_many, count, between):
    flow = new_flow(*between, patient_kafka, rivven, count=count)
    victim, other = flow.connector("first"), flow.connector("second")
    flow.start(victim)
    for _ in range(how_many):
        with frozen(flow, victim):
            if not other.running:
                other.start()
                await_assignment(other)
            # The successor is about to begin, has just begun, or is beyond what the frozen one had read.
            flow.advance(flow.chance.choice([0, 1, flow.chance.randrange(1, 2_000)]))
        flow.recover()
        flow.advance(flow.chance.randrange(1, 2_000))
        victim, other = other, victim
    flow.finish(victim, other).check()
