"""Brokers that crash, stop, freeze or run out of space under a connector, at instants that a seed decides."""

import pytest

from tests.support import KafkaBroker
from tests.support.full_disk import FullDiskRivven, full_disk
from tests.support.scenario import COMBINATIONS

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def own_kafka():
    with KafkaBroker(properties={"group.min.session.timeout.ms": 500}) as broker:
        yield broker


@pytest.fixture(scope="module")
def own_rivven():
    with FullDiskRivven() as broker:
        yield broker


class Broken:
    """A broker that is to break, and the flow through it."""

    def __init__(self, broker, flow):
        self.broker, self.flow = broker, flow

    def crash(self):
        with self.flow.fault("kill"):
            self.broker.kill()
            # Away for a moment, or for longer than the sessions and the first attempts.
            self.flow.watch(self.flow.chance.uniform(0, 4))
            self.broker.restart()

    def restart(self):
        with self.flow.fault("restart"):
            self.broker.stop()
            self.flow.watch(self.flow.chance.uniform(0, 2))
            self.broker.restart()

    def freeze(self, seconds=8):
        with self.flow.fault("freeze"):
            self.broker.pause()
            self.flow.watch(seconds)
            self.broker.resume()

    def freeze_briefly(self):
        self.freeze(3)

    def fill_the_disk_of(self):
        with self.flow.fault("full disk"):
            with full_disk(self.broker):
                self.flow.watch(2)
                stored = self.flow.progress()
                self.flow.watch(2)
                assert self.flow.progress() == stored
            self.broker.restart_without_indexes()


@pytest.fixture
def run(own_kafka, own_rivven, new_flow):
    def run(direction, guarantee, victim, fault, times, **options):
        broker = own_kafka if victim == "kafka" else own_rivven
        what = f"{fault.replace('_', ' ')} {victim}, {times}x"
        flow = new_flow(direction, guarantee, own_kafka, own_rivven, what=what, **options)
        connector = flow.connector()
        flow.start(connector)
        for _ in range(times):
            flow.advance(flow.chance.randrange(1, 2_000))
            getattr(Broken(broker, flow), fault)()
            flow.recover()
            if fault == "fill_the_disk_of" and not connector.running:
                # It has met what the writes that failed have left, before the broker was started anew.
                assert "the log of this partition is damaged" in connector.log(), connector.log_tail()
                connector.start()
            assert connector.running, connector.log_tail()
        flow.finish(connector).check()

    return run


@pytest.mark.parametrize(
    ("direction", "guarantee", "victim", "fault"),
    [
        (*COMBINATIONS[0], "rivvend", "freeze_briefly"),
        (*COMBINATIONS[-1], "kafka", "freeze_briefly"),
        (*COMBINATIONS[-1], "rivvend", "restart"),
    ],
)
def test_a_broker_comes_back(run, direction, guarantee, victim, fault):
    run(direction, guarantee, victim, fault, times=1, count=4_000)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["crash", "restart", "freeze"])
@pytest.mark.parametrize("victim", ["kafka", "rivvend"])
@pytest.mark.parametrize(("direction", "guarantee"), COMBINATIONS)
def test_a_broker_comes_back_twice(run, direction, guarantee, victim, fault):
    run(direction, guarantee, victim, fault, times=2)


@pytest.mark.long
@pytest.mark.parametrize(("direction", "guarantee"), [each for each in COMBINATIONS if each[0] == "source"])
def test_rivvend_runs_out_of_space_twice(run, direction, guarantee):
    run(direction, guarantee, "rivvend", "fill_the_disk_of", times=2)
