"""Running connectors: threads, restarts, signals."""

from rivven_kafka.runtime.runner import Runner
from rivven_kafka.runtime.signals import stop_on_signals

__all__ = ["Runner", "stop_on_signals"]
