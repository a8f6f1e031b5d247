"""Processes of one group come and go, as in a cluster that moves its containers about."""

import pytest

from tests.support.scenario import COMBINATIONS

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

FORMS = [pytest.param(2, 6_000, id="short"), pytest.param(6, 30_000, id="long", marks=pytest.mark.long)]
PERIOD_S = 5.0


@pytest.mark.parametrize(("kills", "count"), FORMS)
@pytest.mark.parametrize(("direction", "guarantee"), COMBINATIONS)
def test_kills_in_a_group_of_three(patient_kafka, rivven, new_flow, kills, count, direction, guarantee):
    flow = new_flow(direction, guarantee, patient_kafka, rivven, count=count)
    members = [flow.connector(name) for name in ("first", "second", "third")]
    flow.start(*members)
    for number in range(kills):
        if number == kills // 2:
            members.append(flow.connector("fourth").start())
            flow.watch(flow.chance.uniform(0.0, PERIOD_S))
        victim = flow.chance.choice(members)
        with flow.fault("kill"):
            victim.kill()
            victim.start()
        flow.watch(PERIOD_S)
    flow.finish(*members).check()
