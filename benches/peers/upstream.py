"""rivven-connect, Rivven's own connector, as it is: no option of it is changed.

It takes the configuration files that ours takes, and ignores what it does not know in them. It listens only
to SIGINT and does not wait for what it has begun then, so a run of it ends with SIGKILL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.process import ChildProcess
from tests.support.upstream_dist import upstream_binary

NEWEST_KAFKA = "3.9.1"
"""The last version that its sink can write to: it sends a Produce request that Kafka 4 refuses, and hangs."""


@contextmanager
def rivven_connect(directory: Path, config: Mapping[str, Any], name: str) -> Iterator[None]:
    """Runs it until the end of the block.

    Args:
        directory: Where the configuration and the log go.
        config: The configuration.
        name: Of both files.

    Raises:
        AssertionError: It ended by itself.
    """
    file, log = directory / f"{name}.yaml", directory / f"{name}.log"
    file.write_text(yaml.safe_dump(dict(config), sort_keys=False))
    process = ChildProcess([upstream_binary(), "--config", file, "run"], log=log)
    try:
        yield
        assert process.running, log.read_text(errors="replace")[-4000:]
    finally:
        process.kill()
