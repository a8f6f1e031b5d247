"""What each HTTP path says while something is wrong: nothing that is not known, and nothing that was.

One process carries a Kafka topic through Rivven to another Kafka topic. `caught_up` must never be 1 while one of the
sides does not answer, although everything that was written before has arrived.
"""

import re
import signal
import time
from dataclasses import dataclass, field

import pytest

from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.endpoint import ask
from tests.support.login_kafka import LoginKafka, unsigned_token
from tests.support.topics import Row, TopicWriter, create_topic, end_offsets

pytestmark = pytest.mark.faults

TOKEN = "control-token-of-a-test"
NOT_KNOWN = (None,)
BEHIND = (False,)
"""What `caught_up` may be."""
QUICK = {
    "session_timeout_ms": 6_000,
    "heartbeat_interval_ms": 500,
    "request_timeout_ms": 2_000,
    "shutdown_timeout_ms": 4_000,
}
SAMPLE = re.compile(
    r'^rivven_kafka_connector_(\w+)\{connector="(\w+)",direction="\w+"(?:,[^}]*)?\} (\S+)$', re.M
)


class Process:
    """The process, its brokers, and what it tells."""

    def __init__(self, kafka, rivven, topic_name, directory, port, sink_config=None, **config):
        self.kafka, self.rivven, self.address = kafka, rivven, port.address
        self.origin, middle, self.copy = topic_name(), topic_name(), topic_name()
        for topic in (self.origin, self.copy):
            create_topic(kafka.bootstrap, topic, 1)
        addresses = kafka.bootstrap, rivven.bootstrap
        quick = QUICK | config
        source = source_file(*addresses, self.origin, middle, f"g-{self.origin}", **quick)
        sink = sink_file(
            *addresses, middle, self.copy, f"g-{middle}", retries=1_000, **quick, **(sink_config or {})
        )
        document = source | {"sinks": sink["sinks"]}
        document["broker"]["request_timeout_ms"] = 2_000
        document["settings"] = {
            "health": {"enabled": True, "port": port.number},
            "control": {"token": TOKEN},
            "retry": {"max_retries": 1_000, "max_backoff_ms": 500},
        }
        self.document = document
        self.connector = Connector(directory, document)
        self.written = 0

    def write(self, count):
        now = int(time.time() * 1000)
        with TopicWriter(self.kafka.bootstrap, self.origin, 1) as writer:
            writer.write(0, [Row(now, None, b"x", [])] * count)
        self.written += count

    def arrived(self):
        # A run that ends by a stall sends again what was not acknowledged.
        return sum(end_offsets(self.kafka.bootstrap, self.copy).values()) >= self.written

    def tell(self, name, what):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert ask(self.address, f"/connectors/{name}/{what}", "POST", headers).code == 202

    def told(self):
        return Told(self.address)


class Told:
    """All paths, asked one after the other; what must always agree is compared here."""

    def __init__(self, address):
        self.live = ask(address, "/live").code
        self.ready, self.health = (ask(address, path) for path in ("/ready", "/health"))
        status = ask(address, "/status").json
        self.metrics = ask(address, "/metrics").text
        self.connectors = {each["name"]: each for each in (*status["sources"], *status["sinks"])}
        self.samples = {}
        for name, connector, value in SAMPLE.findall(self.metrics):
            self.samples.setdefault((connector, name), []).append(float(value))

    def caught_up(self, name):
        return self.connectors[name]["caught_up"]

    def disagrees(self):
        """In what the paths contradict each other."""
        found = []
        if self.ready.code != self.health.code:
            found.append("/ready and /health")
        for name, status in self.connectors.items():
            samples = self.samples.get((name, "caught_up"), [None])
            if samples != [None if status["caught_up"] is None else float(status["caught_up"])]:
                found.append(f"caught_up of {name}")
            lag = [each["records"] for each in status["lag"]["partitions"] if each["records"] is not None]
            if len(self.samples.get((name, "lag_records"), [])) != len(lag):
                found.append(f"lag of {name}")
        return found

    def __str__(self):
        return str([self.live, self.ready.code, self.ready.json["reasons"], self.connectors])


@dataclass
class Fault:
    """What is done, what the process then says, and how it ends.

    `caught_up` holds what may be said of each connector; a word that is in no reason is looked for in vain.
    """

    begin: object
    end: object
    ready: int
    caught_up: dict
    reasons: tuple = ()
    states: dict = field(default_factory=dict)
    writes: int = 0
    unheard: tuple = ()
    """Connectors of whose lag nothing may be said."""


def rivven_frozen(process):
    process.rivven.pause()


def rivven_thaws(process):
    process.rivven.resume()


def rivven_ends(process):
    process.rivven.kill()


def rivven_begins(process):
    process.rivven.start()


def kafka_ends(process):
    process.kafka.kill()


