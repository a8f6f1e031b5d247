"""Running connectors: threads, restarts, signals, and what the process tells over HTTP."""

from rivven_kafka.runtime.backoff import RestartBackoff
from rivven_kafka.runtime.connector import ConnectorStatus, State
from rivven_kafka.runtime.memory import keep_less_memory
from rivven_kafka.runtime.runner import Runner
from rivven_kafka.runtime.serving import serve
from rivven_kafka.runtime.signals import stop_on_signals

__all__ = [
    "ConnectorStatus",
    "RestartBackoff",
    "Runner",
    "State",
    "keep_less_memory",
    "serve",
    "stop_on_signals",
]
