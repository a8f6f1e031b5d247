"""Kafka's side: kafka-python for the protocol, native code for the records."""

from rivven_kafka.kafka.consumer import BlockConsumer
from rivven_kafka.kafka.credentials import admin_options, connection_options, passed_options
from rivven_kafka.kafka.errors import translate
from rivven_kafka.kafka.producer import BatchProducer
from rivven_kafka.kafka.rebalance import Position, RebalanceHandler
from rivven_kafka.kafka.transactions import TransactionalProducer

__all__ = [
    "BatchProducer",
    "BlockConsumer",
    "Position",
    "RebalanceHandler",
    "TransactionalProducer",
    "admin_options",
    "connection_options",
    "passed_options",
    "translate",
]
