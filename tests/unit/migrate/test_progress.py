"""What is shown while a migration goes on: amounts, rates, the time that is left."""

import io
import json
import logging

import pytest
from rivven_kafka.migrate.display import Display
from rivven_kafka.migrate.meter import Meter
from rivven_kafka.migrate.progress import Progress, duration
from rivven_kafka.pipeline.until import Copied

from tests.unit.migrate.reports import report


def test_rates_are_those_of_the_last_seconds():
    meter = Meter()
    assert meter.rates() == (0, 0, 0)
    assert meter.eta_s(10) is None
    assert meter.eta_s(0) == 0
    for second in range(60):
        # Faster in the second half.
        at = second * 10 if second < 30 else 300 + (second - 30) * 100
        meter.add(float(second), at, at // 2, at * 7)
    assert meter.rates().offsets == pytest.approx(100)
    assert meter.rates().records == pytest.approx(50)
    assert meter.rates().size_bytes == pytest.approx(700)
    assert meter.eta_s(1000) == pytest.approx(10)


def test_a_standstill_has_no_end():
    meter = Meter()
    for second in range(40):
        meter.add(float(second), 500, 500, 500)
    assert meter.rates() == (0, 0, 0)
    assert meter.eta_s(1) is None


def test_amounts_that_go_back_are_no_negative_rate():
    meter = Meter()
    meter.add(0.0, 100, 100, 100)
    meter.add(1.0, 50, 50, 50)
    assert meter.rates() == (0, 0, 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0:00:00"), (59.6, "0:01:00"), (3_723, "1:02:03"), (90_061, "1 d 01:01:01")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_lines_show_what_is_left_first():
    found = report()
    progress = Progress(found)
    progress.update(0.0, {}, {})
    positions = {("orders", 0): 110, ("orders", 1): 110, ("pay", 0): 60}
    progress.update(10.0, positions, {("pay", 0): Copied(40, 2_000_000)})
    pay, orders, together = progress.lines(10)
    assert pay == "pay    [####............]  25.0%  ETA 0:00:30  4 records/s  0.2 MB/s  50/200"
    assert orders.startswith("orders [################] 100.0%  done  ")
    assert together.startswith("all    [##########......]  62.5%  ETA 0:00:06")
    assert [line.split()[0] for line in progress.lines(2)] == ["2", "all"], "2 more topics"
    assert (found.done, found.records, found.size_bytes) == (250, 40, 2_000_000)


def test_nothing_is_complete_before_it_is():
    found = report()
    found.topics = found.topics[:1]
    progress = Progress(found)
    found.topics[0].partitions[0].end = 100_010
    progress.update(0.0, {("orders", 0): 100_009, ("orders", 1): 110}, {})
    [line] = progress.lines(5)
    assert " 99.9%" in line
    assert "[################]" not in line
    assert progress.to_dict()["percent"] == 99.9


def test_what_kafka_has_deleted_is_neither_done_nor_left():
    found = report()
    found.topics = found.topics[:1]
    found.topics[0].partitions[0].lose(10, 60)
    progress = Progress(found)
    progress.update(0.0, {("orders", 0): 110, ("orders", 1): 110}, {})
    [line] = progress.lines(5)
    assert " 75.0%  done " in line
    assert progress.to_dict()["done"] == 150


def test_what_earlier_processes_have_counted_is_kept():
    found = report()
    found.topics[0].partitions[0].records = 25
    progress = Progress(found)
    for copied in (3, 5):
        progress.update(0.0, {}, {("orders", 0): Copied(copied, copied)})
    assert found.topics[0].partitions[0].records == 30


def test_an_empty_topic_is_complete():
    found = report()
    for _, each in found.partitions():
        each.start = each.end = each.position = 0
    progress = Progress(found)
    progress.update(0.0, {}, {})
    assert progress.to_dict()["percent"] == 100.0
    assert all("done" in line for line in progress.lines(9))


def test_elsewhere_than_on_a_terminal_it_is_json_lines():
    stream = io.StringIO()
    display = Display(stream)
    display.draw(["never"])
    display.event("progress", source="in", done=1)
    assert json.loads(stream.getvalue()).items() >= {"event": "progress", "source": "in", "done": 1}.items()


def test_on_a_terminal_lines_are_drawn_over_and_the_log_stays_above():
    stream = io.StringIO()
    display = Display(stream, terminal=True)
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with display.beside_log():
            display.draw(["one", "two"])
            root.warning("hello")
            display.draw(["three"])
        root.warning("after")
    finally:
        root.removeHandler(handler)
    display.event("never")
    up = "\x1b[A\x1b[2K"
    assert stream.getvalue() == f"one\ntwo\n\r\x1b[K{up}{up}hello\nthree\n\r\x1b[K{up}after\n"


def test_a_line_is_never_wider_than_the_terminal():
    stream = io.StringIO()
    Display(stream, terminal=True).draw(["x" * 500])
    assert len(stream.getvalue()) <= 100
