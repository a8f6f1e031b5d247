"""Somebody sets the wall clock of the connector's machine."""

import re
import time
from datetime import datetime

import pytest

from tests.support.scenario import COMBINATIONS
from tests.support.wall_clock import WallClock

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

HOUR_S = 3_600
FORMS = [
    pytest.param([HOUR_S], 6_000, id="short"),
    pytest.param([HOUR_S, -HOUR_S, 0, HOUR_S], 30_000, id="long", marks=pytest.mark.long),
]


def last_message(connector):
    """When it said its last word, by its own clock (s)."""
    *_, last = re.findall(r"^(\S+Z) INFO", connector.log(), re.MULTILINE)
    return datetime.fromisoformat(last).timestamp()


@pytest.mark.parametrize(("steps", "count"), FORMS)
@pytest.mark.parametrize(("direction", "guarantee"), COMBINATIONS)
def test_steps_of_the_clock(patient_kafka, rivven, new_flow, tmp_path, steps, count, direction, guarantee):
    flow = new_flow(direction, guarantee, patient_kafka, rivven, count=count)
    clock = WallClock(tmp_path)
    connector = flow.connector(env=clock.env)
    flow.start(connector)
    for step in steps:
        with flow.fault("clock", held=0):
            clock.step(step)
        flow.recover()
        flow.advance(flow.chance.randrange(1, 3_000))
    verdict = flow.finish(connector)
    assert last_message(connector) - time.time() == pytest.approx(steps[-1], abs=60), "its clock was set"
    verdict.check()
