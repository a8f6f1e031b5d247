"""What the native modules need from the machine: nothing that would have to be installed."""

import re
import subprocess
from pathlib import Path

import pytest
import rivven_kafka

MODULES = sorted(Path(rivven_kafka.__path__[0]).glob("*.so"))
# The C library with its parts, and what compilers add.
SYSTEM = {"linux-vdso", "libc", "libm", "libgcc_s", "libpthread", "libdl", "librt", "libutil"}


def test_both_modules_are_looked_at():
    assert {module.name.partition(".")[0] for module in MODULES} == {"_native", "_events"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name.partition(".")[0])
def test_no_library_beside_the_c_library_is_needed(module):
    needed = subprocess.run(["ldd", module], capture_output=True, text=True, check=True).stdout
    names = {Path(line.split()[0]).name for line in needed.splitlines()}
    found = {re.split(r"\.so|-x86|-aarch", name)[0] for name in names if not name.startswith("ld-linux")}
    assert found
    assert found - SYSTEM == set(), "no librdkafka, no codecs"
