"""What every broker under our control can do: start, stop, crash, freeze, and come back on the same ports."""

import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from tests.support.ports import ReservedPort
from tests.support.process import ChildProcess

_LOG_TAIL_LINES = 40


class BrokerError(RuntimeError):
    """A broker that does not start, does not answer or does not stop; the message ends with its log."""


class Broker(ABC):
    """A single-node broker on loopback.

    ``directory`` keeps its data and log. Without one it lives in a temporary directory that ``discard``
    deletes. As a context manager it is started and ready inside the block; afterwards it is discarded if it
    is temporary, and stopped cleanly if it is not.
    """

    name: str
    stop_timeout: float
    environment: Mapping[str, str] = MappingProxyType({})

    def __init__(self, directory: Path | None = None) -> None:
        self._temporary = directory is None
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix=f"rivven-kafka-{self.name}-"))
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.log_path = directory / f"{self.name}.log"
        self.data_dir = directory / "data"
        self._port = ReservedPort()
        self._child: ChildProcess | None = None
        self._stopped_cleanly = True
        self._clean_up = weakref.finalize(self, _remove, directory) if self._temporary else None

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        return self._port.address

    @property
    def port(self) -> int:
        return self._port.number

    @property
    def pid(self) -> int:
        return self._running_child().pid

    @property
    def running(self) -> bool:
        """Whether the process exists; a paused one does."""
        return self._child is not None and self._child.running

    def start(self) -> Self:
        """Start the process and return at once; ``wait_ready`` waits for it."""
        if self.running:
            raise BrokerError(f"{self.name} is already running (pid {self.pid})")
        self._prepare()
        self._stopped_cleanly = False
        self._child = ChildProcess(
            self._command(),
            log=self.log_path,
            env=self.environment,
            orphaned_files=self.directory if self._temporary else None,
        )
        return self

    def wait_ready(self, timeout: float = 60.0) -> Self:
        """Wait until a client gets an answer."""
        deadline = time.monotonic() + timeout
        while True:
            child = self._running_child()
            if not child.running:
                raise self._failure(f"{self.name} ended with exit code {child.exit_code} before it was ready")
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._failure(f"{self.name} did not answer within {timeout:.0f} s")
            if self._answers(min(left, 5.0)):
                return self
            time.sleep(0.05)

    def stop(self, timeout: float | None = None) -> None:
        """Stop cleanly with SIGTERM. A broker that overstays ``timeout`` is killed and reported."""
        if not self.running:
            return
        child = self._running_child()
        timeout = self.stop_timeout if timeout is None else timeout
        # A paused process would not see the SIGTERM.
        child.resume()
        child.signal(signal.SIGTERM)
        try:
            code = child.wait(timeout)
        except subprocess.TimeoutExpired as error:
            child.kill()
            raise self._failure(f"{self.name} did not stop within {timeout:.0f} s and was killed") from error
        # The JVM ends by the signal itself once its shutdown hooks are done.
        if code not in (0, 128 + signal.SIGTERM):
            raise self._failure(f"{self.name} ended with exit code {code} when asked to stop")
        self._stopped_cleanly = True

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        if self._child is not None:
            self._child.kill()

    def restart(self, timeout: float = 60.0) -> Self:
        """Start again on the same data and ports, stopping it cleanly first if it runs, and wait for it."""
        self.stop()
        return self.start().wait_ready(timeout)

    def pause(self) -> None:
        """Freeze it with SIGSTOP: connections stay open, nothing answers from the moment this returns."""
        self._running_child().pause()

    def resume(self) -> None:
        self._running_child().resume()

    def discard(self) -> None:
        """Kill it and delete its data: the quick end of a throw-away broker."""
        self.kill()
        self._release_ports()
        shutil.rmtree(self.data_dir, ignore_errors=True)
        if self._clean_up is not None:
            self._clean_up()

    def log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        try:
            return self.start().wait_ready()
        except BaseException:
            self._leave()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if self.running else "not running"
        return f"<{type(self).__name__} {self.bootstrap}, {state}, {self.directory}>"

    def _leave(self) -> None:
        if self._temporary:
            self.discard()
        else:
            self.stop()
            self._release_ports()

    def _running_child(self) -> ChildProcess:
        if self._child is None:
            raise BrokerError(f"{self.name} has not been started")
        return self._child

    def _release_ports(self) -> None:
        self._port.release()

    def _failure(self, what: str) -> BrokerError:
        return BrokerError(f"{what}; the end of {self.log_path}:\n{self.log_tail()}")

    @abstractmethod
    def _prepare(self) -> None:
        """Make the data directory fit to start on."""

    @abstractmethod
    def _command(self) -> Sequence[str | Path]: ...

    @abstractmethod
    def _answers(self, timeout: float) -> bool:
        """Whether a client gets served now."""


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
