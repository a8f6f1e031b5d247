"""Sources and sinks of one file that feed each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rivven_kafka.config.entries import SinkEntry, SourceEntry
from rivven_kafka.config.model import BrokenRule
from rivven_kafka.config.transforms import Filter


@dataclass(frozen=True)
class _Hop:
    """The way of a record from one sink to the next, through Kafka, a source and Rivven."""

    sink: str
    source: str
    next_sink: str


def broken_cycle_rules(
    sources: Mapping[str, SourceEntry], sinks: Mapping[str, SinkEntry]
) -> Iterator[BrokenRule]:
    """Find connectors without loop protection through which every record would go round for ever.

    Kafka clusters are taken for the same where two connectors name a common address, so there may be more
    circles than are found: two addresses of one cluster look like two clusters. A connector that filters may
    end the way of a record, and is trusted to.

    Args:
        sources: The sources that run.
        sinks: The sinks that run.
    """
    sources = {name: entry for name, entry in sources.items() if not _filters(entry)}
    sinks = {name: entry for name, entry in sinks.items() if not _filters(entry)}
    hops = list(_hops(sources, sinks))
    told = set()
    for hop in hops:
        if hop.sink not in _reached(hops, hop.next_sink):
            continue
        for section, name, entry in (
            ("sources", hop.source, sources[hop.source]),
            ("sinks", hop.sink, sinks[hop.sink]),
        ):
            if entry.loop_protection or (section, name) in told:
                continue
            told.add((section, name))
            other = f"sink {hop.sink!r}" if section == "sources" else f"source {hop.source!r}"
            yield (
                (section, name, "loop_protection"),
                f"got false: together with {other}, every record would go round for ever: expected true in "
                "all connectors of the circle, or other topics",
            )


def _filters(entry: SourceEntry | SinkEntry) -> bool:
    return any(isinstance(step, Filter) for step in entry.transforms)


def _hops(sources: Mapping[str, SourceEntry], sinks: Mapping[str, SinkEntry]) -> Iterator[_Hop]:
    for sink, written in sinks.items():
        topic = written.config.topic
        for source, read in sources.items():
            common = _addresses(read) & _addresses(written)
            if not common or not read.config.selects(topic):
                continue
            for next_sink, entry in sinks.items():
                if read.destination(topic) in entry.topics:
                    yield _Hop(sink, source, next_sink)


def _addresses(entry: SourceEntry | SinkEntry) -> set[str]:
    """Its addresses of Kafka; the case of a host's name means nothing."""
    return {address.lower() for address in entry.config.brokers}


def _reached(hops: list[_Hop], sink: str) -> set[str]:
    """The sinks to which what goes through `sink` comes, itself included."""
    reached, new = {sink}, [sink]
    while new:
        here = new.pop()
        for hop in hops:
            if hop.sink == here and hop.next_sink not in reached:
                reached.add(hop.next_sink)
                new.append(hop.next_sink)
    return reached
