"""The live page as it is served: whole, with a policy that allows its own script and style, and nothing else."""

import base64
import hashlib
import re
import tomllib
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest
from prometheus_client import CollectorRegistry
from rivven_kafka.runtime import page
from rivven_kafka.runtime.control import Control
from rivven_kafka.runtime.http import Application

ROOT = Path(__file__).parents[3]
FILES = Path(page.__file__).parent


class Nothing:
    """Reports of nothing."""

    registry = staticmethod(CollectorRegistry)
    ready = health = staticmethod(lambda: (True, {"of": "health"}))
    status = staticmethod(dict)


def ask(path, method="GET", health_path="/health"):
    environ = {}
    setup_testing_defaults(environ)
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path}
    answer = []
    application = Application(Nothing(), health_path, Control(None, None))
    [content] = application(environ, lambda status, headers: answer.extend((int(status[:3]), dict(headers))))
    return *answer, content


def test_the_page_is_read_and_nothing_else_is_done_there():
    code, headers, content = ask("/")
    assert (code, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert int(headers["Content-Length"]) == len(content) < 60_000
    assert ask("/", "HEAD") == (200, headers, b"")
    for path in ("/", "/events"):
        code, headers, _ = ask(path, "POST")
        assert (code, headers["Allow"]) == (405, "GET, HEAD")
    assert ask("/index.html")[0] == 404


def test_a_health_check_at_the_root_stays_there():
    assert b"of" in ask("/", health_path="/")[2]


def test_the_policy_allows_this_script_and_this_style_only():
    _, headers, content = ask("/")
    text = content.decode()
    policy = dict(each.strip().partition(" ")[::2] for each in headers["Content-Security-Policy"].split(";"))
    for name, directive in (("script", "script-src"), ("style", "style-src")):
        [inline] = re.findall(rf"<{name}[^>]*>(.*?)</{name}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert policy[directive] == f"'sha256-{digest}'"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_nothing_is_loaded_and_no_text_becomes_markup():
    text = ask("/")[2].decode()
    # That of the icon is a name, and is in no address.
    assert re.findall(r"https?://[^'\"\s]+", text) == ["http://www.w3.org/2000/svg"]
    assert re.findall(r"\b(?:src|srcset|style|on[a-z]+)=|@import|url\(", text) == []
    assert set(re.findall(r"href=\"(?!#|data:)([^\"]*)\"", text)) == {"status", "ready", "metrics"}
    dangerous = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|localStorage|cookie"
    )
    assert re.findall(dangerous, text) == []


@pytest.mark.parametrize("name", ["index.html", "style.css", "words.js", "card.js", "page.js"])
def test_its_files_are_part_of_the_package(name):
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert any(Path(name).match(pattern) for pattern in data["rivven_kafka.runtime.page"])
    manifest = (ROOT / "MANIFEST.in").read_text()
    assert f"*{Path(name).suffix}" in manifest
    assert (FILES / name).is_file()


def test_the_document_has_no_other_files():
    named = {"index.html", "style.css", "words.js", "card.js", "page.js", "__init__.py"}
    assert {path.name for path in FILES.iterdir() if path.is_file()} == named
