"""Imports point down the list of docs/architecture.md only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "python" / "rivven_kafka"
# Parts of a line do not import each other.
LAYERS = [
    "cli",
    "migrate",
    "runtime plan verify repair offsets",
    "metrics",
    "pipeline",
    "source sink",
    "reading",
    "kafka rivven",
    "config catalog checks",
    "_events log_filter",
    "_native errors",
]
RANKS = {part: rank for rank, line in enumerate(LAYERS) for part in line.split()}


def imports(path):
    """The parts of the package that a module imports when it is loaded or used; not those of its types."""
    tree = ast.parse(path.read_text())
    typing = [
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    ]
    for node in ast.walk(tree):
        if node in typing:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rivven_kafka"):
            names = node.module.split(".")[1:2] or [alias.name for alias in node.names]
            yield from names
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("rivven_kafka."))


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE or path.stem in RANKS]


def test_every_part_has_a_layer():
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert parts - {"__init__"} == {part for part in RANKS if not part.startswith("_")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    upward = [part for part in imports(path) if part in RANKS and part != own and RANKS[part] <= RANKS[own]]
    assert upward == []
