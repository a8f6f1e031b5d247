"""The progress of a migration, topic by topic, as lines of text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rivven_kafka.migrate.meter import Meter
from rivven_kafka.migrate.report import Report, TopicCopy
from rivven_kafka.pipeline.until import Copied

_BAR = 16
_NAME = 32
_MB = 1_000_000


class Progress:
    """Counts what one source copies, for its report.

    Args:
        report: Where it stands at the start; kept up to date.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        # By earlier processes.
        self._before = {
            (topic.topic, each.partition): (each.records, each.size_bytes)
            for topic, each in report.partitions()
        }
        self._meters = {topic.topic: Meter() for topic in report.topics}
        self._all = Meter()

    def update(
        self,
        now_s: float,
        positions: Mapping[tuple[str, int], int],
        copied: Mapping[tuple[str, int], Copied],
    ) -> None:
        """Notes how far the source has come.

        Args:
            now_s: The time (s, by a clock that never goes back).
            positions: Everything before them is in Rivven.
            copied: What this process has brought to Rivven.
        """
        report = self.report
        report.reach(positions)
        for topic, each in report.partitions():
            place = topic.topic, each.partition
            found = copied.get(place)
            if found is not None:
                records, size_bytes = self._before[place]
                each.records, each.size_bytes = records + found.records, size_bytes + found.size_bytes
        for topic in report.topics:
            self._meters[topic.topic].add(now_s, topic.done, topic.records, topic.size_bytes)
        self._all.add(now_s, report.done, report.records, report.size_bytes)

    def lines(self, most: int) -> list[str]:
        """A line for each topic, those first that are not complete, and one for all.

        Args:
            most: Most lines.
        """
        topics = sorted(self.report.topics, key=lambda each: _left(each) <= 0)
        shown = topics if len(topics) < most else topics[: max(most - 2, 0)]
        width = min(max(map(len, [*(each.topic for each in shown), "all"])), _NAME)
        lines = [_line(each.topic, width, each, self._meters[each.topic]) for each in shown]
        if len(shown) < len(topics):
            lines.append(f"{len(topics) - len(shown)} more topics")
        if len(topics) > 1:
            lines.append(_line("all", width, self.report, self._all))
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        report = self.report
        return {
            "source": report.source,
            **_numbers(report, self._all),
            "topics": [
                {
                    "topic": each.topic,
                    "destination": each.destination,
                    **_numbers(each, self._meters[each.topic]),
                }
                for each in report.topics
            ],
        }


def _line(name: str, width: int, part: TopicCopy | Report, meter: Meter) -> str:
    """What matters most comes first: a narrow terminal cuts the rest."""
    rates = meter.rates()
    share = part.done / part.total if part.total else 1.0
    full = int(share * _BAR)
    left = _left(part)
    name = name if len(name) <= width else f"{name[: max(width - 3, 0)]}..."[:width]
    time = "done" if left <= 0 else f"ETA {duration(meter.eta_s(left))}"
    return (
        # Rounded down: 99.96 % is not 100.0 %.
        f"{name:<{width}} [{'#' * full}{'.' * (_BAR - full)}] {_percent(part):5.1f}%  {time:<11}  "
        f"{rates.records:,.0f} records/s  {rates.size_bytes / _MB:.1f} MB/s  {part.done:,}/{part.total:,}"
    )


def _numbers(part: TopicCopy | Report, meter: Meter) -> dict[str, Any]:
    rates, eta = meter.rates(), meter.eta_s(_left(part))
    return {
        "done": part.done,
        "total": part.total,
        "percent": _percent(part),
        "records": part.records,
        "bytes": part.size_bytes,
        "records_per_second": round(rates.records, 1),
        "bytes_per_second": round(rates.size_bytes, 1),
        "eta_seconds": None if eta is None else round(eta, 1),
    }


def _left(part: TopicCopy | Report) -> int:
    return part.total - part.done - part.lost


def _percent(part: TopicCopy | Report) -> float:
    return part.done * 1000 // part.total / 10 if part.total else 100.0


def duration(seconds: float | None) -> str:
    """A time as `1:02:03`, or `2 d 01:02:03`; `-` if it is not known."""
    if seconds is None:
        return "-"
    whole = int(seconds + 0.5)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    clock = f"{rest // 60:02d}:{rest % 60:02d}"
    if days:
        return f"{days} d {hours:02d}:{clock}"
    return f"{hours}:{clock}"
