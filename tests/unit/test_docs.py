"""The user guide: what it shows is loaded, parsed and compiled, and the site needs nothing from elsewhere.

The rules for the YAML blocks of docs/ and README.md:

* A block without a title is a whole configuration file, in either shape, and is loaded as one.
* A block with a title such as `sources.orders.config` is a part. It is laid over that place of the smallest file
  that has a source `orders` and a sink `replica`, and the result is loaded.

Either way, a wrong option or value fails. Both also have to pass the JSON Schemas of `rivven-kafka spec`.
"""

import ast
import copy
import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import rivven_kafka
import yaml
from jsonschema import Draft202012Validator
from rivven_kafka.cli.main import build_parser
from rivven_kafka.cli.schema import file_schema, single_schema
from rivven_kafka.config import (
    BrokerConfig,
    ConnectConfig,
    KafkaSinkConfig,
    KafkaSourceConfig,
    SecurityConfig,
    Settings,
    SinkEntry,
    SourceEntry,
    load_connect_file,
)

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)(?: title=\"(?P<title>[^\"]*)\")?\n(?P<text>.*?)^(?P=indent)```$",
    re.M | re.S,
)
SMALLEST = {
    "broker": {"bootstrap_servers": ["rivven1:9092"], "cluster_name": "rivven-eu"},
    "sources": {
        "orders": {
            "connector": "kafka",
            "topic": "orders",
            "config": {"brokers": "kafka1:9092", "topic": "orders"},
        }
    },
    "sinks": {
        "replica": {
            "connector": "kafka",
            "topics": ["orders"],
            "consumer_group": "kafka-producer",
            "config": {"brokers": "kafka1:9092", "topic": "orders-replica"},
        }
    },
}
# Of a set of options where only one may be given, the one of the smallest file makes room.
EXCLUSIVE = {"topic": ("topics", "topics_regex")}
SECRETS = "/run/secrets/"
MODELS = {"KafkaSource": KafkaSourceConfig, "KafkaSink": KafkaSinkConfig}


def blocks(*languages):
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            if match["language"] in languages:
                place = f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}"
                code = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.M)
                found.append(pytest.param(code, match["title"], id=place))
    assert found
    return found


def laid_over(base, part):
    """`base` with the mappings in `part` merged in, and anything else replaced."""
    if not isinstance(base, dict) or not isinstance(part, dict):
        return part
    kept = {key: value for key, value in base.items() if not set(EXCLUSIVE.get(key, ())) & set(part)}
    return {**kept, **{key: laid_over(kept.get(key), value) for key, value in part.items()}}


def whole(part, title):
    """The file that the block stands for."""
    if title is None:
        return part
    for step in reversed(title.split(".")):
        part = {step: part}
    return laid_over(copy.deepcopy(SMALLEST), part)


def load(data, tmp_path):
    """Loads a file; every variable without a default has a value, and every secret file exists."""
    text = yaml.safe_dump(data, allow_unicode=True)
    for name in re.findall(rf"\$\{{file:{SECRETS}([\w-]+)\}}", text):
        (tmp_path / name).write_text("secret")
    (tmp_path / "connect.yaml").write_text(text.replace(f"file:{SECRETS}", "file:"))
    # A variable with a default keeps it.
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)(?:\}|:\?)", text), "secret-0123456789")
    return load_connect_file(tmp_path / "connect.yaml", variables)


@pytest.mark.parametrize(("text", "title"), blocks("yaml"))
def test_yaml_blocks_are_configurations(text, title, tmp_path):
    data = whole(yaml.safe_load(text), title)
    schema = single_schema() if "type" in data else file_schema(ConnectConfig)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(data)] == []
    load(data, tmp_path)


