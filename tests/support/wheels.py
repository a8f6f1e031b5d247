"""Builds a wheel with every CPython of this machine that is supported, and tests it in an empty environment.

`python -m tests.support.wheels` leaves the source distribution and the wheels in dist/. What is tested is the wheel,
from a directory in which nothing of the package lies: its native modules, and the command.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "wheels"
DIST = ROOT / "dist"
# The stubs are compared with the modules where mypy is.
TESTS = ["tests/unit/native", "tests/unit/config/test_load.py", "--ignore", "tests/unit/native/test_stubs.py"]


def main() -> int:
    """Builds and tests; returns the exit code."""
    for directory in (BUILD, DIST):
        shutil.rmtree(directory, ignore_errors=True)
    tests = copied_tests()
    sources = build(sys.executable, "--sdist")
    for interpreter in interpreters():
        # From the source distribution, so that whatever it lacks is noticed.
        wheel = build(interpreter, "--wheel", sources)
        tried(interpreter, wheel, tests)
        print(f"{wheel.name}: built and tested with {interpreter}", flush=True)
    return 0


def interpreters() -> Iterator[str]:
    """One CPython of each supported version, by its path."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    versions = [word.split("-")[0] for word in project["tool"]["cibuildwheel"]["build"].split()]
    places = [*os.environ["PATH"].split(os.pathsep), *map(str, Path.home().glob(".pyenv/versions/*/bin"))]
    for version in versions:
        number = f"{version[2]}.{version[3:]}"
        found = shutil.which(f"python{number}", path=os.pathsep.join(places))
        if found is not None and usable(found):
            yield found
        else:
            print(f"CPython {number}: not on this machine", flush=True)


def usable(interpreter: str) -> bool:
    """Whether it is a CPython with venv, pip and headers, and not a virtual environment."""
    code = (
        "import ensurepip, pathlib, sys, sysconfig, venv\n"
        "header = pathlib.Path(sysconfig.get_path('include'), 'Python.h')\n"
        "sys.exit(sys.implementation.name != 'cpython' or not header.exists())"
    )
    return subprocess.run([interpreter, "-c", code], capture_output=True, check=False).returncode == 0


def build(interpreter: str, kind: str, sources: Path | None = None) -> Path:
    """The source distribution, or the wheel that is made of it."""
    environment = BUILD / f"build-{Path(interpreter).name}"
    if not environment.exists():
        run(interpreter, "-m", "venv", environment)
        run(environment / "bin/python", "-m", "pip", "install", "--quiet", "build")
    before = set(DIST.glob("*"))
    origin = ROOT
    if sources is not None:
        shutil.rmtree(BUILD / "sources", ignore_errors=True)
        shutil.unpack_archive(sources, BUILD / "sources", filter="data")
        [origin] = (BUILD / "sources").iterdir()
    run(environment / "bin/python", "-m", "build", kind, "--outdir", DIST, origin)
    [made] = set(DIST.glob("*")) - before
    return made


def tried(interpreter: str, wheel: Path, tests: Path) -> None:
    """Installs the wheel in an empty environment, and runs the tests there."""
    environment = BUILD / f"test-{Path(interpreter).name}"
    run(interpreter, "-m", "venv", environment)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = project["tool"]["cibuildwheel"]["test-requires"]
    run(environment / "bin/python", "-m", "pip", "install", "--quiet", wheel, *needed)
    run(environment / "bin/rivven-kafka", "version")
    run(
        environment / "bin/python",
        "-c",
        "import rivven_kafka.runtime.page as page; page.load()",
        directory=BUILD,
    )
    run(environment / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, directory=tests)


def copied_tests() -> Path:
    """A directory with the tests, the Rust sources that some of them look at, and without the package."""
    target = BUILD / "tests"
    shutil.copytree(ROOT / "ext" / "src", target / "ext" / "src")
    shutil.copytree(ROOT / "tests", target / "tests", ignore=shutil.ignore_patterns("__pycache__", "target"))
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def run(*command: object, directory: Path = ROOT) -> None:
    """Runs a command; its output is shown."""
    subprocess.run([str(word) for word in command], cwd=directory, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
