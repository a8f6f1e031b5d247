"""SCRAM with a lower bound for the iterations, which kafka-python lacks and Kafka's own client has.

Whoever passes for the broker gets a proof made with as many iterations as it asks for: with one, passwords
can be tried as fast as a hash is computed.
"""

from __future__ import annotations

from kafka.net.sasl import register_sasl_mechanism
from kafka.net.sasl.scram import SaslMechanismScram

from rivven_kafka.kafka.errors import plain

_LEAST = 4096
"""Kafka takes no fewer for its users (`ScramMechanism.minIterations`), and RFC 7677 asks for as many."""


class Scram(SaslMechanismScram):  # type: ignore[misc]  # kafka-python is untyped
    """Answers no challenge with too few iterations."""

    def receive(self, auth_bytes: bytes) -> bool:
        """Takes in what the broker says.

        Raises:
            ValueError: It makes no sense, or would give the password away.
        """
        if self._state == 0:
            for part in bytes(auth_bytes).split(b","):
                name, _, value = part.partition(b"=")
                if name == b"i" and not (value.isdigit() and (len(value) > 9 or int(value) >= _LEAST)):
                    shown = plain(value[:20].decode("ascii", "replace"))
                    raise ValueError(f"the broker asks for {shown} iterations: expected at least {_LEAST}")
        done: bool = super().receive(auth_bytes)
        return done


for _name in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
    register_sasl_mechanism(_name, Scram, overwrite=True)
