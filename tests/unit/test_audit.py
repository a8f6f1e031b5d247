"""What the audit says of a part that fails: whether something was found, or could not be asked for."""

import os
import re
import subprocess
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[1] / "support" / "audit.sh"
DENY = """#!/bin/sh
case "$*" in *advisories*) printf '%s\\n' "$SAID"; exit 1 ;; esac
"""


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("error: failed to fetch advisory database", "NOT ASKED, github.com or crates.io cannot be reached"),
        ("error[vulnerability]: a peer can cause a connection reset", "FAILED"),
        ("error[yanked]: detected yanked crate; its README: connection refused", "FAILED"),
        ("error: cannot read the configuration", "FAILED"),
    ],
)
def test_what_was_found_is_told_although_its_text_is_of_connections(said, outcome, tmp_path):
    for name, text in (("cargo", DENY), ("python3", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SAID": said}
    done = subprocess.run(
        ["sh", AUDIT, "true", tmp_path / "environment"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.findall(r"^crates: (.*): (.*)$", done.stdout, re.M) == [
        ("licences, bans and sources", "ok"),
        ("advisories and yanked versions", outcome),
    ]
