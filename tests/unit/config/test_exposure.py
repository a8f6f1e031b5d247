"""Warnings of secrets in files that others can read."""

import pytest
from rivven_kafka.config import load_connect_file

FILE = """
broker: {bootstrap_servers: "r:9092", tls: {key_path: rivven.pem}}
sources:
  in:
    connector: kafka
    topic: t
    config:
      brokers: k:9092
      topic: t
      security: {protocol: SASL_SSL, sasl_mechanism: PLAIN, sasl_username: user, sasl_password: "%s",
                 ssl.key.location: kafka.pem, ssl_client_cert: c.pem, ssl_key_password: "${file:key-password}"}
"""


@pytest.fixture
def warnings(tmp_path, monkeypatch):
    """Writes the files with these modes, loads the configuration and returns what is warned of."""
    monkeypatch.chdir(tmp_path)

    def load(value, **modes):
        (tmp_path / "connect.yaml").write_text(FILE % value)
        for name in ("rivven.pem", "kafka.pem", "key-password", "password"):
            (tmp_path / name).write_text("hunter2-in-a-file\n")
        for name in ("connect.yaml", "rivven.pem", "kafka.pem", "key-password", "password"):
            (tmp_path / name).chmod(modes.get(name.partition(".")[0].replace("-", "_"), 0o600))
        found = []
        load_connect_file(tmp_path / "connect.yaml", {"P": "hunter2"}, warn=found.append)
        assert "hunter2" not in "".join(found)
        return [text.replace(str(tmp_path) + "/", "") for text in found]

    return load


@pytest.mark.parametrize("password", ["hunter2", "${P}", "${file:password}"])
def test_files_of_the_owner_alone_are_fine(warnings, password):
    assert warnings(password) == []


@pytest.mark.parametrize(
    ("mode", "warned"), [(0o644, True), (0o640, True), (0o604, True), (0o620, False), (0o611, False)]
)
def test_the_file_itself_with_a_secret_in_it(warnings, mode, warned):
    expected = (
        "sources.in.config.security.sasl_password: connect.yaml holds the secret itself, and others can read it "
        f"(mode {mode:04o}): expected 0600"
    )
    assert warnings("hunter2", connect=mode) == [expected] * warned
    assert warnings("costs $$5", connect=mode) == [expected] * warned


def test_the_file_itself_without_one(warnings):
    assert warnings("${P}", connect=0o644) == []


def test_files_of_secrets_and_of_keys(warnings):
    found = warnings(
        "${file:password}", connect=0o644, password=0o644, key_password=0o444, kafka=0o640, rivven=0o644
    )
    assert [text.partition(" holds")[0] for text in found] == [
        "broker.tls.key_path: rivven.pem",
        "sources.in.config.security.sasl_password: password",
        "sources.in.config.security.ssl.key.location: kafka.pem",
        "sources.in.config.security.ssl_key_password: key-password",
    ]


def test_a_name_that_is_the_same_as_the_password_is_no_secret(warnings):
    assert [text.partition(":")[0] for text in warnings("user", connect=0o644)] == [
        "sources.in.config.security.sasl_password"
    ]
