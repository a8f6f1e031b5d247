"""The filter for kafka-python's debug messages, for programs that turn them on."""

import logging

import pytest
from kafka.protocol.sasl import SaslAuthenticateRequest
from rivven_kafka.log_filter import KafkaSecretsFilter


def shown(logger, level, message, *arguments):
    record = logging.LogRecord(logger, level, "file.py", 1, message, arguments, None)
    return KafkaSecretsFilter().filter(record)


@pytest.mark.parametrize(
    ("logger", "message", "argument"),
    [
        ("kafka.admin.client", "Starting KafkaAdminClient with configuration: %s", [{"a": 1}]),
        ("kafka.net.connection", "connection Request 1: %s", SaslAuthenticateRequest(b"hunter2")),
        ("kafka.protocol.parser", "connection Sending request 1 %s", SaslAuthenticateRequest(b"hunter2")),
        ("kafka.protocol.parser", "connection Send: %r", b"hunter2"),
        ("kafka.protocol.parser", "connection Recv: %r", b"hunter2"),
        ("kafka.other", "%s", [{"ssl_password": "hunter2"}]),
        ("kafka.other", "%s", [{"proxy_url": "http://user:hunter2@proxy"}]),
    ],
)
def test_debug_messages_with_secrets_are_dropped(logger, message, argument):
    assert not shown(logger, logging.DEBUG, message, argument)
    assert shown("kafkaesque", logging.DEBUG, message, argument)


def test_everything_else_is_shown():
    assert shown("kafka.net.connection", logging.DEBUG, "%s: Response %d: %s", "a", 1, "MetadataResponse()")
    assert shown("kafka.net.connection", logging.WARNING, "Send: %s", "a warning is never dropped")
    assert shown("rivven_kafka.source", logging.DEBUG, "password: no secret of ours is ever logged")
