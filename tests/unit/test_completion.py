"""The completion scripts, in a real bash."""

import shutil
import subprocess

import pytest
from rivven_kafka.cli import completion, main

BASH = shutil.which("bash")
COMPLETE = """
source ./completion.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
set -- $(complete -p rivven-kafka)
while [ "$1" != -F ]; do shift; done
"$2" rivven-kafka "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(capsys):
    def write(shell):
        assert main.main(["completion", shell]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return write


@pytest.fixture
def complete(script, tmp_path):
    """A function that returns what bash offers for the last word of a command line."""
    assert BASH is not None, "bash is needed"
    (tmp_path / "completion.bash").write_text(script("bash"))
    (tmp_path / "connect.yaml").touch()
    (tmp_path / "other.yaml").touch()

    def words(*line):
        done = subprocess.run(
            [BASH, "--norc", "-c", COMPLETE, "bash", "rivven-kafka", *line],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout.split()

    return words


def test_bash_accepts_the_script(script):
    subprocess.run([BASH, "-n"], input=script("bash"), text=True, check=True)


def test_commands(complete):
    names = {command.__name__.rpartition(".")[2] for command in main.COMMANDS}
    assert set(complete("")) == names
    assert complete("va") == ["validate"]
    assert complete("-c", "connect.yaml", "va") == ["validate"]


@pytest.mark.parametrize("command", [[], ["run"], ["validate"]])
def test_files(complete, command):
    assert complete(*command, "-c", "conn") == ["connect.yaml"]
    assert complete(*command, "--config", "o") == ["other.yaml"]


def test_options_and_their_values(complete):
    assert complete("run", "--log") == ["--log-format"]
    assert complete("run", "--log-format", "") == ["text", "json"]
    assert complete("validate", "--format", "j") == ["json"]
    assert complete("spec", "s") == ["source", "sink", "single"]
    assert complete("completion", "") == list(completion.SHELLS)


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_every_script_knows_every_command(script, shell):
    text = script(shell)
    for command in main.COMMANDS:
        assert command.__name__.rpartition(".")[2] in text
