"""The licences of all that a wheel contains or needs are among those that ext/deny.toml allows.

Advisories need a network: `make audit` asks for them.
"""

import json
import os
import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
# Where rustup puts its tools, also where the shell does not look.
TOOLS = {**os.environ, "PATH": f"{os.environ['PATH']}:{Path.home() / '.cargo' / 'bin'}"}
ALLOWED = set(tomllib.loads((ROOT / "ext" / "deny.toml").read_text())["licenses"]["allow"])
# Python packages only, which are installed beside ours as they are: those of typing_extensions and shtab, and the
# words of metadata that is older than SPDX.
ALLOWED_IN_PYTHON = ALLOWED | {
    "PSF-2.0",
    "MPL-2.0",
    "Apache License 2.0",
    "BSD License",
    "MIT License",
    "Apache Software License",
}
TOKEN = re.compile(r"\(|\)|\bOR\b|\bAND\b|/|[^()/\s]+(?: WITH \S+)?")


def accepts(expression, allowed=ALLOWED):
    """Whether a licence expression can be met with the licences allowed."""
    tokens = TOKEN.findall(expression)

    def either():
        found = both()
        while tokens and tokens[0] in ("OR", "/"):
            tokens.pop(0)
            # Both sides are read in any case.
            found = both() or found
        return found

    def both():
        found = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            found = one() and found
        return found

    def one():
        token = tokens.pop(0)
        if token != "(":
            return token in allowed
        found = either()
        assert tokens.pop(0) == ")"
        return found

    found = either()
    assert not tokens, expression
    return found


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("MIT", True), ("GPL-3.0-only", False), ("MIT OR GPL-3.0-only", True), ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False), ("MIT/Apache-2.0", True), ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
        ("(MIT OR Apache-2.0) AND GPL-2.0", False), ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", True),
        ("GPL-2.0 WITH Classpath-exception-2.0", False),
    ],
)  # fmt: skip
def test_expressions_are_read(expression, good):
    assert accepts(expression) is good


def test_the_crates():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline"]
    host = re.search(r"host: (\S+)", subprocess.check_output(["rustc", "-vV"], text=True, env=TOOLS))[1]
    done = subprocess.run(
        [*command, "--filter-platform", host],
        cwd=ROOT / "ext",
        capture_output=True,
        text=True,
        check=False,
        env=TOOLS,
    )
    assert done.returncode == 0, done.stderr
    crates = json.loads(done.stdout)["packages"]
    assert len(crates) > 50
    assert [
        (crate["name"], crate["license"]) for crate in crates if not accepts(crate["license"] or "none")
    ] == []
    registry = "registry+https://github.com/rust-lang/crates.io-index"
    assert {crate["source"] for crate in crates} == {registry, None}
    assert [crate["name"] for crate in crates if crate["source"] is None] == ["rivven-kafka-native"]


def needed(name, extras, found):
    """Adds a distribution and all that it needs, by their licences."""
    if name in found:
        return
    try:
        meta = distribution(name)
    except PackageNotFoundError:
        # Needed elsewhere only.
        return
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in meta.metadata.get_all("Classifier") or []
        if "License ::" in each
    ]
    found[name] = meta.metadata["License-Expression"] or " AND ".join(classifiers) or meta.metadata["License"]
    for text in meta.requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            needed(requirement.name, requirement.extras, found)


def test_the_python_packages():
    found = {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in [*project["dependencies"], *project["optional-dependencies"]["msk"]]:
        requirement = Requirement(text)
        needed(requirement.name, requirement.extras, found)
    assert {"kafka-python", "pydantic-core", "botocore"} <= {name.replace("_", "-") for name in found}
    words = {name: re.sub(r"\b(Apache|BSD|MIT) (Software )?License\b", lambda m: m[0].replace(" ", "-"), text)
             for name, text in found.items()}  # fmt: skip
    allowed = {word.replace(" ", "-") if "License" in word else word for word in ALLOWED_IN_PYTHON}
    assert {name: text for name, text in words.items() if not accepts(text, allowed)} == {}
