"""Real brokers on this machine: obtained once, started on free ports, thrown away afterwards.

The demo, the tests and the benches share this package, so it needs nothing but the standard library and
kafka-python.
"""

from tests.support.broker import Broker, BrokerError
from tests.support.kafka_broker import KafkaBroker
from tests.support.rivvend import RivvenBroker

__all__ = ["Broker", "BrokerError", "KafkaBroker", "RivvenBroker"]
