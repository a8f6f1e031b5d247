"""promtool, which checks metrics as Prometheus reads them, out of Debian's package and without installing it."""

import shutil
from pathlib import Path

from tests.support.cache import cached
from tests.support.tools import run_tool


def promtool() -> Path:
    """Return the path of promtool: the one on PATH, or else one unpacked into the cache the first time."""
    installed = shutil.which("promtool")
    if installed:
        return Path(installed)
    entry = cached("promtool", "fetching promtool with apt-get (about 20 MB)", _fetch)
    return entry / "promtool"


def _fetch(directory: Path) -> None:
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise RuntimeError(f"{program} is missing, so promtool must be on PATH: install Prometheus")
    # Lists of our own: those of the machine may be absent, and only root may bring them up to date.
    state = directory / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True)
    own = ["-o", f"Dir::State::Lists={state / 'lists'}", "-o", f"Dir::Cache={state / 'cache'}"]
    # As root, apt-get would otherwise fetch as a user who may not enter the cache.
    own += ["-o", "APT::Sandbox::User="]
    try:
        _run(directory, "apt-get", "download", "prometheus")
    except RuntimeError:
        _run(directory, "apt-get", *own, "update")
        _run(directory, "apt-get", *own, "download", "prometheus")
    [package] = directory.glob("prometheus_*.deb")
    unpacked = directory / "unpacked"
    _run(directory, "dpkg-deb", "--extract", package, unpacked)
    (unpacked / "usr" / "bin" / "promtool").rename(directory / "promtool")
    package.unlink()
    shutil.rmtree(unpacked)
    shutil.rmtree(state)


def _run(directory: Path, *command: str | Path) -> None:
    run_tool(f"{command[0]} could not fetch promtool", *command, cwd=directory)
