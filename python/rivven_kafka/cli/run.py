"""`rivven-kafka run`: runs the connectors of the configuration file until a signal comes."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

from rivven_kafka.cli import exit_codes, logs
from rivven_kafka.cli.file import load_with_warnings, require_enabled
from rivven_kafka.errors import ConfigError

if TYPE_CHECKING:
    from rivven_kafka.config import ConnectConfig

_log = logging.getLogger(__name__)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    return subparsers.add_parser(
        "run",
        help="run the connectors",
        description="Run the sources and sinks of the configuration file. The first SIGTERM or SIGINT "
        "delivers what is on the way, commits and ends; the second one aborts (exit code 130). SIGHUP reads "
        "the file again, and begins anew what has changed.",
        epilog="Example: rivven-kafka -c connect.yaml run",
    )


def run(args: argparse.Namespace) -> int:
    """Run until a signal comes or every connector has given up.

    Raises:
        ConfigError: Lists what is wrong in the file.
    """
    # One that comes before there is a handler would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def follow_log_level(loaded: ConnectConfig) -> None:
        logs.set_level(loaded.settings.log_level, verbose=args.verbose)

    config = load_with_warnings(args.config, follow_log_level)
    require_enabled(config, args.config)
    # The Kafka client takes a third of a second to import: not for commands that only read the file.
    from rivven_kafka.runtime import Runner, keep_less_memory, serve, stop_on_signals

    keep_less_memory()
    stop = threading.Event()
    runner = Runner(config)

    def reload() -> None:
        try:
            loaded = load_with_warnings(args.config)
            runner.reload(loaded)
            follow_log_level(loaded)
        except ConfigError as error:
            for problem in error.problems:
                _log.error("%s", problem)
            _log.error("%s: not loaded: goes on with the configuration that it has", args.config)
        except Exception:
            _log.exception("%s: not loaded: goes on with the configuration that it has", args.config)

    with stop_on_signals(stop, reload), serve(config.settings, runner) as urls:
        for url in urls:
            _log.info("listening on %s", url)
        _log.info("running %s", ", ".join(runner.connectors))
        ended_well = runner.run(stop)
    _log.info("stopped")
    if runner.abandoned:
        # Its threads are in calls that do not end; the interpreter would wait for some of them.
        logging.shutdown()
        os._exit(exit_codes.FAILURE)
    return exit_codes.OK if ended_well else exit_codes.FAILURE
