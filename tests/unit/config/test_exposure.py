"""Warnings of secrets in files that others can read."""

import os

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
        load_connect_file(tmp_path / "connect.yaml", {"P": "hunter2", "EMPTY": ""}, warn=found.append)
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


@pytest.mark.parametrize(
    ("password", "part"),
    [
        ("${UNSET:-hunter2}", "the secret itself"),
        ("${EMPTY:-hunter2}", "the secret itself"),
        ("abc${P}", "a part of the secret"),
        ("${P}${UNSET:-hunter2}", "a part of the secret"),
        ("${file:password}x", "a part of the secret"),
    ],
)
def test_a_reference_does_not_hide_what_stands_beside_it(warnings, password, part):
    assert warnings(password, connect=0o644) == [
        f"sources.in.config.security.sasl_password: connect.yaml holds {part}, and others can read it "
        "(mode 0644): expected 0600"
    ]
    assert warnings(password) == []


@pytest.mark.parametrize("password", ["${P:-hunter3}", "${P:?hunter3}", "${P}${P}", "${P}${UNSET:-}"])
def test_what_a_reference_does_not_use_is_no_secret(warnings, password):
    assert warnings(password, connect=0o644) == []


PROXIES = {
    "socks5://u:hunter2@proxy:1080": "the secret itself",
    "socks5://u:hunter2@${HOST}": "a part of the secret",
    "socks5://${USER}:${UNSET:-hunter2}@proxy:1080": "a part of the secret",
    "socks5://${USER}:x${P}@proxy:1080": "a part of the secret",
    "socks5://hunter2@${HOST}": "a part of the secret",
    "socks5://u:${P}@proxy:1080": None,
    "${UNSET:-socks5}://${USER}:${P}@${HOST}": None,
    "socks5://${HOST}": None,
    "socks5://proxy:1080": None,
    "${URL}": None,
}


@pytest.mark.parametrize(("url", "part"), PROXIES.items())
@pytest.mark.parametrize("option", ["proxy_url", "socks5.proxy"])
def test_only_the_user_of_a_proxy_is_a_secret(tmp_path, option, url, part):
    path = tmp_path / "connect.yaml"
    path.write_text(
        "broker: {bootstrap_servers: 'r:9092'}\nsources: {in: {connector: kafka, topic: t, config: "
        f"{{brokers: 'k:9092', topic: t, kafka_options: {{{option}: '{url}'}}}}}}}}\n"
    )
    path.chmod(0o644)
    env = {"P": "hunter2", "USER": "u", "HOST": "proxy:1080", "URL": "socks5://u:hunter2@proxy:1080"}
    found = []
    load_connect_file(path, env, warn=found.append)
    expected = f"sources.in.config.kafka_options.{option}: {path} holds {part}, and others"
    assert [text[: len(expected)] for text in found] == ([] if part is None else [expected])
    assert "hunter2" not in "".join(found)


def test_secrets_for_tokens(tmp_path):
    path, token = tmp_path / "connect.yaml", tmp_path / "token"
    token.write_text("hunter2")
    security = "security: {protocol: SASL_SSL, sasl_mechanism: OAUTHBEARER, "
    origins = {
        f"oauth: {{token_file: {token}}}}}": f"oauth.token_file: {token} holds a token",
        "oauth: {token_endpoint_url: 'https://l', client_id: c, client_secret: hunter2}}":
            f"oauth.client_secret: {path} holds the secret itself",
        "sasl.oauthbearer.token.endpoint.url: 'https://l', sasl.oauthbearer.client.id: c, "
        "sasl.oauthbearer.client.secret: hunter2}":
            f"sasl.oauthbearer.client.secret: {path} holds the secret itself",
    }  # fmt: skip
    for origin, expected in origins.items():
        path.write_text(
            "broker: {bootstrap_servers: 'r:9092'}\nsources: {in: {connector: kafka, topic: t, config: "
            f"{{brokers: 'k:9092', topic: t, {security}{origin}}}}}}}\n"
        )
        for mode in (0o644, 0o600):
            path.chmod(mode)
            token.chmod(mode)
            found = []
            load_connect_file(path, {}, warn=found.append)
            told = f"sources.in.config.security.{expected}, and others can read it (mode 0644): expected 0600"
            assert found == ([told] if mode == 0o644 else [])


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


@pytest.mark.parametrize(
    ("mode", "owner", "group", "credential", "warned"),
    [
        (0o440, False, True, False, False),
        (0o444, False, True, False, True),
        (0o440, False, False, False, True),
        (0o440, True, True, False, True),
        (0o440, False, False, True, False),
        (0o444, False, False, True, True),
        (0o440, True, False, True, True),
    ],
)
def test_a_group_that_reads_for_us(warnings, monkeypatch, tmp_path, mode, owner, group, credential, warned):
    made = tmp_path.stat()
    monkeypatch.setattr(os, "geteuid", lambda: made.st_uid + (not owner))
    monkeypatch.setattr(os, "getegid", lambda: made.st_gid + 1)
    monkeypatch.setattr(os, "getgroups", lambda: [made.st_gid + 1, made.st_gid + (0 if group else 2)])
    if credential:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    else:
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    found = warnings("${file:password}", password=mode)
    assert [text.partition(" holds")[0] for text in found] == [
        "sources.in.config.security.sasl_password: password"
    ] * warned


def test_a_name_that_is_the_same_as_the_password_is_no_secret(warnings):
    assert [text.partition(":")[0] for text in warnings("user", connect=0o644)] == [
        "sources.in.config.security.sasl_password"
    ]
