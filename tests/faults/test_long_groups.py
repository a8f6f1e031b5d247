"""Processes of one group come and go, as in a cluster that moves its containers about."""

import pytest

from tests.faults.forms import forms

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


@forms((2, 3.0), (6, 5.0), short=["source-exactly_once", "sink-exactly_once"])
def test_kills_in_a_group_of_three(patient_kafka, rivven, new_flow, how_many, count, between):
    kills, period_s = how_many
    flow = new_flow(*between, patient_kafka, rivven, count=count)
    members = [flow.connector(name) for name in ("first", "second", "third")]
    flow.start(*members)
    for number in range(kills):
        if number == kills // 2:
            members.append(flow.connector("fourth").start())
            flow.watch(flow.chance.uniform(0.0, period_s))
        victim = flow.chance.choice(members)
        with flow.fault("kill"):
            victim.kill()
            victim.start()
        flow.watch(period_s)
    flow.finish(*members).check()
