"""The tools that obtain brokers: Maven, cargo, and those of Debian."""

import shutil
import subprocess
from pathlib import Path


def run_tool(what: str, *command: str | Path, cwd: Path | None = None) -> None:
    """Runs a command that must succeed.

    Raises:
        RuntimeError: It failed: `what`, and all that it printed.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{what}:\n{done.stdout.strip()}")


def cargo() -> str:
    """The path of cargo."""
    return shutil.which("cargo") or str(Path.home() / ".cargo" / "bin" / "cargo")


def cargo_install(
    crate: str, version: str, directory: Path, *options: str, target: Path | None = None
) -> None:
    """Compiles the programs of a published crate, without its default features, into `directory/bin`.

    Args:
        crate: Its name.
        version: Its version.
        directory: Where the programs go.
        options: More of cargo's.
        target: Where to compile; it stays. Without it nothing stays but the programs.
    """
    compiled = target or directory / "target"
    run_tool(
        f"cargo could not build {crate} {version}",
        *(cargo(), "install", crate, "--version", version),
        *("--locked", "--no-default-features", *options, "--no-track"),
        *("--root", directory, "--target-dir", compiled),
    )
    if target is None:
        shutil.rmtree(compiled)
