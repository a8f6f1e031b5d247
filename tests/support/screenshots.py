"""``python -m tests.support.screenshots [DIRECTORY] [--seconds N]``: pictures of the live page for the user guide.

A real process carries orders between real brokers; one connector is paused, and one looks for a Kafka
that is not there. The longer it lasts, the more of the curves is there.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.support import KafkaBroker, RivvenBroker
from tests.support.browser import chromium
from tests.support.connector import Connector, wait_until
from tests.support.endpoint import answers, ask
from tests.support.ports import ReservedPort
from tests.support.topics import Headers, TopicWriter, create_topic

_TOKEN = "only-for-these-pictures"
_PARTITIONS = 8
_PICTURES: dict[str, dict[str, Any]] = {
    "live-page-light": {"viewport": {"width": 1240, "height": 980}, "color_scheme": "light"},
    "live-page-dark": {"viewport": {"width": 1240, "height": 980}, "color_scheme": "dark"},
    "live-page-phone": {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": "light",
        "device_scale_factor": 2,
    },
}


def main() -> None:
    """Starts all that is needed, waits, and takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", type=Path, nargs="?", default=Path("docs/images"))
    parser.add_argument("--seconds", type=float, default=310, help="how long records go first (310)")
    args = parser.parse_args()
    args.directory.mkdir(parents=True, exist_ok=True)
    with (
        KafkaBroker() as kafka,
        RivvenBroker() as rivven,
        ReservedPort() as port,
        tempfile.TemporaryDirectory() as directory,
    ):
        for topic in ("orders", "orders-replica", "audit"):
            create_topic(kafka.bootstrap, topic, _PARTITIONS)
        document = _document(kafka.bootstrap, rivven.bootstrap, port.number)
        stop = threading.Event()
        writer = threading.Thread(target=_write, args=(kafka.bootstrap, stop))
        with Connector(Path(directory), document) as connector:
            wait_until(lambda: answers(port.address, "/live"), 60, connector.log_tail)
            writer.start()
            try:
                _take(port.address, args.directory, args.seconds)
            finally:
                stop.set()
                writer.join()
            connector.stop()


def _document(kafka: str, rivven: str, port: int) -> dict[str, Any]:
    def source(topic: str, brokers: str = kafka) -> dict[str, Any]:
        config = {"brokers": brokers, "topic": topic, "consumer_group": topic}
        return {"connector": "kafka", "topic": topic, "config": config}

    def sink(copy: str) -> dict[str, Any]:
        config = {"brokers": kafka, "topic": copy, "value_format": "event"}
        options = {"consumer_group": copy, "start_offset": "earliest"}
        return {"connector": "kafka", "topics": ["orders"], **options, "config": config}

    return {
        "version": "1.0",
        "broker": {"bootstrap_servers": [rivven]},
        "sources": {"orders": source("orders"), "clicks": source("clicks", "127.0.0.1:9")},
        "sinks": {"replica": sink("orders-replica"), "audit": sink("audit")},
        "settings": {"health": {"enabled": True, "port": port}, "control": {"token": _TOKEN}},
    }


def _write(kafka: str, stop: threading.Event) -> None:
    """Writes records at a pace that goes up and down."""
    number = 0
    with TopicWriter(kafka, "orders", _PARTITIONS) as writer:
        while not stop.wait(0.25):
            beat = time.monotonic()
            pace = 900 + 500 * math.sin(beat / 25) + 180 * math.sin(beat / 4)
            for partition in range(_PARTITIONS):
                first, number = number, number + int(pace / 4 / _PARTITIONS)
                writer.write(partition, [_order(each) for each in range(first, number)])


def _order(number: int) -> tuple[int, bytes, bytes, Headers]:
    value = b'{"order_id": %d, "amount": %d.50}' % (number, number % 997)
    return int(time.time() * 1000), b"customer-%d" % (number % 5_000), value, []


def _take(address: str, directory: Path, seconds: float) -> None:
    with chromium() as browser:
        pages: dict[str, Page] = {}
        for name, options in _PICTURES.items():
            page = browser.new_page(reduced_motion="reduce", **options)
            page.goto(f"http://{address}/")
            pages[name] = page
        first = next(iter(pages.values()))
        ends = time.monotonic() + seconds
        first.wait_for_timeout(seconds * 600)
        headers = {"Authorization": f"Bearer {_TOKEN}"}
        ask(address, "/connectors/audit/pause", "POST", headers)
        first.wait_for_timeout(max(ends - time.monotonic(), 5) * 1000)
        for name in ("live-page-light", "live-page-dark"):
            pages[name].locator("[data-connector='sink replica'] summary").click()
        for name, page in pages.items():
            page.wait_for_timeout(300)
            path = directory / f"{name}.png"
            page.screenshot(path=path, full_page=name != "live-page-phone")
            print(f"{path}: {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
