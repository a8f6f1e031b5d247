"""The ``rivvend`` program, compiled from its published crate."""

from pathlib import Path

from tests.support.cache import cached
from tests.support.tools import cargo_install

RIVVEND_VERSION = "0.0.22"


def rivvend_binary(version: str = RIVVEND_VERSION) -> Path:
    """Return the path of that rivvend, compiling it the first time."""
    entry = cached(
        f"rivvend-{version}",
        f"compiling rivvend {version} with cargo (about 5 minutes)",
        lambda directory: cargo_install("rivvend", version, directory),
    )
    return entry / "bin" / "rivvend"
