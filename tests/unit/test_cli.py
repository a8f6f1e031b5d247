"""The command: exit codes, what goes to which stream, and the formats of the log."""

import argparse
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


def test_validate_warns_of_a_secret_that_others_can_read(file, capsys):
    section = "security: {protocol: SASL_SSL, sasl_mechanism: OAUTHBEARER, oauth_token: hunter2}"
    path = file(GOOD.replace("topic: orders}", f"topic: orders, {section}}}"))
    for mode, warned in ((0o600, False), (0o644, True)):
        Path(path).chmod(mode)
        assert main.main(["-c", path, "validate"]) == 0
        out, err = capsys.readouterr()
        assert (out, " WARNING " in err) == ("ok\n", warned)
        assert "hunter2" not in err
    assert f"config.security.oauth_token: {path} holds the secret itself, and others can read it" in err


@pytest.mark.parametrize("command", [["dlq", "list"], ["dlq", "replay"], ["repair"]])
def test_commands_that_connect_warn_of_what_is_not_safe(file, capsys, command):
    section = "security: {protocol: SASL_SSL, sasl_mechanism: OAUTHBEARER, oauth_token: hunter2}"
    path = file(
        "broker: {bootstrap_servers: [rivven:9092], tls: {enabled: true, insecure: true}}\n"
        "sources:\n"
        "  in: {connector: kafka, topic: events, config: {brokers: 'kafka1:9092', topic: orders, "
        + section
        + "}}\n"
    )
    Path(path).chmod(0o644)
    # Neither the name nor the option is there: the file is read, and no broker is asked.
    assert main.main(["-c", path, *command, "--source", "other"]) == 78
    err = capsys.readouterr().err
    assert " WARNING broker.tls.insecure: the certificate of Rivven is not checked" in err
    assert f"oauth_token: {path} holds the secret itself, and others can read it (mode 0644)" in err
    assert "hunter2" not in err


def test_validate_lists_every_problem_and_no_secret(file, capsys):
    path = file(BAD)
    assert main.main(["-c", path, "validate"]) == 78
    out, err = capsys.readouterr()
    assert err == ""
    assert "hunter2" not in out
    assert out.splitlines() == [
        f"{path}:5: config.brokers[0]: got 'nowhere': expected host:port, with a port from 1 to 65535",
        f"{path}:7: config.security.sasl_pasword: unknown key; did you mean 'sasl_password'?",
    ]