# Those for Prometheus are its own.
EXAMPLES = sorted(
    path for path in (ROOT / "examples").glob("*.yaml") if not path.name.startswith("prometheus-")
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_configurations(path, tmp_path):
    load(yaml.safe_load(path.read_text()), tmp_path)


def test_a_wrong_option_in_a_part_would_be_noticed(tmp_path):
    for title in ("sources.orders.config", "sinks.replica", "settings.retry", "broker"):
        with pytest.raises(Exception, match="nonsense: unknown key"):
            load(whole({"nonsense": 1}, title), tmp_path)


def command_lines():
    """Every `rivven-kafka ...` with arguments, in blocks and in running text."""
    found = {}
    for page in PAGES:
        text = page.read_text()
        lines = [line for match in FENCE.finditer(text) for line in match["text"].splitlines()]
        # In a block a command stands behind a prompt, a path or a substitution; output does not mention it.
        arguments = [m[1] for line in lines for m in re.finditer(r"rivven-kafka (?=-|[a-z]+\b)(.*)", line)]
        arguments += re.findall(r"`rivven-kafka ([^`]+)`", FENCE.sub("", text))
        for line in arguments:
            found[f"{page.name}: {line}"] = re.split(r"[#|>;)]|&&", line)[0]
    return [pytest.param(arguments, id=name) for name, arguments in found.items()]


@pytest.mark.parametrize("arguments", command_lines())
def test_command_lines_parse(arguments):
    build_parser().parse_args(shlex.split(arguments))


def test_every_command_is_described():
    page = (ROOT / "docs" / "command-line.md").read_text()
    commands = build_parser()._subparsers._group_actions[0].choices
    assert [name for name in commands if f"| `{name}` |" not in page] == []
    assert [name for name in commands if not re.search(rf"^\$ .*rivven-kafka .*\b{name}\b", page, re.M)] == []


@pytest.mark.parametrize(("text", "_title"), blocks("python"))
def test_python_blocks_compile_and_their_names_exist(text, _title):
    tree = ast.parse(text)
    compile(tree, "block", "exec")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []
        elif isinstance(node, ast.Import):
            for name in node.names:
                importlib.import_module(name.name)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MODELS:
            given = {keyword.arg for keyword in node.keywords}
            assert given - set(MODELS[node.func.id].model_fields) == set()


@pytest.mark.parametrize(("text", "_title"), blocks("json"))
def test_json_blocks_are_json(text, _title):
    json.loads(text)


@pytest.mark.parametrize(
    ("pages", "model"),
    [
        ("source.md topics.md", KafkaSourceConfig),
        ("source.md", SourceEntry),
        ("sink.md", KafkaSinkConfig),
        ("sink.md", SinkEntry),
        ("security.md", SecurityConfig),
        ("configuration.md", BrokerConfig),
        ("monitoring.md configuration.md", Settings),
    ],
)
def test_every_option_is_explained(pages, model):
    text = "".join((ROOT / "docs" / page).read_text() for page in pages.split())
    options = [name for name, field in model.model_fields.items() if "ot supported" not in field.description]
    assert [name for name in options if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_site_is_built_without_warnings_and_loads_nothing_from_elsewhere(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        loaded = re.findall(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"([^\"]+)\"", page.read_text())
        loaded += re.findall(r"<link\b[^>]*\bhref=\"([^\"]+)\"", page.read_text())
        assert [address for address in loaded if re.match(r"(?:https?:)?//", address)] == []


def test_the_options_that_mean_nothing_to_a_python_program_are_named():
    package = Path(rivven_kafka.__path__[0])
    files = ("source.py", "kafka/events.py", "kafka/credentials.py")
    code = "".join((package / name).read_text() for name in files)
    used = set(re.findall(r"\b_?config\.(\w+)", code))
    # Behind `topic_names` and `selects`.
    used |= {"topic", "topics", "topics_regex", "topics_exclude"}
    text = (ROOT / "docs" / "python.md").read_text().split("change nothing here:")[1].split(".")[0]
    assert set(re.findall(r"`(\w+)`", text)) == set(KafkaSourceConfig.model_fields) - used
