"""Options that depend on each other."""

import pytest
from rivven_kafka.config import (
    KafkaSinkConfig,
    KafkaSourceConfig,
    Partitioning,
    SecurityConfig,
    load_connect_file,
    parse_connect,
)
from rivven_kafka.errors import ConfigError

REQUIRED = {"brokers": "kafka1:9092", "topic": "orders"}
PASSWORD = {"sasl_username": "user", "sasl_password": "hunter2"}
AWS = {"aws_access_key_id": "AKIA1", "aws_secret_access_key": "s3cr3t", "aws_region": "us-east-1"}
ROLE = {"aws_role_arn": "arn:aws:iam::123456789012:role/teams/reader", "aws_role_session_name": "me@here"}
BEARER = {"protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}
ENDPOINT = {"token_endpoint_url": "https://login.example.com/t", "client_id": "c", "client_secret": "s3cr3t"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"protocol": "SSL"},
        {"protocol": "SSL", "ssl_ca_cert": "ca.pem", "ssl_check_hostname": False},
        {"protocol": "SSL", "ssl_client_cert": "c.pem", "ssl_client_key": "k.pem", "ssl_key_password": "pw"},
        {"protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", **PASSWORD},
        {"protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-256", **PASSWORD},
        {"protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", **PASSWORD, "ssl_ca_cert": "ca.pem"},
        {"protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER", "oauth_token": "t0k"},
        {**BEARER, "oauth": {"token_file": "/run/token"}},
        {**BEARER, "oauth": ENDPOINT},
        {**BEARER, "oauth": {**ENDPOINT, "scope": "kafka", "ssl_ca_cert": "ca.pem"}},
        {**BEARER, "oauth": {**ENDPOINT, "token_endpoint_url": "http://[::1]:8080/token"}},
        {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", **AWS},
        {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", **AWS, "aws_session_token": "t"},
        {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"},
        {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", "aws_profile": "p", **ROLE},
        {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", **AWS, **ROLE},
    ],
)
def test_security_that_fits_together(options):
    config = SecurityConfig(**options)
    assert SecurityConfig.build(config.model_dump()) == config


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({"sasl_mechanism": "PLAIN"}, ["sasl_mechanism: not used with protocol PLAINTEXT"]),
        ({"protocol": "SSL", **PASSWORD}, ["sasl_username: not used", "sasl_password: not used"]),
        ({"protocol": "SASL_SSL"}, ["sasl_mechanism: missing"]),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"},
            ["sasl_username: missing", "sasl_password: missing"],
        ),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER", **PASSWORD},
            ["sasl_username: not used", "sasl_password: not used", "oauth_token: missing"],
        ),
        (BEARER, ["oauth_token: missing: sasl_mechanism OAUTHBEARER requires oauth_token, oauth.token_end"]),
        ({**BEARER, "oauth_token": "t", "oauth": {"token_file": "f"}}, ["oauth_token: not used with oauth"]),
        ({**BEARER, "oauth": {**ENDPOINT, "token_file": "f"}}, ["oauth.token_file: not used with token_endpoint_"]),
        (
            {**BEARER, "oauth": {"token_endpoint_url": "https://login.example.com/t"}},
            ["oauth.client_id: missing: token_endpoint_url", "oauth.client_secret: missing"],
        ),
        (
            {**BEARER, "oauth": {"token_file": "f", "scope": "kafka"}},
            ["oauth.scope: not used without token_endpoint_url"],
        ),
        ({"oauth": {"token_file": "f"}}, ["oauth: not used with protocol PLAINTEXT"]),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", **PASSWORD, "oauth": ENDPOINT},
            ["oauth: not used by sasl_mechanism PLAIN"],
        ),
        (
            {**BEARER, "oauth": {**ENDPOINT, "token_endpoint_url": "http://login.example.com/t"}},
            ["oauth.token_endpoint_url: got 'http://login.example.com/t': expected https: client_secret must not"],
        ),
        (
            {**BEARER, "oauth": {**ENDPOINT, "token_endpoint_url": "https://me:s3cr3t@login.example.com/t"}},
            ["oauth.token_endpoint_url: got ***: expected a URL without a user"],
        ),
        (
            {**BEARER, "oauth": {**ENDPOINT, "token_endpoint_url": "login.example.com"}},
            ["oauth.token_endpoint_url: got 'login.example.com': expected a URL, such as https://"],
        ),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", "aws_access_key_id": "AKIA1"},
            ["aws_secret_access_key: missing: aws_access_key_id requires it"],
        ),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", "aws_secret_access_key": "s3cr3t"},
            ["aws_access_key_id: missing: aws_secret_access_key requires it"],
        ),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", "aws_session_token": "s3cr3t"},
            ["aws_access_key_id: missing: aws_session_token requires it"],
        ),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", **AWS, "aws_profile": "p"},
            ["aws_profile: not used together with aws_access_key_id"],
        ),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", "aws_role_session_name": "me"},
            ["aws_role_arn: missing: aws_role_session_name requires it"],
        ),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", "aws_role_arn": "reader"},
            ["aws_role_arn: got 'reader': expected the ARN of a role"],
        ),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", **ROLE, "aws_role_session_name": "a b"},
            ["aws_role_session_name: got 'a b': expected 2 to 64 letters, digits"],
        ),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER", "oauth_token": "t", "aws_profile": "p"},
            ["aws_profile: not used by sasl_mechanism OAUTHBEARER"],
        ),
        (
            {"protocol": "SASL_PLAINTEXT", "sasl_mechanism": "AWS_MSK_IAM", **AWS},
            ["protocol: AWS_MSK_IAM requires SASL_SSL"],
        ),
        ({"ssl_ca_cert": "ca.pem"}, ["ssl_ca_cert: not used with protocol PLAINTEXT"]),
        ({"ssl_check_hostname": False}, ["ssl_check_hostname: not used with protocol PLAINTEXT"]),
        (
            {"protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", **PASSWORD, "ssl_client_cert": "c"},
            ["ssl_client_cert: not used with protocol SASL_PLAINTEXT"],
        ),
        ({"protocol": "SSL", "ssl_client_cert": "c.pem"}, ["ssl_client_key: missing"]),
        ({"protocol": "SSL", "ssl_client_key": "k.pem"}, ["ssl_client_cert: missing"]),
        ({"protocol": "SSL", "ssl_key_password": "pw"}, ["ssl_key_password: not used without ssl_client_key"]),
        ({"protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": ""},
         ["sasl_password: got ***"]),
    ],
)  # fmt: skip
def test_security_that_does_not(options, problems):
    with pytest.raises(ConfigError) as raised:
        SecurityConfig(**options)
    lines = str(raised.value).splitlines()
    assert len(lines) == len(problems)
    for line, problem in zip(lines, problems, strict=True):
        assert line.startswith(problem)


