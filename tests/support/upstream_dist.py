"""The ``rivven-connect`` program, Rivven's own connector, compiled from its published crate: what benchmarks compare with."""

from pathlib import Path

from tests.support.cache import cache_dir, cached
from tests.support.tools import cargo_install

UPSTREAM_VERSION = "0.0.22"
# Without the two databases the crate does not compile: its code uses them unconditionally.
_FEATURES = "kafka,postgres,mysql"


def upstream_binary(version: str = UPSTREAM_VERSION) -> Path:
    """Return the path of that rivven-connect, compiling it the first time."""
    entry = cached(
        _name(version),
        f"compiling rivven-connect {version} with cargo (about 10 minutes)",
        lambda directory: cargo_install("rivven-connect", version, directory, "--features", _FEATURES),
    )
    return entry / "bin" / "rivven-connect"


def upstream_is_cached(version: str = UPSTREAM_VERSION) -> bool:
    """Whether `upstream_binary` would return at once."""
    return (cache_dir() / _name(version)).is_dir()


def _name(version: str) -> str:
    return f"rivven-connect-{version}"
