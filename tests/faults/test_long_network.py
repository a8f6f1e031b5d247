"""A network that fails between a connector and its brokers, at instants that a seed decides."""

import pytest

from tests.support.connector import wait_until
from tests.support.flaky import FlakyKafka, FlakyProxy
from tests.support.scenario import COMBINATIONS, ON_THE_WIRE

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

WHERE = ["kafka", "rivvend"]
REQUEST_TIMEOUT_MS = 3_000


@pytest.fixture(scope="module")
def flaky_kafka():
    with FlakyKafka(properties={"group.min.session.timeout.ms": 500}) as broker:
        yield broker


@pytest.fixture
def flaky_rivven(rivven):
    proxy = FlakyProxy(rivven.port)
    yield proxy
    proxy.close()


class Flaky:
    """A proxy on the way of a flow."""

    def __init__(self, proxy, flow):
        self.proxy, self.flow = proxy, flow

    def resets(self, times):
        for _ in range(times):
            self.flow.advance(self.flow.chance.randrange(1, 1_500))
            with self.flow.fault("reset"):
                # The last ones may be about to come back.
                wait_until(lambda: self.proxy.reset() > 0, 30, lambda: "no connection came back")
            # Before they are back, or when all is well again.
            self.flow.watch(self.flow.chance.choice((0, 0.3, 1.5)))
        self.flow.recover()

    def outage(self, seconds):
        self.flow.advance(self.flow.chance.randrange(1, 2_000))
        # Connections survive the first time and not the second.
        for reset in (False, True):
            with self.flow.fault("outage"), self.proxy.blackhole(reset=reset):
                self.flow.watch(seconds)
            self.flow.recover()

    def longer_outage(self, seconds):
        self.flow.advance(self.flow.chance.randrange(1, 2_000))
        # What was sent at first and what was sent again when it was not answered arrive together at the end.
        attempts = 1 + int(seconds * 1000 // REQUEST_TIMEOUT_MS)
        with self.flow.fault("outage", held=attempts * ON_THE_WIRE), self.proxy.blackhole():
            self.flow.watch(seconds)
        self.flow.recover()


@pytest.fixture
def run(flaky_kafka, rivven, flaky_rivven, new_flow):
    def run(direction, guarantee, where, what, **options):
        flow = new_flow(
            direction,
            guarantee,
            flaky_kafka,
            rivven,
            what=f"{what} before {where}",
            kafka_address=flaky_kafka.proxy.address,
            rivven_address=flaky_rivven.address,
            **options,
        )
        return flow, Flaky(flaky_kafka.proxy if where == "kafka" else flaky_rivven, flow)

    return run


def reset(run, direction, guarantee, where, times, **options):
    flow, flaky = run(direction, guarantee, where, f"{times} resets", **options)
    connector = flow.connector()
    flow.start(connector)
    flaky.resets(times)
    flow.finish(connector).check()


@pytest.mark.parametrize(
    ("direction", "guarantee", "where"),
    [(*COMBINATIONS[0], "kafka"), (*COMBINATIONS[0], "rivvend"), (*COMBINATIONS[-1], "kafka")],
)
def test_some_resets(run, direction, guarantee, where):
    reset(run, direction, guarantee, where, times=3, count=4_000)


@pytest.mark.long
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("direction", "guarantee"), COMBINATIONS)
def test_many_resets(run, direction, guarantee, where):
    reset(run, direction, guarantee, where, times=10)


@pytest.mark.long
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("direction", "guarantee"), COMBINATIONS)
def test_outages(run, direction, guarantee, where):
    flow, flaky = run(direction, guarantee, where, "outages of 5 s")
    connector = flow.connector()
    flow.start(connector)
    flaky.outage(5)
    flow.finish(connector).check()


@pytest.mark.long
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("direction", "guarantee"), COMBINATIONS)
def test_an_outage_longer_than_a_request_may_last(run, direction, guarantee, where):
    flow, flaky = run(direction, guarantee, where, "outage of 10 s, requests of 3 s,")
    connector = flow.connector(
        broker={"request_timeout_ms": REQUEST_TIMEOUT_MS}, request_timeout_ms=REQUEST_TIMEOUT_MS
    )
    flow.start(connector)
    flaky.longer_outage(10)
    flow.finish(connector).check()
