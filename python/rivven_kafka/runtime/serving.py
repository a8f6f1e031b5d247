"""Serving over HTTP, where the configuration asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rivven_kafka.config import Settings
from rivven_kafka.runtime.runner import Runner


@contextmanager
def serve(settings: Settings, runner: Runner) -> Iterator[list[str]]:
    """Serves what `settings.health` and `settings.metrics` ask for, see `rivven_kafka.runtime.http.serve`.

    Also sends what `settings.otlp` asks for.

    Yields:
        The URLs of the servers, none if both are off.

    Raises:
        ConfigError: A port is taken, a host is not one of this machine's, or OpenTelemetry is not installed.
    """
    with ExitStack() as stack:
        if settings.otlp.endpoint is not None:
            # Few send, and it takes long to import.
            from rivven_kafka.runtime import otlp

            stack.enter_context(otlp.export(settings.otlp, runner))
        yield stack.enter_context(_serve(settings, runner))


@contextmanager
def _serve(settings: Settings, runner: Runner) -> Iterator[list[str]]:
    if not (settings.health.enabled or settings.metrics.enabled):
        yield []
        return
    # A web server and prometheus-client take as long to import as the configuration.
    from rivven_kafka.runtime import http

    with http.serve(settings, runner) as urls:
        yield urls