def test_validate_lists_problems_as_json(file, capsys):
    path = file(BAD + "a: 1\na: 2\n")
    assert main.main(["-c", path, "validate", "--format", "json"]) == 78
    out, err = capsys.readouterr()
    assert err == ""
    twice = "key 'a' is given twice, first in line 8"
    assert json.loads(out) == [{"file": path, "line": 9, "option": "", "problem": twice}]

    assert main.main(["-c", file(BAD), "validate", "--format", "json"]) == 78
    problems = json.loads(capsys.readouterr().out)
    assert [(problem["line"], problem["option"]) for problem in problems] == [
        (5, "config.brokers[0]"),
        (7, "config.security.sasl_pasword"),
    ]
    assert problems[1]["problem"] == "unknown key; did you mean 'sasl_password'?"

    assert main.main(["-c", file(GOOD), "validate", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_other_commands_log_every_problem(file, capsys):
    path = file(BAD)
    assert main.main(["-c", path, "run"]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    lines = [re.sub(r"^\S+Z ERROR ", "", line) for line in err.splitlines()]
    assert [line.split(": ")[0] for line in lines] == [f"{path}:5", f"{path}:7"]


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_file_in_which_everything_is_disabled_is_refused(file, capsys, command):
    entry = "{connector: kafka, topic: t, enabled: false, config: {brokers: 'k:9092', topic: t}}"
    path = file(f"broker: {{bootstrap_servers: 'r:9092'}}\nsources: {{in: {entry}}}\n")
    assert main.main(["-c", path, command]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{path}: every connector is disabled: expected at least one enabled" in err


def test_the_file_is_connect_yaml_unless_given(file, capsys, monkeypatch):
    monkeypatch.chdir(Path(file(GOOD)).parent)
    assert main.main(["validate"]) == 0
    monkeypatch.chdir("/")
    assert main.main(["validate"]) == 78
    assert "connect.yaml: cannot be read: No such file" in capsys.readouterr().out


def test_version(capsys):
    assert main.main(["version"]) == 0
    assert capsys.readouterr().out.startswith("rivven-kafka ")
    assert main.main(["version", "--format", "json"]) == 0
    versions = json.loads(capsys.readouterr().out)
    assert re.match(r"\d+\.\d+", versions["python"])
    assert re.match(r"3\.0\.", versions["kafka-python"])


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["spec"], ["spec", "all"], ["validate", "--nonsense"]])
def test_wrong_arguments_exit_with_2(capsys, argv):
    assert main.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: rivven-kafka")


COMMANDS = {command.__name__.rpartition(".")[2]: command for command in main.COMMANDS}


def help_of(capsys, *argv):
    assert main.main([*argv, "--help"]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_the_help_tells_of_commands_and_exit_codes(capsys):
    text = help_of(capsys)
    assert (
        "Exit codes: 0 ok, 1 failure, 2 wrong arguments, 3 partly done, 78 wrong configuration, 130" in text
    )
    assert "Move records between Apache Kafka and Rivven" in text
    for name in COMMANDS:
        assert f" {name} " in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_a_description_and_an_example_that_works(capsys, name):
    text = help_of(capsys, name)
    subparsers = argparse.ArgumentParser().add_subparsers()
    parser = COMMANDS[name].add_parser(subparsers)
    assert len(parser.description) > 40
    assert parser.description in text
    example = re.fullmatch(r"Example: (.*)", parser.epilog)[1]
    assert example in text
    argv = re.search(r"rivven-kafka ([^)|>]*)", example)[1].split()
    assert main.build_parser().parse_args(argv).run == COMMANDS[name].run


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


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("argv", "variable", "colored"),
    [([], None, True), ([], "", True), ([], "1", False), (["--no-color"], None, False)],
)
def test_colors_can_be_switched_off(file, monkeypatch, argv, variable, colored):
    monkeypatch.delenv("NO_COLOR", raising=False)
    if variable is not None:
        monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert main.main([*argv, "-c", file(BAD), "run"]) == 78
    assert ("\x1b[31mERROR" in sys.stderr.getvalue()) is colored


def test_colors_only_on_a_terminal():
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
    bad = run("--log-format", "json", "run", "-c", file(BAD))
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


@pytest.mark.parametrize("verbose", [False, True])
def test_what_kafka_python_says_of_itself_is_for_debugging(verbose):
    stream = io.StringIO()
    logs.install("text", verbose=verbose, color=False, stream=stream)
    log = logging.getLogger("kafka.cluster")
    log.error("Metadata refresh: failed %s", "Cancelled")
    log.warning("Task %r ran for 0.1s. It is blocking the event loop", "x")
    log.error("Metadata refresh: failed %s", "NodeNotReadyError")
    shown = [line.split(" ", 2)[2] for line in stream.getvalue().splitlines()]
    assert shown[-1] == "Metadata refresh: failed NodeNotReadyError"
    assert len(shown) == (3 if verbose else 1)


@pytest.mark.parametrize("verbose", [False, True])
def test_that_a_topic_is_missing_is_shown_once_a_minute(verbose):
    stream = io.StringIO()
    logs.install("text", verbose=verbose, color=False, stream=stream)
    log = logging.getLogger("kafka.cluster")
    for topic, seconds in [("a", 0), ("a", 1), ("b", 1), ("a", 59), ("a", 61), ("b", 60), ("b", 62)]:
        missing = log.makeRecord(
            log.name, logging.ERROR, "f", 1, "Topic %s not found in cluster metadata", (topic,), None
        )
        missing.created = 1_700_000_000.0 + seconds
        log.handle(missing)
    shown = [line.split("Topic ")[1][0] for line in stream.getvalue().splitlines()]
    assert shown == list("aabaabb" if verbose else "abab")


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


def test_parsing_the_command_line_loads_no_client_and_no_validation():
    code = (
        "import sys, rivven_kafka.cli.main as m; m.build_parser(); "
        "print([name for name in ('kafka', 'pydantic', 'yaml', 'prometheus_client', 'shtab') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
