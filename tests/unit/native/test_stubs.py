"""The stubs against the compiled modules."""

import os
import subprocess
import sys
from pathlib import Path

from rivven_kafka._native import KafkaSinkMetrics, KafkaSourceMetrics

ROOT = Path(__file__).parents[3]

# Names that no stub can describe otherwise:
# the counters of a snapshot are answered by __getattr__ (test_metrics.py reads each of them);
COUNTERS = [
    rf"rivven_kafka\._native\.{type(snapshot).__name__}\.{name}"
    for snapshot in (KafkaSourceMetrics().snapshot(), KafkaSinkMetrics().snapshot())
    for name in snapshot.to_dict()
]
# Cython gives every __init__ the signature (*args, **kwargs).
INITIALIZERS = [r"rivven_kafka\._events\.EventReader\.__init__"]


def test_stubtest_is_content(tmp_path):
    allowed = tmp_path / "allowed"
    allowed.write_text("\n".join([*COUNTERS, *INITIALIZERS]))
    package = str(ROOT / "python")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy.stubtest", "--allowlist", allowed, "--concise"),
            *("rivven_kafka._native", "rivven_kafka._events"),
        ],
        env={**os.environ, "MYPYPATH": package, "PYTHONPATH": package},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
