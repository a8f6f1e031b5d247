"""kill -9 of the connector, again and again, at instants that a seed decides."""

import pytest

from tests.faults.forms import RAW_SOURCES, forms
from tests.support.scenario import COMBINATIONS

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

# `test_kill_source`, `test_kill_sink` and `test_transactions` are the short forms of the others.
SHORT = ["source-exactly_once", "source-exactly_once-raw"]


@forms(4, 20, short=SHORT, combinations=[*COMBINATIONS, *RAW_SOURCES])
def test_kills_of_the_connector(patient_kafka, rivven, new_flow, how_many, count, between):
    direction, guarantee, *rest = between
    value_format = rest[0] if rest else None
    flow = new_flow(direction, guarantee, patient_kafka, rivven, count=count, value_format=value_format)
    connector = flow.connector()
    flow.start(connector)
    for _ in range(how_many):
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
