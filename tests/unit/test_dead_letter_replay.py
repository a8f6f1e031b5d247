"""Selecting dead letters, and the command line for it; the rest needs brokers."""

import re

import pytest
import yaml
from rivven_kafka.cli import main
from rivven_kafka.pipeline.dead_letter_replay import replay_group

from tests.support.connector import sink_file, source_file

RIVVEN_TAKES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def test_the_group_is_one_that_rivven_takes():
    names = ["orders", "o.r-d_ers", "or:ders", "or ders", "ключ", "x" * 300, "-", "a..b", "a..c"]
    groups = [replay_group(name) for name in names]
    assert groups[0] == "rivven-kafka-dlq.orders"
    assert len(set(groups)) == len(names)
    assert all(RIVVEN_TAKES.fullmatch(group) and len(group) <= 255 and ".." not in group for group in groups)


@pytest.fixture
def file(tmp_path):
    def write(source_letters, sink_letters):
        document = source_file("kafka:9092", "rivven:9092", "a", "b", "g")
        document |= sink_file("kafka:9092", "rivven:9092", "b", "c", "g")
        document["sinks"]["in"] = document["sinks"].pop("out")
        for kind, topic in (("sources", source_letters), ("sinks", sink_letters)):
            if topic is not None:
                document[kind]["in"]["dead_letter_topic"] = topic
        path = tmp_path / "connect.yaml"
        path.write_text(yaml.safe_dump(document))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("letters", "arguments", "told"),
    [
        (("d", None), ["--source", "out"], "--source: got 'out': expected one of: in"),
        (("d", None), ["--sink", "in"], "sinks.in.dead_letter_topic: missing: its letters lie there"),
        (("d", "d"), ["--sink", "in"], "got 'd', which source 'in' has too: expected another one"),
    ],
)
def test_a_connector_without_letters_of_its_own(capsys, file, letters, arguments, told):
    assert main.main(["dlq", "list", *arguments, "-c", file(*letters)]) == 78
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "one of the arguments --source --sink is required"),
        (["--source", "a", "--sink", "b"], "not allowed with argument"),
        (["--sink", "a", "--limit", "0"], "got '0': expected a number from 1"),
        (
            ["--sink", "a", "--since", "yesterday"],
            "got 'yesterday': expected a time with its offset from UTC",
        ),
        (["--sink", "a", "--since", "2026-01-31T12:00:00"], "expected a time with its offset from UTC"),
    ],
)
def test_wrong_arguments(capsys, arguments, told):
    assert main.main(["dlq", "replay", *arguments]) == 2
    assert told in capsys.readouterr().err
