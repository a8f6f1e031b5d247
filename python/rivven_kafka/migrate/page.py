"""The report of a migration as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from rivven_kafka.migrate.progress import duration
from rivven_kafka.migrate.report import Outcome, Report, TopicCopy

_MB = 1_000_000
_MOST_PARTITIONS = 2_000
"""Rows of partitions that a browser shows without trouble; the JSON has all of them."""

_VERDICTS = {
    Outcome.RUNNING: ("wait", "Running", "The copy is under way, or its process was killed."),
    Outcome.INTERRUPTED: ("wait", "Interrupted", "It was told to stop. Start it again to go on."),
    Outcome.COPIED: ("ok", "Copied", "Everything up to the snapshot is in Rivven. It was not verified."),
    Outcome.VERIFIED: ("ok", "Verified", "Everything up to the snapshot is in Rivven, and is the same."),
    Outcome.INCOMPLETE: (
        "bad",
        "Incomplete",
        "Kafka had deleted a part of the snapshot before it was read. The rest is in Rivven.",
    ),
    Outcome.DIFFERENT: ("bad", "Different", "Everything was copied, and the two sides are not the same."),
    Outcome.FAILED: ("bad", "Failed", "It has ended with an error. Start it again to go on."),
}

_TITLES = {
    "foreign": "Records in Rivven that did not come from these topics",
    "unreadable": "What cannot be read in Rivven",
    "beyond_end": "Records in Rivven behind the end of a log",
}

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
:root { --ok: #1a7f37; --bad: #c62828; --wait: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --ok: #4cc26a; --bad: #ff7b72; --wait: #d9a530; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.verdict { border-left: .4rem solid; padding: .5rem 1rem; background: var(--soft); }
.verdict strong { font-size: 1.3rem; } .ok { color: var(--ok); } .bad { color: var(--bad); }
.wait { color: var(--wait); } .verdict p { margin: 0; color: CanvasText; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; }
dt { opacity: .75; } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td { overflow-wrap: anywhere; } code { font-size: .85rem; } summary { cursor: pointer; padding: .3rem 0; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
"""


def page(report: Report) -> str:
    """The page. Everything that comes from the brokers or the configuration is escaped."""
    kind, word, sentence = _VERDICTS[report.outcome]
    title = f"Migration of {report.source}: {word.lower()}"
    error = f"<p>{escape(report.error)}</p>" if report.error else ""
    parts = [
        f"<h1>Migration of {escape(report.source)}</h1>",
        f'<div class="verdict {kind}"><strong>{word}</strong><p>{sentence}</p>{error}</div>',
        "<h2>Summary</h2>",
        _facts(report),
        *_list("Notes", [*report.losses, *report.notes, *(report.verification or {}).get("notes", ())]),
        "<h2>Topics</h2>",
        _table(
            ("Kafka topic", "Rivven topic", "#Partitions", "#Records", "#MB", "#Offsets", "#Copied"),
            (
                (
                    topic.topic,
                    topic.destination,
                    len(topic.partitions),
                    topic.records,
                    _mb(topic.size_bytes),
                    topic.total,
                    _percent(topic.done, topic.total),
                )
                for topic in report.topics
            ),
        ),
        *_verification(report),
        "<h2>Partitions</h2>",
        _partitions(report),
        "<h2>What Rivven does not have</h2>",
        *_lost(report.topics),
    ]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _facts(report: Report) -> str:
    seconds = report.copy_seconds
    # Without the records of other processes, of which the time is known too, there is no rate.
    rate = (
        f"{report.records / seconds:,.0f} records/s, {_mb(report.size_bytes / seconds)} MB/s"
        if seconds
        else ""
    )
    facts: list[tuple[str, object]] = [
        ("From Kafka", f"{', '.join(report.kafka)} (cluster {report.kafka_cluster or 'without an id'})"),
        ("To Rivven", ", ".join(report.rivven)),
        ("Consumer group", report.group),
        ("Options", ", ".join(f"{name}: {value}" for name, value in report.options.items())),
        ("Snapshot of the ends", report.snapshot),
        ("Copied by", report.finished or "not complete"),
        ("Records copied", f"{report.records:,}"),
        ("Size", f"{_mb(report.size_bytes)} MB"),
        ("Time to copy", f"{duration(seconds)} in {report.processes} processes"),
        ("Rate", rate),
        ("Time to verify", "" if report.verify_seconds is None else duration(report.verify_seconds)),
        ("Live link caught up with", report.caught_up or ""),
        ("Written", report.updated or ""),
    ]
    return (
        "<dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts if value)
        + "</dl>"
    )


