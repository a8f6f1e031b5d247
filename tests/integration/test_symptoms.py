"""Symptoms of docs/troubleshooting.md that no other test shows."""

import subprocess
import sys
import threading

import pytest
import yaml
from rivven_kafka._native import Fetcher, RivvenClient

from tests.integration.connector_kit import QUICK, filled, rows_of
from tests.integration.pipelines import Running, rivven_records
from tests.support import RivvenBroker
from tests.support.connector import source_file, wait_until
from tests.support.topics import fill

pytestmark = pytest.mark.integration


@pytest.fixture
def document(kafka, rivven, topic_name):
    """A function that makes the configuration of a source over a topic with 20 records."""
    topic = filled(kafka, topic_name(), 20)

    def make(**config):
        made = source_file(kafka.bootstrap, rivven.bootstrap, topic, topic, f"g-{topic}")
        made["sources"]["in"]["config"] |= {**QUICK, **config}
        return made

    make.topic = topic
    return make


def values(rivven, topic):
    return [value for _, value in rivven_records(rivven.bootstrap, topic).get(0, [])]


@pytest.mark.symptom("`check` fails for `rivven`.")
def test_kafka_where_rivven_should_be(kafka, document, tmp_path):
    mixed_up = document() | {"broker": {"bootstrap_servers": [kafka.bootstrap], "request_timeout_ms": 2000}}
    mixed_up["settings"] = {"retry": {"max_retries": 0}}
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(mixed_up))
    command = [sys.executable, "-m", "rivven_kafka.cli", "-c", str(path), "check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    [failed] = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert "rivven" in failed.split()
    assert kafka.bootstrap in failed


@pytest.mark.symptom("The source logs no progress.")
def test_a_group_that_has_read_everything(kafka, rivven, document):
    with Running(document()) as running:
        wait_until(lambda: running.pipeline.delivered() == 20, 30, running.describe)
    with Running(document()) as running:
        wait_until(lambda: running.pipeline.assigned_since is not None, 30, running.describe)
        fill(kafka.bootstrap, document.topic, {0: rows_of(0, range(20, 21))})
        wait_until(lambda: running.pipeline.delivered() == 1, 30, running.describe)
    assert values(rivven, document.topic) == values(rivven, document.topic)[:21]
    # Another group begins at the beginning.
    with Running(document(consumer_group=f"other-{document.topic}")) as running:
        wait_until(lambda: running.pipeline.delivered() == 21, 30, running.describe)


@pytest.mark.symptom("The source logs no progress.")
def test_another_process_has_the_partitions(document):
    with Running(document()) as first:
        wait_until(lambda: first.pipeline.delivered() == 20, 30, first.describe)
        with Running(document()) as second:
            # It has been told that there is nothing left for it.
            wait_until(lambda: second.pipeline.assigned_since is not None, 30, second.describe)
            wait_until(lambda: first.pipeline.assigned_since is not None, 30, first.describe)
            assert len(first.pipeline.watchdog.lag) + len(second.pipeline.watchdog.lag) == 1


@pytest.mark.symptom("Without a crash.")
def test_two_groups_write_the_same_topic(rivven, document):
    with Running(document()) as first, Running(document(consumer_group=f"b-{document.topic}")) as second:
        wait_until(lambda: first.pipeline.delivered() == 20, 30, first.describe)
        wait_until(lambda: second.pipeline.delivered() == 20, 30, second.describe)
    assert len(values(rivven, document.topic)) == 40


@pytest.mark.symptom("Progress stops for a second now and then.")
def test_rivvend_limits_what_is_read():
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap])
        client.create_topic("t", 4)
        for partition in range(4):
            client.publish("t", partition, [(None, bytes(8 << 20))])
        fetchers = [Fetcher([broker.bootstrap], connections=1, max_buffered_bytes=64 << 20) for _ in range(4)]

        def read(fetcher, partition):
            # 200 MiB by all of them: more than a second's share.
            for _ in range(6):
                fetcher.assign([("t", partition, 0)])
                while not fetcher.poll(500):
                    pass

        threads = [threading.Thread(target=read, args=each) for each in zip(fetchers, range(4), strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(fetcher.stats()["throttled_ms"] for fetcher in fetchers) > 0
        for fetcher in fetchers:
            fetcher.close()
        client.close()
