"""Rivven's broker as one standalone process."""

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

from tests.support.broker import Broker
from tests.support.ports import LOOPBACK, ReservedPort
from tests.support.rivven_wire import RivvenWireError, ping
from tests.support.rivvend_dist import RIVVEND_VERSION, rivvend_binary


class RivvenBroker(Broker):
    """A throw-away rivvend. ``options`` are further command line arguments.

    With ``logins`` it wants one, which nobody has: rivvend 0.0.22 cannot be given users.
    """

    name = "rivvend"
    # Measured: 6 to 7 s idle, up to 17 s while a client is connected.
    stop_timeout = 20.0
    environment = MappingProxyType({"NO_COLOR": "1"})

    def __init__(
        self,
        directory: Path | None = None,
        *,
        version: str = RIVVEND_VERSION,
        options: Sequence[str] = (),
        logins: bool = False,
    ) -> None:
        super().__init__(directory)
        self._logins = logins
        self.version = version
        self._options = tuple(options)
        self._api_port = ReservedPort()
        self._keep_wal = False

    @property
    def api(self) -> str:
        """``host:port`` of its HTTP interface (/health, /metrics)."""
        return self._api_port.address

    def start(self, *, keep_wal: bool = False) -> Self:
        """Start it. After anything but a clean stop the write-ahead log is removed, unless ``keep_wal``.

        rivvend 0.0.22 appends the whole log a second time when it replays it, at wrong offsets; acknowledged
        records are already in the segments, so without the log none is lost or doubled.
        """
        self._keep_wal = keep_wal
        return super().start()

    def restart(self, timeout: float = 60.0, *, keep_wal: bool = False) -> Self:
        """Start again on the same data and ports, stopping it cleanly first if it runs, and wait for it."""
        self.stop()
        return self.start(keep_wal=keep_wal).wait_ready(timeout)

    def _prepare(self) -> None:
        self.data_dir.mkdir(exist_ok=True)
        if not self._stopped_cleanly and not self._keep_wal:
            for log in (self.data_dir / "wal").glob("*.wal"):
                log.unlink()

    def _command(self) -> list[str | Path]:
        return [
            rivvend_binary(self.version),
            *("--bind", self.bootstrap),
            *("--api-bind", self.api),
            *("--data-dir", self.data_dir),
            *("--rate-limit-per-ip", "0"),
            *(() if self._logins else ("--no-require-auth",)),
            *self._options,
        ]

    def _answers(self, timeout: float) -> bool:
        try:
            ping(LOOPBACK, self.port, timeout)
        except (OSError, RivvenWireError):
            return False
        return True

    def _release_ports(self) -> None:
        super()._release_ports()
        self._api_port.release()
