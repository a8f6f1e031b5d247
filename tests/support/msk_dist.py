"""Amazon's client for the logins of MSK, as Maven resolves it, and what it signs."""

import base64
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.support.cache import cached
from tests.support.kafka_dist import java
from tests.support.tools import copy_jars

_VERSION = "2.3.2"
_PROGRAM = Path(__file__).with_name("MskPayload.java")
_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>rivven-kafka</groupId><artifactId>msk-dist</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>software.amazon.msk</groupId><artifactId>aws-msk-iam-auth</artifactId><version>{version}</version>
    </dependency>
  </dependencies>
</project>
"""


class AwsLogin(NamedTuple):
    """What a login to MSK is signed with; the name of the host tells the region."""

    host: str
    access_key_id: str
    secret_access_key: str
    session_token: str = ""


def amazon_payloads(logins: Iterable[AwsLogin]) -> list[dict[str, str]]:
    """What Amazon's client sends for each login, signed at the time of the call."""
    lines = "".join(
        ",".join(base64.b64encode(part.encode()).decode() for part in login) + "\n" for login in logins
    )
    done = subprocess.run(
        java(amazon_client(), "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", str(_PROGRAM)),
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode != 0:
        raise RuntimeError(f"Amazon's client failed:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def amazon_client() -> Path:
    """The directory of its jars, fetched the first time."""
    entry = cached(
        f"aws-msk-iam-auth-{_VERSION}",
        f"fetching aws-msk-iam-auth {_VERSION} with Maven (about 20 MB)",
        _fetch,
    )
    return entry / "libs"


def _fetch(directory: Path) -> None:
    copy_jars(f"aws-msk-iam-auth {_VERSION}", _POM.format(version=_VERSION), directory)
