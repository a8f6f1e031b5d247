"""docs/troubleshooting.md: every symptom is provoked by a test, and no test shows one that is not described."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()


def described():
    """The titles of the page: what stands in bold at the beginning of a paragraph."""
    return re.findall(r"^\*\*(.+?)\*\*", PAGE, re.M)


def provoked():
    """The titles that tests are marked with."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            for mark in getattr(function, "decorator_list", []):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.symptom":
                    yield ast.literal_eval(mark.args[0])


def test_every_symptom_is_provoked():
    titles = described()
    assert len(titles) == len(set(titles)) > 20
    assert sorted(set(titles)) == sorted(set(provoked()))
