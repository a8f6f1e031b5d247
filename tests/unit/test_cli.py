"""The command: exit codes, what goes to which stream, and the formats of the log."""

import io
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rivven_kafka
from rivven_kafka.cli import exit_codes, logs, main
from rivven_kafka.errors import DeliveryError

GOOD = """
type: kafka-source
topic: events
config: {brokers: "kafka1:9092", topic: orders}
"""
BAD = """
type: kafka-source
topic: events
config:
  brokers: nowhere
  topic: orders
  security: {protocol: SASL_SSL, sasl_mechanism: PLAIN, sasl_username: u, sasl_pasword: hunter2}
"""


@pytest.fixture(autouse=True)
def _restore_logging():
    root, kafka = logging.getLogger(), logging.getLogger("kafka")
    before = root.handlers[:], root.level, kafka.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    kafka.setLevel(before[2])


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "connect.yaml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("place", ["before", "after"])
def test_validate_says_ok(file, capsys, place):
    option = ["-c", file(GOOD)]
    argv = [*option, "validate"] if place == "before" else ["validate", *option]
    assert main.main(argv) == 0
    assert capsys.readouterr() == ("ok\n", "")


def test_validate_lists_every_problem_and_no_secret(file, capsys):
    path = file(BAD)
    assert main.main(["-c", path, "validate"]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert "hunter2" not in err
    lines = [re.sub(r"^\S+Z ERROR ", "", line) for line in err.splitlines()]
    assert lines == [
        f"{path}:5: config.brokers[0]: got 'nowhere': expected host:port, with a port from 1 to 65535",
        f"{path}:7: config.security.sasl_pasword: unknown key; did you mean 'sasl_password'?",
    ]


def test_the_file_is_connect_yaml_unless_given(file, capsys, monkeypatch):
    monkeypatch.chdir(Path(file(GOOD)).parent)
    assert main.main(["validate"]) == 0
    monkeypatch.chdir("/")
    assert main.main(["validate"]) == 78
    assert "connect.yaml: cannot be read: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("part", "key"), [("source", "consumer_group"), ("sink", "acks"), ("connect", "sources")]
)
def test_spec_prints_a_schema(capsys, part, key):
    assert main.main(["spec", part]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["additionalProperties"] is False
    assert key in schema["properties"]


def test_version(capsys):
    assert main.main(["version"]) == 0
    assert capsys.readouterr().out.startswith("rivven-kafka ")


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["spec"], ["spec", "all"], ["validate", "--nonsense"]])
def test_wrong_arguments_exit_with_2(capsys, argv):
    assert main.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: rivven-kafka")


def test_help_exits_with_0(capsys):
    assert main.main(["--help"]) == 0
    assert "Exit codes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeliveryError("lost", topic="t", partition=1), exit_codes.FAILURE),
        (KeyboardInterrupt(), exit_codes.INTERRUPTED),
    ],
)
def test_errors_become_exit_codes(monkeypatch, capsys, error, code):
    class Failing:
        @staticmethod
        def add_parser(subparsers):
            return subparsers.add_parser("fail")

        @staticmethod
        def run(_args):
            raise error

    monkeypatch.setattr(main, "COMMANDS", (Failing,))
    assert main.main(["fail"]) == code
    if code == exit_codes.FAILURE:
        assert "ERROR lost [t:1]" in capsys.readouterr().err


def log_one(stream, log_format, *, verbose=False, color=False):
    logs.install(log_format, verbose=verbose, color=color, stream=stream)
    log = logging.getLogger("rivven_kafka.test")
    log.debug("hidden")
    log.warning("late by %d", 3, extra={"connector": "orders", "partition": 0, "error": ValueError("a b")})
    return stream.getvalue().splitlines()


def test_text_logs():
    lines = log_one(io.StringIO(), "text")
    assert len(lines) == 1
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING late by 3 connector=orders partition=0 error="a b"',
        lines[0],
    )


def test_json_logs():
    lines = [json.loads(line) for line in log_one(io.StringIO(), "json", verbose=True)]
    assert [line["msg"] for line in lines] == ["hidden", "late by 3"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", lines[1].pop("time"))
    assert lines[1] == {
        "level": "warning",
        "logger": "rivven_kafka.test",
        "msg": "late by 3",
        "connector": "orders",
        "partition": 0,
        "error": "a b",
    }


def test_colors_only_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert "\x1b[33mWARNING\x1b[0m" in log_one(Terminal(), "text", color=True)[0]
    assert "\x1b" not in log_one(Terminal(), "text", color=False)[0]
    assert "\x1b" not in log_one(io.StringIO(), "text", color=True)[0]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_tracebacks_are_logged(log_format):
    stream = io.StringIO()
    logs.install(log_format, verbose=False, color=False, stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("rivven_kafka.test").exception("failed")
    assert "ValueError: broken" in stream.getvalue()
    if log_format == "json":
        assert len(stream.getvalue().splitlines()) == 1


def test_as_a_process(file):
    def run(*argv):
        return subprocess.run(
            [sys.executable, "-m", "rivven_kafka.cli", *argv],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(Path(rivven_kafka.__path__[0]).parent)},
        )

    assert (run("validate", "-c", file(GOOD)).returncode, run("validate", "-c", file(BAD)).returncode) == (
        0,
        78,
    )
    bad = run("--log-format", "json", "validate", "-c", file(BAD))
    assert {json.loads(line)["level"] for line in bad.stderr.splitlines()} == {"error"}


def test_a_reader_that_has_gone_is_no_traceback():
    process = subprocess.run(
        f"{sys.executable} -m rivven_kafka.cli spec connect | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(rivven_kafka.__path__[0]).parent)},
    )
    assert process.stderr == ""


@pytest.mark.parametrize(
    ("level", "verbose", "ours", "kafka"),
    [
        ("debug", False, "DEBUG", "DEBUG"),
        ("info", False, "INFO", "WARNING"),
        ("warn", False, "WARNING", "WARNING"),
        ("warning", False, "WARNING", "WARNING"),
        ("error", False, "ERROR", "ERROR"),
        ("error", True, "DEBUG", "DEBUG"),
    ],
)
def test_the_level_of_the_log(level, verbose, ours, kafka):
    logs.set_level(level, verbose=verbose)
    levels = [logging.getLogger(name).getEffectiveLevel() for name in ("rivven_kafka.x", "kafka.x")]
    assert [logging.getLevelName(number) for number in levels] == [ours, kafka]