@pytest.mark.parametrize("option", ["ssl_ca_cert", "ssl_client_cert", "ssl_client_key"])
@pytest.mark.parametrize(
    "content",
    ["-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----", "hun\nter2", "-----BEGIN hunter2"],
)
def test_the_content_of_a_certificate_file_is_refused_and_not_shown(option, content):
    with pytest.raises(ConfigError) as raised:
        SecurityConfig(protocol="SSL", **{option: content})
    assert str(raised.value) == f"{option}: got ***: expected the name of a file, not its content"


def test_a_key_from_a_reference_is_refused_and_not_shown(tmp_path):
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n")
    file = tmp_path / "connect.yaml"
    file.write_text(
        "type: kafka-source\ntopic: t\nbroker: {bootstrap_servers: r:1}\nconfig:\n  brokers: k:1\n  topic: t\n"
        "  ssl.key.location: ${file:key.pem}\n"
    )
    with pytest.raises(ConfigError) as raised:
        load_connect_file(file)
    assert str(raised.value) == (
        f"{file}:7: config.ssl.key.location: got ***: expected the name of a file, not its content"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"heartbeat_interval_ms": 30000},
            "heartbeat_interval_ms: got 30000: expected less than session_timeout_ms",
        ),
        (
            {"fetch_min_bytes": 2, "fetch_max_bytes": 1},
            "fetch_min_bytes: got 2: expected at most fetch_max_bytes",
        ),
        (
            {"max_request_size": 2**21, "max_in_flight_bytes": 2**20},
            "max_in_flight_bytes: got 1048576: expected at",
        ),
        ({"on_tombstone": "skip"}, "on_tombstone: not used with value_format event"),
        (
            {"stall_timeout_ms": 30000},
            "stall_timeout_ms: got 30000: expected 0, or more than request_timeout_ms (30000)",
        ),
        (
            {"delivery_guarantee": "exactly_once", "value_format": "raw", "ordering": "key"},
            "ordering: got key: expected partition with exactly_once and value_format raw",
        ),
        (
            {"delivery_guarantee": "exactly_once", "value_format": "raw", "partitioning": "key"},
            "partitioning: got key: expected preserve with exactly_once and value_format raw",
        ),
        (
            {"delivery_guarantee": "exactly_once", "on_log_damage": "continue"},
            "on_log_damage: got continue: expected fail with delivery_guarantee exactly_once",
        ),
    ],
)
def test_source_options_that_do_not_fit(options, message):
    with pytest.raises(ConfigError) as raised:
        KafkaSourceConfig(**REQUIRED, **options)
    assert str(raised.value).startswith(message)


