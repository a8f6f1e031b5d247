"""From the configuration to the arguments of the native client."""

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import BrokerConfig, Settings
from rivven_kafka.errors import ConfigError
from rivven_kafka.rivven.options import client_arguments

INT32 = 2**31 - 1


@pytest.mark.parametrize(
    "option", ["max_retries", "initial_backoff_ms", "max_backoff_ms", "backoff_multiplier"]
)
def test_retries_are_taken_as_far_as_native_code_counts(option):
    settings = Settings.build({"retry": {"max_backoff_ms": INT32, option: INT32}})
    assert getattr(settings.retry, option) == INT32
    RivvenClient(**client_arguments(BrokerConfig(bootstrap_servers="127.0.0.1:1"), settings.retry, "me"))
    for value in (INT32 + 1, 10**30):
        with pytest.raises(ConfigError, match=rf"^retry.{option}: got {value}: expected .* to 2147483647"):
            Settings.build({"retry": {"max_backoff_ms": INT32, option: value}})