def kafka_begins(process):
    process.kafka.start()


def both_paused(process):
    for name in ("in", "out"):
        process.tell(name, "pause")


def both_resumed(process):
    for name in ("in", "out"):
        process.tell(name, "resume")


BOTH_UNKNOWN = {"in": NOT_KNOWN, "out": NOT_KNOWN}
BOTH_WAIT = {"in": "waiting", "out": "waiting"}
FAULTS = {
    "Rivven is frozen": Fault(
        rivven_frozen,
        rivven_thaws,
        503,
        BOTH_UNKNOWN,
        ("source in: waiting", "Rivven does not answer", "sink out: waiting"),
        BOTH_WAIT,
        unheard=("out",),
    ),
    "Rivven is away": Fault(
        rivven_ends, rivven_begins, 503, BOTH_UNKNOWN, ("source in: waiting", "sink out: waiting"), BOTH_WAIT
    ),
    "Kafka is away": Fault(
        kafka_ends,
        kafka_begins,
        503,
        BOTH_UNKNOWN,
        ("the coordinator of the Kafka group does not answer", "Kafka does not answer"),
        BOTH_WAIT,
        unheard=("in",),
    ),
    "both are told to read nothing": Fault(
        both_paused,
        both_resumed,
        200,
        {"in": BEHIND, "out": (True,)},
        states={"in": "paused", "out": "paused"},
        writes=5,
    ),
}


@pytest.mark.timeout(240)
def test_while_something_is_wrong_and_afterwards(own_kafka, own_rivven, topic_name, tmp_path, port):
    process = Process(own_kafka, own_rivven, topic_name, tmp_path, port)

    def well():
        told = process.told()
        return told.ready.code == 200 and [told.caught_up(name) for name in ("in", "out")] == [True, True]

    with process.connector as connector:
        wait_until(lambda: "listening" in connector.log(), 30, connector.log_tail)
        process.write(10)
        wait_until(process.arrived, 60, connector.log_tail)
        for what, fault in FAULTS.items():
            wait_until(well, 45, lambda what=what: f"before {what}: {process.told()}, {connector.log_tail()}")
            fault.begin(process)
            if fault.writes:
                process.write(fault.writes)

            def seen(fault=fault):
                told = process.told()
                assert told.live == 200
                return (
                    told.ready.code == fault.ready
                    and all(reason in str(told.ready.json["reasons"]) for reason in fault.reasons)
                    and all(told.connectors[name]["status"] == state for name, state in fault.states.items())
                    and all(told.caught_up(name) in may for name, may in fault.caught_up.items())
                    and not any(told.samples.get((name, "lag_records")) for name in fault.unheard)
                    and not told.disagrees()
                )

            wait_until(seen, 30, lambda what=what: f"{what}: {process.told()}, {process.told().disagrees()}")
            # And it stays so.
            for _ in range(3):
                assert seen(), f"{what}: {process.told()}"
                time.sleep(0.3)
            fault.end(process)
        wait_until(well, 45, lambda: f"{process.told()}, {connector.log_tail()}")
        # Nobody is blamed for what Rivven did: Kafka was away once.
        blamed = re.findall(r"waits: Kafka does not answer connector=out", connector.log())
        assert len(blamed) == 1, connector.log()
        wait_until(process.arrived, 30, connector.log_tail)
        assert connector.stop() == 0, connector.log_tail()


@pytest.mark.timeout(120)
def test_a_stall(kafka, own_rivven, topic_name, tmp_path, port):
    process = Process(
        kafka,
        own_rivven,
        topic_name,
        tmp_path,
        port,
        {"delivery_timeout_ms": 2_500},
        stall_timeout_ms=3_000,
    )
    with process.connector as connector:
        wait_until(lambda: "listening" in connector.log(), 30, connector.log_tail)
        process.write(10)
        wait_until(process.arrived, 60, connector.log_tail)
        wait_until(lambda: process.told().caught_up("in"), 30, lambda: str(process.told()))
        own_rivven.pause()
        process.write(5)

        def stalled():
            told = process.told()
            assert told.live == 200
            return told.ready.code == 503 and told.connectors["in"]["stalled"] != []

        wait_until(stalled, 30, lambda: str(process.told()))
        told = process.told()
        assert (told.samples["in", "stalled_partitions"], told.caught_up("in") is True) == ([1], False)
        assert "stalled since" in str(told.ready.json["reasons"])
        own_rivven.resume()
        wait_until(lambda: process.told().caught_up("in"), 45, lambda: str(process.told()))
        wait_until(process.arrived, 30, connector.log_tail)