def test_tombstones_have_a_rule_in_raw_format():
    assert KafkaSourceConfig(**REQUIRED, value_format="raw", on_tombstone="skip").on_tombstone == "skip"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"idempotent": True, "kafka_options": {"max.in.flight.requests.per.connection": 6}},
            "kafka_options.max_in_flight_requests_per_connection: idempotent and transactional_id require at most 5",
        ),
        ({"idempotent": True, "acks": "leader"}, "acks: got leader: idempotent"),
        ({"idempotent": True, "retries": 0}, "retries: got 0: idempotent"),
        (
            {"request_timeout_ms": 120000},
            "delivery_timeout_ms: got 120000: expected at least linger_ms + request",
        ),
        (
            {"max_request_size": 2048},
            "max_request_size: got 2048: expected at least batch_size_bytes (16384)",
        ),
        (
            {"batch_size_bytes": 2**22, "max_in_flight_bytes": 2**20},
            "max_in_flight_bytes: got 1048576: expected at",
        ),
        (
            {"stall_timeout_ms": 60000},
            "stall_timeout_ms: got 60000: expected 0, or more than delivery_timeout_ms (120000)",
        ),
        ({"on_missing_key_field": "error"}, "on_missing_key_field: got error: not used"),
        ({"transactional_id": "t-1", "idempotent": False}, "idempotent: got false: transactional_id"),
        ({"transactional_id": "t-1", "acks": "leader"}, "acks: got leader: idempotent and transactional_id"),
        ({"transactional_id": "t-1", "retries": 0}, "retries: got 0: idempotent and transactional_id"),
    ],
)
def test_sink_options_that_do_not_fit(options, message):
    with pytest.raises(ConfigError) as raised:
        KafkaSinkConfig(**REQUIRED, **options)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("idempotent", [{}, {"idempotent": True}])
def test_transactional_id_implies_idempotent(idempotent):
    assert KafkaSinkConfig(**REQUIRED, transactional_id="t-1", **idempotent).effective_idempotent


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"acks": "leader"}, False),
        ({"retries": 0}, False),
        ({"idempotent": False}, False),
        ({"idempotent": True}, True),
        ({"kafka_options": {"max_in_flight_requests_per_connection": 5}}, True),
        ({"kafka_options": {"max.in.flight.requests.per.connection": 6}}, False),
    ],
)
def test_a_sink_is_idempotent_where_acks_and_retries_allow(options, expected):
    assert KafkaSinkConfig(**REQUIRED, **options).effective_idempotent is expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Partitioning.PRESERVE),
        ({"key_field": "id"}, Partitioning.KEY),
        ({"key_field": "id", "partitioning": "preserve"}, Partitioning.PRESERVE),
        ({"partitioning": "key"}, Partitioning.KEY),
    ],
)
def test_partitioning_follows_key_field(options, expected):
    assert KafkaSinkConfig(**REQUIRED, **options).effective_partitioning is expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 2**20), ({"batch_size_bytes": 2**20}, 2**21), ({"max_request_size": 2**22}, 2**22)],
)
def test_request_size_follows_batch_size(options, expected):
    assert KafkaSinkConfig(**REQUIRED, **options).effective_max_request_size == expected


