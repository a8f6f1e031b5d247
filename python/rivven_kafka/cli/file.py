"""The configuration file, for commands.

The modules of the commands import neither pydantic nor the clients of the brokers: all modules are loaded to
parse the command line, also for `--help`, and those take twenty times as long as the rest of the command.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from rivven_kafka.errors import ConfigError

if TYPE_CHECKING:
    from rivven_kafka.config import ConnectConfig, SourceEntry


_log = logging.getLogger(__name__)


def load_connect_file(path: str) -> ConnectConfig:
    """Read and validate it, see `rivven_kafka.config.load_connect_file`."""
    from rivven_kafka import config

    return config.load_connect_file(path)


def load_with_warnings(path: str, before: Callable[[ConnectConfig], None] = lambda _: None) -> ConnectConfig:
    """The same, with a warning in the log for each file with a secret that others can read.

    Args:
        path: The file.
        before: Called with the configuration before the first warning is logged.
    """
    from rivven_kafka import config

    warnings: list[str] = []
    loaded = config.load_connect_file(path, warn=warnings.append)
    before(loaded)
    for warning in warnings:
        _log.warning("%s", warning)
    return loaded


def load_to_connect(path: str) -> ConnectConfig:
    """The same, with a warning too for each way in which connections to Rivven are not safe."""
    from rivven_kafka.rivven.options import security_warnings

    loaded = load_with_warnings(path)
    for warning in security_warnings(loaded.broker):
        _log.warning("%s", warning)
    return loaded


def require_enabled(config: ConnectConfig, path: str) -> None:
    """Refuses a file in which nothing is to run.

    Args:
        config: The configuration.
        path: Its file, for the error.

    Raises:
        ConfigError: Every connector is disabled.
    """
    if not config.enabled_sources and not config.enabled_sinks:
        raise ConfigError(f"{path}: every connector is disabled: expected at least one enabled")


def source_named(config: ConnectConfig, path: str, name: str, *, argument: str = "--source") -> SourceEntry:
    """The source of that name, whether it is enabled or not.

    Args:
        config: The configuration.
        path: Its file, for the error.
        name: What was given.
        argument: Where it was given.

    Raises:
        ConfigError: There is none.
    """
    entry = config.sources.get(name)
    if entry is None:
        names = ", ".join(config.sources) or "none"
        raise ConfigError(f"{path}: {argument}: got {name!r}: expected one of: {names}")
    return entry
