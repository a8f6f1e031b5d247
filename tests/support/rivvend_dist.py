"""The ``rivvend`` program, compiled from its published crate, and beside it one that has a user."""

import hashlib
import shutil
from pathlib import Path

from tests.support.cache import cached
from tests.support.tools import cargo, cargo_install, run_tool

RIVVEND_VERSION = "0.0.22"
_SECURED = Path(__file__).with_name("secured_rivvend")
_SECURED_SOURCES = ("Cargo.toml", "Cargo.lock", "src/main.rs")


def rivvend_binary(version: str = RIVVEND_VERSION) -> Path:
    """Return the path of that rivvend, compiling it the first time."""
    return _programs(version) / "bin" / "rivvend"


def secured_rivvend_binary() -> Path:
    """Return the path of a rivvend of `RIVVEND_VERSION` that has a user, see `secured_rivvend/src/main.rs`."""
    return _programs(RIVVEND_VERSION) / "bin" / "secured-rivvend"


def _programs(version: str) -> Path:
    secured = version == RIVVEND_VERSION
    return cached(
        f"rivvend-{version}-{_digest()}" if secured else f"rivvend-{version}",
        f"compiling rivvend {version} with cargo (about 5 minutes)",
        lambda directory: _compile(version, directory, secured=secured),
    )


def _digest() -> str:
    """Tells sources of the second program apart: another one needs another entry."""
    sources = b"".join((_SECURED / name).read_bytes() for name in _SECURED_SOURCES)
    return hashlib.sha256(sources).hexdigest()[:12]


def _compile(version: str, directory: Path, *, secured: bool) -> None:
    """Both in one target directory, so that what they depend on is compiled once."""
    target = directory / "target"
    cargo_install("rivvend", version, directory, target=target)
    if secured:
        run_tool(
            "cargo could not build secured-rivvend",
            *(cargo(), "build", "--release", "--locked", "--manifest-path", _SECURED / "Cargo.toml"),
            *("--target-dir", target),
        )
        shutil.copy(target / "release" / "secured-rivvend", directory / "bin")
    shutil.rmtree(target)
