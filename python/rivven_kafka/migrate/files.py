"""The files of a report: JSON for programs and for the next start, and a page for people."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import rivven_kafka
from rivven_kafka.errors import ConfigError, RivvenKafkaError
from rivven_kafka.migrate.page import page
from rivven_kafka.migrate.report import Report, now

_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class ReportFiles:
    """Where the report of one source lies.

    Attributes:
        json: The JSON.
        page: The page.
    """

    json: Path
    page: Path

    @classmethod
    def of(cls, place: str | None, source: str, *, alone: bool) -> ReportFiles:
        """The files for a source.

        Args:
            place: A file that ends in `.json`, or a directory, which is made; None: the current directory.
            source: Name of the source.
            alone: Whether it is the only source.

        Raises:
            ConfigError: One file is given for several sources.
        """
        if place is not None and place.endswith(".json") and not Path(place).is_dir():
            if not alone:
                raise ConfigError(f"--report: got {place!r} for several sources: expected a directory")
            path = Path(place)
        else:
            # As in URLs, so that two sources never share a file.
            safe = "".join(each if each.isalnum() or each in "._-" else quote(each, "") for each in source)
            path = Path(place or ".") / f"migration-{safe}.json"
        return cls(path, path.with_suffix(".html"))

    def load(self) -> Report | None:
        """The report that is there, None if there is none.

        Raises:
            ConfigError: The file is something else, or cannot be read.
        """
        try:
            with self.json.open("rb") as file:
                return Report.from_dict(json.loads(file.read(_MAX_BYTES)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"--report: {self.json} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise ConfigError(
                f"--report: {self.json} is not the report of a migration by this version: expected another "
                f"file, or --restart"
            ) from None

    def save(self, report: Report, *, with_page: bool) -> None:
        """Writes the report, in one go: whoever reads meanwhile finds the old one or the new one.

        Raises:
            RivvenKafkaError: It cannot be written.
        """
        report.updated = now()
        data = report.to_dict(rivven_kafka.__version__)
        try:
            self.json.parent.mkdir(parents=True, exist_ok=True)
            _replace(self.json, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
            if with_page:
                _replace(self.page, page(report))
        except OSError as error:
            raise RivvenKafkaError(f"--report: cannot write {self.json}: {error.strerror}") from error


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
