"""Apache Kafka's jars, as Maven resolves them: enough to run a broker and its command line tools."""

import os
from pathlib import Path

from tests.support.cache import cached
from tests.support.tools import copy_jars

KAFKA_VERSION = "4.1.0"
# kafka_2.13 brings the slf4j API but no binding, without which a broker logs nothing at all.
_SLF4J_VERSION = "1.7.36"

_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>rivven-kafka</groupId><artifactId>kafka-dist</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{kafka}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{kafka}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>{slf4j}</version>
    </dependency>
  </dependencies>
</project>
"""


def kafka_libs(version: str = KAFKA_VERSION) -> Path:
    """Return the directory of jars of that Kafka version, fetching them the first time."""
    entry = cached(
        f"kafka-{version}-with-tools",
        f"fetching Apache Kafka {version} with Maven (about 50 MB)",
        lambda directory: _fetch(version, directory),
    )
    return entry / "libs"


def java(libs: Path, *arguments: str) -> list[str]:
    """Return a command that runs ``arguments`` (JVM options, main class, its arguments) on these jars."""
    home = os.environ.get("JAVA_HOME")
    program = f"{home}/bin/java" if home else "java"
    return [program, "-cp", f"{libs}/*", *arguments]


def _fetch(version: str, directory: Path) -> None:
    pom = _POM.format(kafka=version, slf4j=_SLF4J_VERSION)
    copy_jars(f"Apache Kafka {version}", pom, directory)
