"""The exit codes of the command."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
"""The arguments are wrong; argparse uses the same."""
DIFFERENCES: Final = 3
"""Two sides that were compared are not the same."""
SOME_FAILED: Final = 3
"""The command did its work, and a part of it failed: some dead letters cannot be sent again."""
BAD_CONFIG: Final = 78
"""The configuration is wrong (EX_CONFIG of sysexits.h): restarting does not help."""
INTERRUPTED: Final = 130
