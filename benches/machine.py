"""Where, when and with what a run measured: figures without it mean nothing later."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from rivven_kafka import _native

from tests.support.kafka_dist import KAFKA_VERSION
from tests.support.rivvend_dist import RIVVEND_VERSION
from tests.support.upstream_dist import UPSTREAM_VERSION

_PACKAGES = ("aiokafka", "confluent-kafka", "kafka-python", "orjson", "prometheus-client")
_ROOT = Path(__file__).parent.parent


def describe_run() -> dict[str, Any]:
    """Date, commit, machine and versions."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": _machine(),
        "versions": _versions(),
    }


def _machine() -> dict[str, Any]:
    name = _first(r'^PRETTY_NAME="(.*)"$', "/etc/os-release")
    return {
        "processor": _first(r"^model name\s*:\s*(.*)$", "/proc/cpuinfo") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{name}, {platform.system()} {platform.release()}".removeprefix(", "),
    }


def _versions() -> dict[str, str]:
    versions = {
        "Python": platform.python_version(),
        "Apache Kafka": KAFKA_VERSION,
        "rivvend": RIVVEND_VERSION,
        "rivven-connect": UPSTREAM_VERSION,
        "Java": _word(2, "java", "--version"),
        "rustc": _word(2, "rustc", "--version"),
        "rivven_kafka._native": _native.__profile__,
        "librdkafka": _librdkafka(),
        **{name: _installed(name) for name in _PACKAGES},
    }
    return {name: version for name, version in versions.items() if version}


def _commit() -> str:
    head = _output("git", "rev-parse", "HEAD").strip()
    # What a run writes itself is no change.
    ours = (":!benches/results.json", ":!benches/plots")
    changed = _output("git", "status", "--porcelain", "--untracked-files=no", "--", ".", *ours)
    return f"{head} and changes" if head and changed else head


def _librdkafka() -> str:
    try:
        import confluent_kafka
    except ImportError:
        return ""
    return str(confluent_kafka.libversion()[0])


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _first(pattern: str, path: str) -> str:
    try:
        found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1) if found else ""


def _word(number: int, *command: str) -> str:
    words = _output(*command).split()
    return words[number - 1] if len(words) >= number else ""


def _output(*command: str) -> str:
    """What a program prints, nothing if it is not there."""
    try:
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout
