"""A connector that stands still for longer than its group waits: its successor's work is not undone."""

import signal
from contextlib import contextmanager

import pytest

from tests.support.connector import wait_until
from tests.support.scenario import COMBINATIONS, IN_FLIGHT

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

FORMS = [pytest.param(1, 6_000, id="short"), pytest.param(4, 30_000, id="long", marks=pytest.mark.long)]


def assignments(connector):
    return connector.log().count("INFO assigned")


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
    wait_until(lambda: assignments(connector) > before, 30, connector.log_tail)


@pytest.mark.parametrize(("freezes", "count"), FORMS)
@pytest.mark.parametrize(("direction", "guarantee"), COMBINATIONS)
def test_freezes_of_the_connector(patient_kafka, rivven, new_flow, freezes, count, direction, guarantee):
    flow = new_flow(direction, guarantee, patient_kafka, rivven, count=count)
    connector = flow.connector()
    flow.start(connector)
    for _ in range(freezes):
        with frozen(flow, connector):
            pass
        flow.advance(flow.chance.randrange(1, 3_000))
    flow.finish(connector).check()


@pytest.mark.parametrize(("freezes", "count"), FORMS)
@pytest.mark.parametrize(("direction", "guarantee"), COMBINATIONS)
def test_freezes_of_one_while_another_takes_over(
    patient_kafka, rivven, new_flow, freezes, count, direction, guarantee
):
    flow = new_flow(direction, guarantee, patient_kafka, rivven, count=count)
    victim, other = flow.connector("first"), flow.connector("second")
    flow.start(victim)
    for _ in range(freezes):
        with frozen(flow, victim):
            if not other.running:
                other.start()
            # The successor has just begun, is in the middle of what the frozen one had read, or beyond it.
            flow.advance(flow.chance.choice([1, flow.chance.randrange(1, 2_000)]))
        flow.recover()
        flow.advance(flow.chance.randrange(1, 2_000))
        victim, other = other, victim
    flow.finish(victim, other).check()