@pytest.mark.timeout(120)
def test_a_stop_that_cannot_deliver(kafka, own_rivven, topic_name, tmp_path, port):
    process = Process(kafka, own_rivven, topic_name, tmp_path, port)
    with process.connector as connector:
        wait_until(lambda: "listening" in connector.log(), 30, connector.log_tail)
        process.write(10)
        wait_until(process.arrived, 60, connector.log_tail)
        own_rivven.pause()
        process.write(5)

        def age():
            partitions = process.told().connectors["in"]["lag"]["partitions"]
            return partitions[0]["seconds"] if partitions and partitions[0]["seconds"] else 0

        wait_until(lambda: process.told().caught_up("in") is False, 30, lambda: str(process.told()))
        wait_until(lambda: age() > 2, 30, lambda: str(process.told()))
        connector.send(signal.SIGTERM)
        answers = []

        def stopping():
            # The process ends soon: what is judged is the answer in which it was seen.
            answers.append(process.told())
            return answers[-1].connectors["in"]["status"] == "stopping"

        wait_until(stopping, 10, lambda: str(answers[-1]))
        told = answers[-1]
        assert (told.live, told.ready.code, told.health.code) == (200, 503, 503)
        assert [told.caught_up(name) is True for name in ("in", "out")] == [False, False]
        assert not told.disagrees()
        own_rivven.resume()
        connector.wait()


@pytest.mark.timeout(120)
def test_what_has_given_up_knows_nothing(kafka, rivven, topic_name, tmp_path, port):
    """Of two connectors one has a start offset that its log does not have, which no restart mends."""
    process = Process(kafka, rivven, topic_name, tmp_path, port)
    document = process.document
    document["sinks"]["lost"] = {
        **document["sinks"]["out"],
        "consumer_group": f"lost-{process.copy}",
        "start_offset": {"offsets": {document["sinks"]["out"]["topics"][0]: {0: 1_000_000}}},
    }
    with Connector(tmp_path, document) as connector:
        wait_until(lambda: "listening" in connector.log(), 30, connector.log_tail)
        process.write(10)
        wait_until(lambda: process.told().connectors["lost"]["status"] == "failed", 30, connector.log_tail)
        wait_until(lambda: process.told().caught_up("in"), 30, lambda: str(process.told()))
        told = process.told()
        assert (told.live, told.ready.code, told.health.code) == (200, 503, 503)
        assert "sink lost: failed" in str(told.ready.json["reasons"])
        assert (told.caught_up("lost"), told.connectors["lost"]["lag"]["partitions"]) == (None, [])
        assert ("lost", "caught_up") not in told.samples
        assert ("lost", "lag_records") not in told.samples
        assert told.samples["lost", "running"] == told.samples["lost", "assigned_partitions"] == [0]
        assert (told.samples["lost", "failed"], told.samples["in", "failed"]) == ([1], [0])
        assert told.samples["in", "assigned_partitions"] == [1]
        assert not told.disagrees()


@pytest.mark.timeout(120)
def test_a_login_that_is_refused_and_one_with_a_token(rivven, topic_name, tmp_path, port):
    with LoginKafka({"bridge": "right"}) as kafka:
        topic = topic_name()
        create_topic(kafka.bootstrap, topic, 1)
        logins = {
            "refused": {"sasl_mechanism": "PLAIN", "sasl_username": "bridge", "sasl_password": "wrong"},
            "token": {"sasl_mechanism": "OAUTHBEARER", "oauth_token": unsigned_token("bridge", 3_600)},
        }
        document = source_file(kafka.plain_login, rivven.bootstrap, topic, topic, f"g-{topic}", **QUICK)
        entry = document["sources"].pop("in")
        for name, login in logins.items():
            security = {"protocol": "SASL_PLAINTEXT", **login}
            config = {**entry["config"], "security": security, "consumer_group": f"{name}-{topic}"}
            document["sources"][name] = {**entry, "config": config}
        document["settings"] = {"health": {"enabled": True, "port": port.number}}
        with Connector(tmp_path, document) as connector:
            wait_until(lambda: "listening" in connector.log(), 30, connector.log_tail)
            wait_until(lambda: Told(port.address).caught_up("token"), 45, connector.log_tail)
            wait_until(
                lambda: Told(port.address).connectors["refused"]["last_error"] is not None,
                30,
                connector.log_tail,
            )
            told = Told(port.address)
        assert (told.live, told.ready.code, told.health.code) == (200, 503, 503)
        assert "source refused: " in str(told.ready.json["reasons"])
        assert "does not accept the credentials" in str(told.ready.json["reasons"])
        assert told.connectors["refused"]["status"] in ("failed", "restarting")
        assert told.caught_up("refused") is None
        for name in ("caught_up", "lag_records", "token_expiry_timestamp_seconds"):
            assert ("refused", name) not in told.samples
        [expiry] = told.samples["token", "token_expiry_timestamp_seconds"]
        assert expiry == pytest.approx(time.time() + 3_600, abs=60)
        assert not told.disagrees()
