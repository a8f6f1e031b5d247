"""The forms of a scenario: a long one for every combination, and a short one for those that need it always."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.scenario import COMBINATIONS

SHORT_COUNT = 6_000
LONG_COUNT = 30_000
RAW_SOURCES = [(*each, "raw") for each in COMBINATIONS if each[0] == "source"]


def forms(few: Any, many: Any, *, short: Sequence[str], combinations: Sequence[Any] = COMBINATIONS) -> Any:
    """Parameters `how_many`, `count`, and the parts of a combination as one tuple, `between`.

    Args:
        few: Faults of the short form.
        many: Faults of the long form.
        short: The combinations, as `source-exactly_once`, that have a short form; those that are not offered
            have none.
        combinations: Directions, guarantees, and formats if they are not the default.
    """
    made = []
    for combination in combinations:
        name = "-".join(combination)
        if name in short:
            made.append(pytest.param(few, SHORT_COUNT, combination, id=f"{name}-short"))
        made.append(pytest.param(many, LONG_COUNT, combination, id=f"{name}-long", marks=pytest.mark.long))
    return pytest.mark.parametrize(("how_many", "count", "between"), made)
