"""The configuration file, for commands.

The modules of the commands import neither pydantic nor the clients of the brokers: all modules are loaded to
parse the command line, also for `--help`, and those take twenty times as long as the rest of the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivven_kafka.config import ConnectConfig


def load_connect_file(path: str) -> ConnectConfig:
    """Read and validate it, see `rivven_kafka.config.load_connect_file`."""
    from rivven_kafka import config

    return config.load_connect_file(path)
