"""Somebody sets the wall clock of the connector's machine."""

import re
import time
from datetime import datetime

import pytest

from tests.faults.forms import forms
from tests.support.wall_clock import WallClock

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

HOUR_S = 3_600


def last_message(connector):
    """When it said its last word, by its own clock (s)."""
    *_, last = re.findall(r"^(\S+Z) INFO", connector.log(), re.MULTILINE)
    return datetime.fromisoformat(last).timestamp()


@forms([HOUR_S], [HOUR_S, -HOUR_S, 0, HOUR_S], short=["source-exactly_once"])
def test_steps_of_the_clock(patient_kafka, rivven, new_flow, tmp_path, how_many, count, between):
    flow = new_flow(*between, patient_kafka, rivven, count=count)
    clock = WallClock(tmp_path)
    connector = flow.connector(env=clock.env)
    flow.start(connector)
    for step in how_many:
        with flow.fault("clock", held=0):
            clock.step(step)
        flow.recover()
        flow.advance(flow.chance.randrange(1, 3_000))
    verdict = flow.finish(connector)
    assert last_message(connector) - time.time() == pytest.approx(how_many[-1], abs=60), "its clock was set"
    verdict.check()
