"""An entry of the cache is complete or absent, and made once."""

import io
import multiprocessing
import re
import time
from pathlib import Path

import pytest

from tests.support.cache import cache_dir, cached
from tests.support.progress import Progress


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RIVVEN_KAFKA_CACHE", str(tmp_path / "cache"))
    return cache_dir()


def fill_slowly(directory: Path) -> None:
    time.sleep(0.3)
    with (directory.parent / "fills").open("a") as fills:
        fills.write("once\n")
    (directory / "file").write_text("complete")


def ask(_: int) -> str:
    return (cached("entry", "filling", fill_slowly) / "file").read_text()


def test_racing_processes_fill_an_entry_once(cache: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(ask, range(3), chunksize=1) == ["complete"] * 3
    assert (cache / "fills").read_text() == "once\n"


def test_a_failure_leaves_nothing_and_can_be_repeated(cache: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise RuntimeError("no network")

    with pytest.raises(RuntimeError, match="no network"):
        cached("entry", "filling", fail)
    assert not (cache / "entry").exists()
    assert ask(0) == "complete"


def test_what_a_dead_process_left_behind_is_not_used(cache: Path) -> None:
    (cache / ".entry.partial").mkdir(parents=True)
    (cache / ".entry.partial" / "stale").touch()
    entry = cached("entry", "filling", fill_slowly)
    assert [path.name for path in entry.iterdir()] == ["file"]


def test_progress_speaks_only_when_it_takes_long() -> None:
    out = io.StringIO()
    with Progress("quick", after=5.0, out=out):
        pass
    assert out.getvalue() == ""
    with Progress("slow", after=0.05, out=out):
        time.sleep(0.1)
    assert re.fullmatch(r"slow \.\.\.\nslow: done after \d+ s\n", out.getvalue())


def test_progress_reports_a_failure() -> None:
    out = io.StringIO()
    with pytest.raises(ValueError, match="why"), Progress("slow", after=0.0, out=out):
        raise ValueError("why")
    assert re.search(r"slow: failed after \d+ s\n$", out.getvalue())
