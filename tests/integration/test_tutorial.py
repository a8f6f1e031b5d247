"""docs/tutorial.md, carried out: its files and command lines as they stand, with other addresses and names."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.integration.pipelines import rivven_records
from tests.support.connector import Connector, wait_until
from tests.support.digest import topic_digests
from tests.support.topics import end_offsets

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


@pytest.fixture
def page(kafka, rivven, topic_name):
    """The text of the page, with the addresses and names of this test."""
    here = {
        "127.0.0.1:9092": kafka.bootstrap,
        "127.0.0.1:9192": rivven.bootstrap,
        "orders-replica": topic_name(),
        "orders": topic_name(),
        "tutorial-replica": topic_name(),
        "tutorial": topic_name(),
        "look": topic_name(),
    }
    pattern = "|".join(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.py)" for name in here)
    return re.sub(pattern, lambda match: here[match[0]], PAGE.read_text())


@pytest.fixture
def shell(tmp_path):
    """A function that runs the commands of a block in a directory of its own."""
    programs = {
        "rivven-kafka": [sys.executable, "-m", "rivven_kafka.cli"],
        "kafka-python": [sys.executable, "-c", "from kafka.cli import run_cli; run_cli()"],
        "python": [sys.executable],
    }
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    for name, command in programs.items():
        program = bin_directory / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{bin_directory}:{os.environ['PATH']}"}

    def run(block):
        """Standard output of the commands, which stand behind prompts."""
        commands = "\n".join(re.findall(r"^\$ (.*)", block, re.M))
        done = subprocess.run(
            ["bash", "-ec", commands],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def block(page, language, words):
    """The first block of that language that contains `words`."""
    found = re.findall(rf"```{language}\n(.*?)```", page, re.S)
    return next(text for text in found if words in text)


def in_rivven(rivven, topic):
    """How many records a Rivven topic holds."""
    return sum(len(records) for records in rivven_records(rivven.bootstrap, topic).values())


def test_the_tutorial(page, shell, kafka, rivven, tmp_path):
    source = yaml.safe_load(block(page, "yaml", "sources:"))
    both = yaml.safe_load(block(page, "yaml", "sinks:"))
    [section] = source["sources"].values()
    origin = section["config"]["topic"]
    replica = both["sinks"]["replica"]["config"]["topic"]

    shell(block(page, "console", f"topics create -t {origin} "))
    (tmp_path / "fill.py").write_text(block(page, "python", "KafkaSink"))
    filling = block(page, "console", "fill.py")
    assert shell(filling) == filling.partition("\n")[2]
    assert all(count > 0 for count in end_offsets(kafka.bootstrap, origin).values())

    (tmp_path / "connect.yaml").write_text(block(page, "yaml", "sources:"))
    answers = shell(block(page, "console", "rivven-kafka validate")).splitlines()
    assert answers[0] == "ok"
    assert len(answers) > 1

    with Connector(tmp_path, source) as connector:
        wait_until(lambda: in_rivven(rivven, origin) == 1000, 60, connector.log_tail)
        assert connector.stop() == 0
    assert "exact: yes" in shell(block(page, "console", "rivven-kafka plan"))
    assert "verified" in shell(block(page, "console", "rivven-kafka migrate"))
    assert in_rivven(rivven, f"mirror.{origin}") == 1000
    assert "Everything up to the snapshot is in Rivven" in (tmp_path / "migration-kafka.html").read_text()
    assert " yes " in shell(block(page, "console", "rivven-kafka verify"))

    shell(block(page, "console", f"topics create -t {replica} "))
    with Connector(tmp_path, both) as connector:
        wait_until(
            lambda: sum(end_offsets(kafka.bootstrap, replica).values()) >= 1000, 60, connector.log_tail
        )
        assert connector.stop() == 0
    assert topic_digests(kafka.bootstrap, replica) == topic_digests(kafka.bootstrap, origin)

    look = block(page, "python", "KafkaSource").replace("print(", "break\n        print(")
    exec(compile(look, "look.py", "exec"), names := {})
    assert names["event"].topic == replica
