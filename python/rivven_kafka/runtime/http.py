"""The HTTP servers of the running process, for load balancers, Kubernetes, Prometheus and people."""

from __future__ import annotations

import json
import logging
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from rivven_kafka.config import HealthSettings, MetricsSettings, Settings
from rivven_kafka.errors import ConfigError
from rivven_kafka.runtime import page
from rivven_kafka.runtime.control import Control
from rivven_kafka.runtime.live import MAX_LISTENERS, Live
from rivven_kafka.runtime.reports import Report, Reports
from rivven_kafka.runtime.runner import Runner

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

# Nothing here takes long to send or to receive: who is slower than this with a whole request is not served.
_CLIENT_TIMEOUT_S = 10.0
_MAX_REQUESTS = 64
"""Connections at once; one more, and the oldest is closed, so that probes get through beside idle ones."""

_STOP_POLL_S = 0.1

_Headers = list[tuple[str, str]]
_Answer = tuple[str, _Headers, bytes]

_PAGE, _EVENTS = "/", "/events"
_KEEP_OPEN = "rivven_kafka.keep_open"
"""Where a request has what takes its connection out of those with a deadline."""

_OK = "200 OK"
_UNAVAILABLE = "503 Service Unavailable"

_ALWAYS = [("Cache-Control", "no-store")]
_STREAM = [("Content-Type", "text/event-stream; charset=utf-8"), ("X-Accel-Buffering", "no")]


class Application:
    """Answers `/`, `/events`, `/metrics`, `/live`, `/ready`, `/status` and the path of the health check.

    Args:
        reports: What to tell.
        health_path: Path of the health check.
        control: Answers what changes something.
    """

    def __init__(self, reports: Reports, health_path: str, control: Control) -> None:
        self._control = control
        self._metrics: WSGIApplication = make_wsgi_app(reports.registry())
        self._live = Live(reports.status)
        self._page = page.load()
        self._pages: dict[str, Callable[[], tuple[bool, Report]]] = {
            "/live": lambda: (True, {"status": "alive"}),
            "/ready": reports.ready,
            "/status": lambda: (True, reports.status()),
            health_path: reports.health,
        }
        self._paths = {_PAGE, _EVENTS, "/metrics", *self._pages}

    def close(self) -> None:
        """Ends what goes on by itself."""
        self._live.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        if (environ["PATH_INFO"], environ["REQUEST_METHOD"]) == (_EVENTS, "GET"):
            listener = self._live.listen()
            if listener is not None:
                environ.get(_KEEP_OPEN, lambda: None)()
                start_response(_OK, [*_STREAM, *_ALWAYS])
                return listener
        try:
            status, headers, body = self._answer(environ)
        except Exception:
            log.exception("cannot answer %s", environ.get("PATH_INFO"))
            status, headers, body = _json("500 Internal Server Error", {"error": "see the log"})
        start_response(status, [*headers, ("Content-Length", str(len(body))), *_ALWAYS])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _answer(self, environ: WSGIEnvironment) -> _Answer:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path not in self._pages and self._control.takes(path):
            status, report, headers = self._control.answer(environ)
            status, kind, body = _json(status, report)
            return status, [*kind, *headers], body
        if path not in self._paths:
            paths = ", ".join(sorted(self._paths))
            return _json("404 Not Found", {"error": f"no such path; there are {paths}"})
        if method not in ("GET", "HEAD"):
            status, headers, body = _json("405 Method Not Allowed", {"error": "expected GET or HEAD"})
            return status, [*headers, ("Allow", "GET, HEAD")], body
        if path == "/metrics":
            return _call(self._metrics, {**environ, "REQUEST_METHOD": "GET"})
        if path == _EVENTS:
            if method == "HEAD":
                return _OK, _STREAM, b""
            return _json(_UNAVAILABLE, {"error": "too many listen already; there is /status"})
        if path == _PAGE and path not in self._pages:
            return _OK, *self._page
        good, report = self._pages[path]()
        return _json(_OK if good else _UNAVAILABLE, report)


def _json(status: str, body: Report) -> _Answer:
    text = json.dumps(body, indent=2, ensure_ascii=False) + "\n"
    return status, [("Content-Type", "application/json; charset=utf-8")], text.encode()


def _call(application: WSGIApplication, environ: WSGIEnvironment) -> _Answer:
    """What another application answers, before it is sent."""
    answer: list[tuple[str, _Headers]] = []

    def start_response(status: str, headers: _Headers, exc_info: object = None) -> Any:
        answer.append((status, headers))

    body = b"".join(application(environ, start_response))
    [(status, headers)] = answer
    return status, headers, body


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_TIMEOUT_S
    server_version = "rivven-kafka"
    sys_version = ""

    def log_message(self, format: str, *args: object) -> None:
        """Tells of requests only in debug messages: probes come every few seconds."""
        log.debug("%s " + format, self.client_address[0], *args)  # noqa: G003 - the format is the caller's

    def get_environ(self) -> WSGIEnvironment:
        """Adds what keeps the connection open."""
        server: _Server = self.server  # type: ignore[assignment]
        return {**super().get_environ(), _KEEP_OPEN: partial(server.keep_open, self.connection)}

    def get_stderr(self) -> Any:
        """Where wsgiref tells of connections that broke, which `Application` cannot: not into our log."""
        return _DebugLog()


