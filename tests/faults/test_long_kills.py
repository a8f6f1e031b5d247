"""kill -9 of the connector, again and again, at instants that a seed decides."""

import pytest

from tests.support.scenario import COMBINATIONS

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

FORMATS = [(*each, None) for each in COMBINATIONS] + [
    (direction, guarantee, "raw") for direction, guarantee in COMBINATIONS if direction == "source"
]
FORMS = [pytest.param(4, 6_000, id="short"), pytest.param(20, 30_000, id="long", marks=pytest.mark.long)]


@pytest.mark.parametrize(("kills", "count"), FORMS)
@pytest.mark.parametrize(("direction", "guarantee", "value_format"), FORMATS)
def test_kills_of_the_connector(
    patient_kafka, rivven, new_flow, kills, count, direction, guarantee, value_format
):
    flow = new_flow(direction, guarantee, patient_kafka, rivven, count=count, value_format=value_format)
    connector = flow.connector()
    flow.start(connector)
    for _ in range(kills):
        with flow.fault("kill"):
            connector.kill()
            connector.start()
        match flow.chance.randrange(4):
            case 0:
                # While it starts, joins, or reads what it has to know first.
                flow.watch(flow.chance.uniform(0.2, 4.0))
            case 1:
                flow.recover()
            case _:
                flow.advance(flow.chance.randrange(1, 1_200))
        assert connector.running, connector.log_tail()
    flow.finish(connector).check()
