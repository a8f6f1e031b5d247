"""The ``rivvend`` program, compiled from its published crate."""

import shutil
import subprocess
from pathlib import Path

from tests.support.cache import cached

RIVVEND_VERSION = "0.0.22"


def rivvend_binary(version: str = RIVVEND_VERSION) -> Path:
    """Return the path of that rivvend, compiling it the first time."""
    entry = cached(
        f"rivvend-{version}",
        f"compiling rivvend {version} with cargo (about 5 minutes)",
        lambda directory: _build(version, directory),
    )
    return entry / "bin" / "rivvend"


def _build(version: str, directory: Path) -> None:
    cargo = shutil.which("cargo") or str(Path.home() / ".cargo" / "bin" / "cargo")
    target = directory / "target"
    done = subprocess.run(
        [
            *(cargo, "install", "rivvend", "--version", version),
            *("--locked", "--no-default-features", "--no-track"),
            *("--root", directory, "--target-dir", target),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"cargo could not build rivvend {version}:\n{done.stdout.strip()}")
    shutil.rmtree(target)