class _DebugLog:
    """A file whose text goes into debug messages."""

    def write(self, text: str) -> None:
        log.debug("%s", text.rstrip())

    def flush(self) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each request, and none that the end of the process waits for.

    The timeout of a socket is for each `recv`: a client that sends a byte now and then would never reach it.
    """

    daemon_threads = True
    request_queue_size = _MAX_REQUESTS
    block_on_close = False

    def __init__(self, host: str, port: int, application: Application) -> None:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, address = infos[0][0], infos[0][4]
        self._lock = threading.Lock()
        # In the order they came.
        self._deadlines: dict[object, float] = {}
        self._threads_running = 0
        super().__init__(address[:2], _Handler)  # type: ignore[arg-type]  # host and port, in both families
        self.set_app(application)

    def server_bind(self) -> None:
        """Binds without asking a name server for our own name, which can take long and is of no use."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts the thread of a request."""
        with self._lock:
            if len(self._deadlines) >= _MAX_REQUESTS:
                self._end_oldest()
            # Those that were told to end may not have done so yet.
            full = self._threads_running >= 2 * _MAX_REQUESTS + MAX_LISTENERS
            if not full:
                self._deadlines[request] = time.monotonic() + _CLIENT_TIMEOUT_S
                self._threads_running += 1
        if full:
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            # No thread could be started.
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves a request."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def service_actions(self) -> None:
        """Ends what takes too long; called all the time by the thread that accepts connections."""
        now = time.monotonic()
        with self._lock:
            while self._deadlines and next(iter(self._deadlines.values())) <= now:
                self._end_oldest()

    def keep_open(self, request: socket.socket) -> None:
        """Lets a connection go on past its deadline: its request has come, and nothing more is read from it.

        Each message has to be taken within the time of a whole request, also by a host that has vanished.
        """
        with self._lock:
            self._deadlines.pop(request, None)
        # It may have ended by itself.
        with suppress(OSError):
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(_CLIENT_TIMEOUT_S * 1000))

    def _end_oldest(self) -> None:
        request: Any = next(iter(self._deadlines))
        del self._deadlines[request]
        # It may have ended by itself.
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def _forget(self, request: object) -> None:
        with self._lock:
            self._deadlines.pop(request, None)
            self._threads_running -= 1

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away or was too slow is not our error."""
        log.debug("request of %s broken off: %s", client_address, sys.exc_info()[1])


@contextmanager
def serve(settings: Settings, runner: Runner) -> Iterator[list[str]]:
    """Serves what `settings.health` and `settings.metrics` ask for; both servers answer the same paths.

    Yields:
        The URLs of the servers, none if both are off.

    Raises:
        ConfigError: A port is taken, or a host is not one of this machine's.
    """
    control = Control(runner, settings.control.token)
    reports = Reports(runner, control=settings.control.token is not None)
    application = Application(reports, settings.health.path, control)
    wanted: dict[int, tuple[str, HealthSettings | MetricsSettings]] = {}
    for name, section in (("health", settings.health), ("metrics", settings.metrics)):
        if section.enabled:
            wanted.setdefault(section.port, (name, section))
    urls = []
    with ExitStack() as stack:
        for name, section in wanted.values():
            server = _listen(name, section, application)
            stack.callback(server.server_close)
            thread = threading.Thread(
                target=server.serve_forever, args=(_STOP_POLL_S,), name=f"http-{name}", daemon=True
            )
            thread.start()
            stack.callback(server.shutdown)
            # First of all: otherwise they would go on until the process ends.
            stack.callback(application.close)
            host = f"[{section.host}]" if ":" in section.host else section.host
            urls.append(f"http://{host}:{section.port}")
        yield urls


def _listen(name: str, section: HealthSettings | MetricsSettings, application: Application) -> _Server:
    option = f"settings.{name}"
    try:
        return _Server(section.host, section.port, application)
    except (socket.gaierror, UnicodeError) as error:
        # UnicodeError: names that cannot be encoded for a name server, such as "a..b".
        reason = error.strerror if isinstance(error, OSError) else "not a valid name"
        raise ConfigError(
            f"{option}.host: got {section.host!r}: expected an address of this machine: {reason}"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{option}.port: cannot listen on port {section.port} of {section.host}: {error.strerror}"
        ) from error
