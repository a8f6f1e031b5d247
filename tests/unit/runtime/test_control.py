"""Who may pause, resume and restart connectors over HTTP, and what they are told."""

import io
import json
import threading
from wsgiref.util import setup_testing_defaults

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from rivven_kafka.config import Settings
from rivven_kafka.errors import ConfigError
from rivven_kafka.runtime.connector import Connector
from rivven_kafka.runtime.control import Control
from rivven_kafka.runtime.http import Application
from rivven_kafka.runtime.turn import Turn

TOKEN = "control-token-0123456789"
GOOD = f"Bearer {TOKEN}"


class Recorder(Connector):
    """A connector that only notes what it is told."""

    def __init__(self, name, ended=False):
        self.told = []
        self.ended = ended
        self._name = name

    name = property(lambda self: self._name)

    def pause(self):
        self.told.append("pause")

    def resume(self):
        self.told.append("resume")

    def restart(self):
        self.told.append("restart")
        return not self.ended


class Some:
    """Connectors by name."""

    def __init__(self, *connectors):
        self.all = connectors

    def named(self, name):
        return [connector for connector in self.all if connector.name == name]


class Nothing:
    """Reports of nothing."""

    registry = staticmethod(CollectorRegistry)
    ready = health = staticmethod(lambda: (True, {}))
    status = staticmethod(dict)


def call(connectors, path, token=GOOD, method="POST", body=b"", given=TOKEN, **more):
    environ = {}
    setup_testing_defaults(environ)
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body)}
    environ |= {"CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "192.0.2.7", **more}
    if token is not None:
        environ["HTTP_AUTHORIZATION"] = token
    control = Control(Some(*connectors), None if given is None else SecretStr(given))
    answer = {}

    def start(status, headers):
        answer.update(status=int(status[:3]), headers=dict(headers))

    [content] = Application(Nothing(), "/health", control)(environ, start)
    return answer["status"], json.loads(content) if content else None, answer["headers"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("action", ["pause", "resume", "restart"])
def test_whoever_knows_the_token_is_obeyed(method, action):
    mine, other = Recorder("in"), Recorder("out")
    status, body, _ = call([mine, other], f"/connectors/in/{action}", method=method)
    assert (status, body) == (202, {"name": "in", "action": action})
    assert (mine.told, other.told) == ([action], [])


def test_a_source_and_a_sink_of_one_name_are_told_both():
    both = [Recorder("same"), Recorder("same")]
    assert call(both, "/connectors/same/restart")[0] == 202
    assert [each.told for each in both] == [["restart"], ["restart"]]
    both[0].ended = True
    assert call(both, "/connectors/same/restart")[0] == 409
    assert [each.told for each in both] == [["restart"] * 2, ["restart"] * 2]


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (None, 401), ("", 401), ("Bearer", 401), ("Bearer ", 401), ("Basic " + TOKEN, 401), (TOKEN, 401),
        ("Bearer x", 403), (f"Bearer {TOKEN}x", 403), (f"Bearer {TOKEN[:-1]}", 403), ("Bearer " + TOKEN.upper(), 403),
        ("Bearer \xfc\xff", 403), ("bearer  " + TOKEN, 202), (GOOD, 202),
    ],
)  # fmt: skip
def test_nobody_else_is(token, expected, caplog):
    connector = Recorder("in")
    status, body, headers = call([connector], "/connectors/in/pause", token)
    assert status == expected
    assert connector.told == ["pause"] * (expected == 202)
    assert (headers.get("WWW-Authenticate", "").startswith("Bearer")) is (expected == 401)
    assert TOKEN not in json.dumps(body) + caplog.text
    assert ("192.0.2.7" in caplog.text) is (expected != 202)
    # Without the token nobody learns which connectors there are.
    if expected != 202:
        assert call([connector], "/connectors/none/pause", token)[:2] == (status, body)


def test_what_is_not_there_is_not_found():
    connector = Recorder("in")
    for path in ("/connectors/out/pause", "/connectors/in/stop", "/connectors/in", "/connectors//pause"):
        assert call([connector], path)[0] == 404
    for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
        status, _, headers = call([connector], "/connectors/in/pause", method=method)
        assert (status, headers["Allow"]) == (405, "POST, PUT")
    assert connector.told == []


def test_without_a_token_in_the_file_there_are_no_such_paths():
    connector = Recorder("in")
    assert call([connector], "/connectors/in/pause", given=None)[0] == 404
    assert call([connector], "/connectors/in/pause", "Bearer ", given=None)[0] == 404
    assert connector.told == []


def test_names_are_text():
    for name in ("bücher/neu", "a b", "pause"):
        connector = Recorder(name)
        path = f"/connectors/{name}/pause".encode().decode("latin-1")
        assert (call([connector], path)[0], connector.told) == (202, ["pause"])


@pytest.mark.parametrize(("length", "expected"), [(4096, 202), (4097, 413)])
def test_a_body_is_read_up_to_a_bound(length, expected):
    connector = Recorder("in")
    assert call([connector], "/connectors/in/pause", body=b"x" * length)[0] == expected
    for wrong in ("-1", "x", "1" * 5000, "٣"):
        assert call([connector], "/connectors/in/pause", CONTENT_LENGTH=wrong)[0] == 413


def test_other_paths_change_nothing_and_need_no_token():
    assert call([], "/status", None, "GET")[0] == 200
    assert call([], "/status", GOOD, "POST")[0] == 405


def settings(**control):
    return Settings(health={"enabled": True}, control=control)


def test_the_token_is_checked_and_never_shown():
    assert TOKEN not in repr(settings(token=TOKEN))
    for wrong in (
        "short",
        "with spaces in it 12",
        "umlaut-ü-0123456789",
        "equals=in=the=middle",
        TOKEN + "\n",
    ):
        with pytest.raises(ConfigError) as raised:
            settings(token=wrong)
        assert str(raised.value).startswith("control.token: got ***: expected at least 16 letters")
    with pytest.raises(ConfigError, match=r"control.token: not used while nothing is served"):
        Settings(control={"token": TOKEN})


def test_a_turn_ends_with_the_process_or_alone():
    stop = threading.Event()
    first, second = Turn(stop), Turn(stop)
    first.set()
    assert (first.is_set(), second.is_set()) == (True, False)
    assert first.wait(0)
    assert not second.wait(0.01)
    threading.Timer(0.05, stop.set).start()
    assert second.wait(10)
    assert second.is_set()