def _verification(report: Report) -> Iterator[str]:
    found = report.verification
    if found is None:
        return
    wrong = [each for each in found.get("partitions", ()) if not each.get("equal")]
    yield "<h2>Differences</h2>"
    if not wrong:
        yield "<p>None.</p>"
    for each in wrong:
        yield f"<h3>{escape(_place(each))}</h3>"
        yield _value(each)
    for name, value in found.items():
        counts = isinstance(value, Mapping) and not any(value.values())
        if name not in ("partitions", "source", "equal", "notes") and value and not counts:
            title = _TITLES.get(name, name.replace("_", " "))
            shown = {at: count for at, count in value.items() if count} if name == "foreign" else value
            yield f"<h3>{escape(title)}</h3>{_value(shown)}"


def _partitions(report: Report) -> str:
    found = {
        (each.get("topic"), each.get("partition")): each
        for each in (report.verification or {}).get("partitions", ())
    }
    rows: list[tuple[object, ...]] = []
    for topic, each in report.partitions():
        verified = found.get((topic.topic, each.partition), {})
        rows.append(
            (
                f"{topic.topic}:{each.partition}",
                each.start,
                each.end,
                _percent(each.done, each.total),
                verified.get("records_kafka", ""),
                verified.get("records_rivven", ""),
                verified.get("digest_kafka") or "",
                verified.get("digest_rivven") or "",
                {True: "equal", False: "different"}.get(verified.get("equal"), ""),
            )
        )
    head: tuple[str, ...] = ("Kafka partition", "#From", "#To", "#Copied")
    compared: tuple[str, ...] = ("#In Kafka", "#In Rivven", "Digest in Kafka", "Digest in Rivven", "Verdict")
    if not found:
        rows, compared = [row[: len(head)] for row in rows], ()
    more = len(rows) - _MOST_PARTITIONS
    note = f"<p>And {more} more, which are in the JSON.</p>" if more > 0 else ""
    return f"<details open><summary>{len(rows)} partitions</summary>" + (
        _table((*head, *compared), rows[:_MOST_PARTITIONS]) + note + "</details>"
    )


def _lost(topics: Sequence[TopicCopy]) -> Iterator[str]:
    yield (
        "<p>A Rivven topic is created with a number of partitions, and cannot be given any other options: "
        "nothing limits for how long it keeps its records. These are the options of the Kafka topics that "
        "have no like there.</p>"
    )
    yield _table(
        ("Kafka topic", "#Replicas", "Options"),
        (
            (
                topic.topic,
                topic.replicas,
                ", ".join(f"{name}={value}" for name, value in topic.configs.items()) or "-",
            )
            for topic in topics
        ),
    )


def _list(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        listed = "".join(f"<li>{escape(each)}</li>" for each in items)
        yield f"<h2>{title}</h2><ul>{listed}</ul>"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; columns whose heading begins with # hold numbers."""
    numbers = [name.startswith("#") for name in head]

    def cell(tag: str, value: object, number: bool) -> str:
        text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        kind = ' class="n"' if number else ""
        return f"<{tag}{kind}>{escape(text)}</{tag}>"

    headings = "".join(
        cell("th", name.lstrip("#"), number) for name, number in zip(head, numbers, strict=True)
    )
    lines = (
        "<tr>"
        + "".join(cell("td", each, number) for each, number in zip(row, numbers, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{headings}</tr>{"".join(lines)}</table></div>'


def _value(value: Any) -> str:
    """Any part of a report, as nested lists."""
    if isinstance(value, Mapping):
        pairs = "".join(
            f"<dt>{escape(str(name).replace('_', ' '))}</dt><dd>{_value(each)}</dd>"
            for name, each in value.items()
            if each not in (None, [], {}, "")
        )
        return f"<dl>{pairs}</dl>"
    if isinstance(value, list | tuple):
        return "<ul>" + "".join(f"<li>{_value(each)}</li>" for each in value) + "</ul>"
    return f"<code>{escape(str(value))}</code>"


def _place(found: Mapping[str, Any]) -> str:
    return f"{found.get('topic')}:{found.get('partition')}"


def _percent(done: int, total: int) -> str:
    return f"{int(done / total * 1000) / 10:.1f} %" if total else "100.0 %"


def _mb(size_bytes: float) -> str:
    return f"{size_bytes / _MB:,.1f}"
