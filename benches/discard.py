"""A Rivven server that keeps nothing: what stands before it is measured, not a disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from rivven_kafka._native import RivvenClient

_EXT = Path(__file__).parent.parent / "ext"


def _binary() -> Path:
    """Compiles `ext/examples/discard_server`; what is compiled already is not compiled again."""
    cargo = shutil.which("cargo") or str(Path.home() / ".cargo" / "bin" / "cargo")
    subprocess.run(
        [cargo, "build", "--quiet", "--release", "--locked", "--example", "discard_server"],
        cwd=_EXT,
        check=True,
        # As for the extension module: other values would have everything compiled twice.
        env={**os.environ, "PYO3_BUILD_EXTENSION_MODULE": "1", "PYO3_PYTHON": sys.executable},
    )
    return _EXT / "target" / "release" / "examples" / "discard_server"


class DiscardServer:
    """The server as a child process, and a look at what it was sent."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen([_binary()], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.bootstrap = self._process.stdout.readline().strip()
        self.client = RivvenClient([self.bootstrap])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def received(self, topic: str, partitions: int) -> list[int]:
        """Records of each partition of a topic; none as long as there is no such topic."""
        if self.client.partition_count(topic) is None:
            return [0] * partitions
        return [self.client.offset_bounds(topic, partition)[1] for partition in range(partitions)]
