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


def copy_jars(what: str, pom: str, directory: Path) -> None:
    """Puts the jars that a Maven project depends on into `directory/libs`.

    Args:
        what: What is fetched, for errors.
        pom: The project.
        directory: Where the project goes too.
    """
    if shutil.which("mvn") is None:
        raise RuntimeError(f"Maven is needed to fetch {what}: apt-get install maven")
    path = directory / "pom.xml"
    path.write_text(pom)
    run_tool(
        f"Maven could not fetch {what}",
        *("mvn", "--batch-mode", "--quiet", "--file", path),
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={directory / 'libs'}",
    )


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
