"""What examples/deploy promises: the configurations load, the command lines parse, there is time to stop."""

import configparser
import itertools
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.main import build_parser
from rivven_kafka.config import load_connect_file
from rivven_kafka.runtime import runner

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "examples" / "deploy"
IGNORED = (DEPLOY / "Dockerfile.dockerignore").read_text().split()


@pytest.fixture(scope="module")
def manifest():
    """The documents of the Kubernetes manifest, by kind."""
    return {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}


@pytest.fixture(scope="module")
def pod(manifest):
    return manifest["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture
def mapped(manifest, pod, tmp_path):
    """The configuration of the manifest, with the secrets of the pod."""
    [container] = pod["containers"]
    text = manifest["ConfigMap"]["data"]["connect.yaml"]
    secrets = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}["secrets"]
    for name in re.findall(rf"{secrets}/([\w.-]+)", text):
        (tmp_path / name).write_text("secret")
    (tmp_path / "connect.yaml").write_text(text.replace(secrets, str(tmp_path)))
    variables = {variable["name"]: "0123456789abcdef" for variable in container["env"]}
    return load_connect_file(tmp_path / "connect.yaml", variables)


def unit():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(DEPLOY / "rivven-kafka.service")
    return parser["Service"]


def instructions():
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, rest in lines]


def test_the_probes_ask_what_is_served(mapped, pod):
    [container] = pod["containers"]
    [port] = container["ports"]
    health = mapped.settings.health
    assert health.enabled
    assert health.host == "0.0.0.0"
    assert port["containerPort"] == health.port
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("liveness", "readiness")}
    assert probes == {
        "liveness": {"path": "/live", "port": port["name"]},
        "readiness": {"path": "/ready", "port": port["name"]},
    }


def test_the_service_and_the_annotations_lead_to_the_metrics(manifest, mapped):
    [port] = manifest["Service"]["spec"]["ports"]
    assert mapped.settings.metrics.enabled
    assert port["port"] == mapped.settings.metrics.port
    template = manifest["Deployment"]["spec"]["template"]["metadata"]
    assert template["annotations"]["prometheus.io/port"] == str(mapped.settings.metrics.port)
    labels = template["labels"]
    assert manifest["Service"]["spec"]["selector"] == labels
    assert manifest["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert manifest["Deployment"]["spec"]["selector"]["matchLabels"] == labels


def test_there_is_time_to_stop(mapped, pod):
    entries = [*mapped.sources.values(), *mapped.sinks.values()]
    longest = max(entry.config.shutdown_timeout_ms for entry in entries) / 1000 + runner._ABANDON_AFTER_S
    assert pod["terminationGracePeriodSeconds"] > longest
    assert int(unit()["TimeoutStopSec"]) > longest
    page = (ROOT / "docs" / "deployment.md").read_text()
    assert all(int(seconds) > longest for seconds in re.findall(r"--stop-timeout (\d+)", page))


def test_the_image_and_the_pod_run_the_same_user_and_program(pod):
    found = dict(instructions())
    assert found["USER"] == "10001:10001"
    assert pod["securityContext"]["runAsUser"] == 10001
    entry, command = json.loads(found["ENTRYPOINT"]), json.loads(found["CMD"])
    [container] = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    for arguments in (command, container["args"], ["validate"]):
        parsed = build_parser().parse_args([*entry[1:], *arguments])
        assert Path(parsed.config).parent == Path(mounts["config"])
    assert found["STOPSIGNAL"] == "SIGTERM"


def test_what_the_image_is_built_from_exists_and_is_not_ignored():
    copied = [rest.split()[:-1] for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    kept = [line[1:] for line in IGNORED if line.startswith("!")]
    for name in itertools.chain(*copied):
        assert (ROOT / name).exists(), name
        assert any(name == one or one.startswith(f"{name}/") for one in kept), name
    assert all((ROOT / one).exists() for one in kept)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [[install]] = [
        re.findall(r"pip install .*'\.\[(.*)\]'", rest) for name, rest in instructions() if "pip" in rest
    ]
    # What an option of the file needs is there, also that of settings.otlp.
    assert set(install.split(",")) == {"msk", "otel"} <= set(project["optional-dependencies"])


def test_the_targets_that_cargo_lists_are_copied_too():
    """Cargo refuses a manifest whose benches or examples are not there."""
    cargo = tomllib.loads((ROOT / "ext" / "Cargo.toml").read_text())
    kept = [line[1:] for line in IGNORED if line.startswith("!ext")]
    for kind, directory in (("bench", "benches"), ("example", "examples")):
        if cargo.get(kind):
            assert f"ext/{directory}" in kept


def test_the_unit_runs_the_command_and_leaves_a_wrong_configuration_alone():
    service = unit()
    program, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name == "rivven-kafka"
    assert build_parser().parse_args(arguments).config == "/etc/rivven-kafka/connect.yaml"
    # Its exit code would not count for what follows.
    assert "ExecStartPre" not in service
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == str(exit_codes.BAD_CONFIG)


def test_wheels_are_configured_for_every_python_that_is_supported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    builds = project["tool"]["cibuildwheel"]["build"].split()
    oldest = int(project["project"]["requires-python"].removeprefix(">=3."))
    assert builds == [f"cp3{minor}-*" for minor in range(oldest, oldest + len(builds))]
    assert len(builds) == 4


def test_the_manual_page_knows_every_command_and_option():
    page = re.sub(r"\\f.|\\([,/])", "", (ROOT / "docs" / "man" / "rivven-kafka.1").read_text()).replace(
        "\\", ""
    )
    parser = build_parser()
    commands = parser._subparsers._group_actions[0].choices
    sections = dict(re.findall(r"^\.SS rivven-kafka ([\w-]+)\n(.*?)(?=^\.SS|\Z)", page, re.M | re.S))
    assert list(sections) == list(commands)
    for name, command in commands.items():
        options = [option for action in command._actions[1:] for option in action.option_strings]
        assert [option for option in options if option not in sections[name]] == [], name