@pytest.mark.parametrize(
    ("model", "options", "rivven_timeout_ms", "expected"),
    [
        (KafkaSourceConfig, {}, 30_000, 300_000),
        (KafkaSourceConfig, {"request_timeout_ms": 200_000}, 30_000, 400_000),
        (KafkaSourceConfig, {}, 400_000, 800_000),
        (KafkaSourceConfig, {"stall_timeout_ms": 31_000}, 30_000, 31_000),
        (KafkaSourceConfig, {"stall_timeout_ms": 0}, 30_000, 0),
        (KafkaSinkConfig, {}, 30_000, 300_000),
        (KafkaSinkConfig, {"delivery_timeout_ms": 600_000}, 30_000, 1_200_000),
        (KafkaSinkConfig, {"stall_timeout_ms": 121_000}, 30_000, 121_000),
        (KafkaSinkConfig, {"stall_timeout_ms": 0}, 30_000, 0),
    ],
)
def test_the_stall_timeout_follows_those_that_have_to_pass_first(model, options, rivven_timeout_ms, expected):
    config = model(**REQUIRED, **options)
    assert config.effective_stall_timeout_ms(rivven_timeout_ms) == expected


@pytest.mark.parametrize("single", [True, False])
def test_the_stall_timeout_is_more_than_that_of_requests_to_rivven(tmp_path, single):
    entry = "topic: t\n{0}config:\n{0}  brokers: k:1\n{0}  topic: t\n{0}  request_timeout_ms: 1000\n"
    entry += "{0}  stall_timeout_ms: 5000\n"
    head = "broker: {bootstrap_servers: r:1, request_timeout_ms: 5000}\n"
    if single:
        text = f"type: kafka-source\n{head}{entry.format('')}"
    else:
        text = f"version: '1.0'\n{head}sources:\n  in:\n    connector: kafka\n    {entry.format('    ')}"
    file = tmp_path / "connect.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_connect_file(file)
    assert str(raised.value).endswith(
        "config.stall_timeout_ms: got 5000: expected 0, or more than broker.request_timeout_ms (5000)"
    )
    file.write_text(text.replace("stall_timeout_ms: 5000", "stall_timeout_ms: 5001"))
    load_connect_file(file)


def exactly_once(transforms=(), **config):
    config = {"brokers": "kafka1:9092", "delivery_guarantee": "exactly_once", **config}
    return {
        "broker": {"bootstrap_servers": ["rivven1:9092"]},
        "sources": {
            "in": {"connector": "kafka", "topic": "copy", "transforms": list(transforms), "config": config}
        },
    }


@pytest.mark.parametrize(
    ("step", "key", "changed"),
    [
        ({"type": "remove_field", "config": {"field": "metadata"}}, "field", "metadata.position"),
        ({"type": "remove_field", "config": {"field": "metadata.position"}}, "field", "metadata.position"),
        (
            {"type": "rename_field", "config": {"from": "metadata.kafka_topic_id", "to": "id"}},
            "from",
            "metadata.kafka_topic_id",
        ),
        (
            {"type": "rename_field", "config": {"from": "metadata.kafka_key", "to": "position"}},
            "to",
            "metadata.position",
        ),
        ({"type": "rename_field", "config": {"from": "data", "to": "metadata"}}, "to", "metadata.position"),
        (
            {"type": "add_field", "config": {"field": "metadata.position.x", "value": 1}},
            "field",
            "metadata.position",
        ),
    ],
)
def test_exactly_once_needs_the_fields_that_recognise_a_record(step, key, changed):
    with pytest.raises(ConfigError) as raised:
        parse_connect(exactly_once([step], topic="orders"))
    where = f"sources.in.transforms[0].config.{key}: "
    what = f"changes {changed}, by which exactly_once recognises a record: expected to leave it"
    assert where + what in str(raised.value)


def test_exactly_once_leaves_other_transforms_alone():
    steps = [
        {"type": "remove_field", "config": {"field": "metadata.kafka_key"}},
        {"type": "rename_field", "config": {"from": "data.position", "to": "metadata"}},
        {"type": "filter", "config": {"field": "metadata.position", "equals": "x"}},
    ]
    parse_connect(exactly_once(steps, topic="orders"))


def test_exactly_once_in_raw_format_needs_a_rivven_topic_for_each_kafka_topic():
    document = exactly_once(topics=["a", "b"], value_format="raw")
    with pytest.raises(ConfigError, match=r"sources\.in\.topic: got 'copy' for 2 Kafka topics: expected one"):
        parse_connect(document)
    document["sources"]["in"]["topic"] = "copy.{topic}"
    parse_connect(document)
