"""docs/configuration.md lists every option as the models know it."""

from pathlib import Path

import pytest
from rivven_kafka.cli.reference import option_tables
from rivven_kafka.config import BrokerConfig, KafkaSinkConfig, KafkaSourceConfig, SinkEntry, SourceEntry

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("Options of a source", KafkaSourceConfig),
        ("Options of a sink", KafkaSinkConfig),
        ("The broker section", BrokerConfig),
    ],
)
def test_the_page_holds_the_tables(title, model):
    assert option_tables(title, model) in PAGE.read_text(), "print it anew with `rivven-kafka spec`"


@pytest.mark.parametrize("model", [SourceEntry, SinkEntry])
def test_every_option_is_described(model):
    tables = option_tables("x", model)
    for name, field in model.model_fields.items():
        assert f"`{name}`" in tables
        assert field.description
