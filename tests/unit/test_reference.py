"""docs/configuration.md lists every option as the models know it."""

from pathlib import Path

import pytest
from rivven_kafka.cli import main
from rivven_kafka.cli.reference import option_tables
from rivven_kafka.config import SinkEntry, SourceEntry

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
MARK = "<!-- Made by `make reference`; edit the models instead. -->\n\n"


def test_the_page_ends_with_the_tables(capsys):
    assert main.main(["spec", "connect", "--format", "markdown"]) == 0
    assert PAGE.read_text().partition(MARK)[2] == capsys.readouterr().out, "run `make reference`"


@pytest.mark.parametrize("model", [SourceEntry, SinkEntry])
def test_every_option_is_described(model):
    tables = option_tables("x", model)
    for name, field in model.model_fields.items():
        assert f"`{name}`" in tables
        assert field.description
