"""Loading a configuration file from its text."""

import textwrap

import pytest
from rivven_kafka.config import load_connect_file
from rivven_kafka.errors import ConfigError

from tests.unit.config.documents import ENV


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load_text(text, env=ENV):
        (tmp_path / "connect.yaml").write_text(textwrap.dedent(text))
        return load_connect_file("connect.yaml", env)

    return load_text


@pytest.fixture
def problems(load):
    def load_text(text, env=ENV):
        with pytest.raises(ConfigError) as raised:
            load(text, env)
        assert "hunter2" not in str(raised.value)
        return str(raised.value).splitlines()

    return load_text
