"""The ``rivven-connect`` program, Rivven's own connector, compiled from its published crate: what benchmarks compare with."""

import shutil
import subprocess
from pathlib import Path

from tests.support.cache import cache_dir, cached

UPSTREAM_VERSION = "0.0.22"
# Without the two databases the crate does not compile: its code uses them unconditionally.
_FEATURES = "kafka,postgres,mysql"


def upstream_binary(version: str = UPSTREAM_VERSION) -> Path:
    """Return the path of that rivven-connect, compiling it the first time."""
    entry = cached(
        _name(version),
        f"compiling rivven-connect {version} with cargo (about 10 minutes)",
        lambda directory: _build(version, directory),
    )
    return entry / "bin" / "rivven-connect"


def upstream_is_cached(version: str = UPSTREAM_VERSION) -> bool:
    """Whether `upstream_binary` would return at once."""
    return (cache_dir() / _name(version)).is_dir()


def _name(version: str) -> str:
    return f"rivven-connect-{version}"


def _build(version: str, directory: Path) -> None:
    cargo = shutil.which("cargo") or str(Path.home() / ".cargo" / "bin" / "cargo")
    target = directory / "target"
    done = subprocess.run(
        [
            *(cargo, "install", "rivven-connect", "--version", version),
            *("--locked", "--no-default-features", "--features", _FEATURES, "--no-track"),
            *("--root", directory, "--target-dir", target),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"cargo could not build rivven-connect {version}:\n{done.stdout.strip()}")
    shutil.rmtree(target)
