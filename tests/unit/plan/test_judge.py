"""What is concluded from what was seen of a topic."""

import re
from pathlib import Path

import pytest
from rivven_kafka.config import SourceEntry
from rivven_kafka.kafka.admin import TopicConfig
from rivven_kafka.kafka.inventory import PartitionFacts, TopicFacts
from rivven_kafka.pipeline.anchors import Commitment
from rivven_kafka.plan import judge
from rivven_kafka.plan.destination import Destination, judge_destination, name_problem
from rivven_kafka.plan.guarantee import judge_guarantee
from rivven_kafka.plan.judge import judge_records, judge_source, judge_topic
from rivven_kafka.plan.model import CODES, Finding, Severity, SourcePlan, TopicPlan, sort_findings
from rivven_kafka.plan.sample import TopicSample


def entry(**config):
    section = {key: config.pop(key) for key in ("transforms", "dead_letter_topic") if key in config}
    options = {"brokers": "kafka1:9092", "topic": "orders", **config}
    return SourceEntry(connector="kafka", topic="orders", config=options, **section)


def seen(offsets=100, scanned=100, **counts):
    names = ("gaps", "aborted", "old_format", "unreadable", "unsettled")
    others = {name: counts.pop(name) for name in names if name in counts}
    return TopicSample(offsets, scanned, counts={"records": 100, **counts}, **others)


def topic(*partitions, **facts):
    configs = {"cleanup.policy": TopicConfig("delete", default=True)}
    partitions = partitions or (PartitionFacts(1, 1, end=100, stable_end=100),)
    return TopicFacts("orders", None, partitions, **{"configs": configs, **facts})


def of_records(source, sample):
    return {each.code: str(each.severity) for each in judge_records(source, sample, "orders")}


def of_topic(source, facts, sample=None):
    return {each.code: each for each in judge_topic(source, facts, sample or seen())}


def test_a_plain_topic_has_nothing_to_say():
    assert of_records(entry(), seen(json_values=100)) == {}
    assert of_topic(entry(), topic()) == {}


@pytest.mark.parametrize(
    ("config", "counts", "expected"),
    [
        ({}, {"tombstones": 1}, {"tombstones": "exact"}),
        ({}, {"binary_values": 1}, {"binary": "exact"}),
        ({}, {"over_request": 1}, {"large": "exact"}),
        ({}, {"append_time": 1}, {"append_time": "exact"}),
        ({}, {"old_format": 1}, {"old_format": "exact"}),
        ({}, {"too_large": 1}, {"too_large": "blocks"}),
        ({"on_error": "skip"}, {"too_large": 1, "bad": 1}, {"too_large": "lossy", "bad": "lossy"}),
        ({"dead_letter_topic": "dead"}, {"bad": 1}, {"bad": "lossy"}),
        ({}, {"left_out": 1}, {"filtered": "lossy"}),
        ({}, {"left_out": 2, "echoes": 2}, {"echoes": "exact"}),
        ({}, {"left_out": 2, "echoes": 1}, {"echoes": "exact", "filtered": "lossy"}),
        ({}, {"changed_values": 1}, {"values": "lossy"}),
        ({}, {"lost_headers": 1}, {"headers": "lossy"}),
        ({}, {"lost_timestamps": 1}, {"timestamps": "lossy"}),
        ({"partitioning": "key"}, {"without_key": 1}, {"no_key": "info"}),
        ({}, {"unreadable": "bad checksum", "scanned": 4}, {"unreadable": "blocks"}),
        ({}, {"scanned": 99}, {"sampled": "info"}),
        ({}, {"scanned": 90, "unsettled": 10}, {"sampled": "info"}),
    ],
)
def test_what_was_seen_decides(config, counts, expected):
    assert of_records(entry(**config), seen(**counts)) == expected


@pytest.mark.parametrize(
    ("option", "counts", "severity"),
    [
        ("fail", {"refused_tombstones": 2}, "blocks"),
        ("skip", {"left_out": 2}, "lossy"),
        ("empty", {"changed_values": 2}, "lossy"),
        ("dead_letter", {"refused_tombstones": 2}, "lossy"),
    ],
)
def test_raw_tombstones_go_by_the_option_and_are_told_once(option, counts, severity):
    source = entry(value_format="raw", on_tombstone=option, on_error="dead_letter", dead_letter_topic="dead")
    assert of_records(source, seen(tombstones=2, **counts)) == {"tombstones": severity}
    more = {name: count + 1 for name, count in counts.items()}
    found = of_records(source, seen(tombstones=2, **more))
    extra = {"skip": {"filtered": "lossy"}, "empty": {"values": "lossy"}}.get(option, {})
    assert found == {"tombstones": severity, **extra}, "others than tombstones count by themselves"


def test_remedies_name_the_option_that_would_help():
    def remedy(source, **counts):
        [found] = judge_records(source, seen(**counts), "orders")
        return found.remedy

    assert remedy(entry(include_headers=False), lost_headers=1) == "include_headers: true"
    assert remedy(entry(value_format="raw"), lost_headers=1) == "value_format: event"
    assert remedy(entry(value_format="raw"), lost_timestamps=1) == "value_format: event"
    assert "raw" in remedy(entry(), too_large=1)
    assert remedy(entry(value_format="raw"), too_large=1) is None
    assert remedy(entry(), scanned=89, unsettled=10) == "plan --full"
    assert "transaction has ended" in remedy(entry(), scanned=90, unsettled=10)


def test_aborted_records_are_copied_by_those_who_read_everything():
    committed = entry(isolation_level="read_committed")
    assert of_topic(entry(), topic(), seen(aborted=5, gaps=2))["aborted"].severity == Severity.LOSSY
    found = of_topic(committed, topic(), seen(aborted=5, gaps=7))
    assert found["aborted"].severity == Severity.EXACT
    assert found["transactions"].message.startswith("2 of the offsets")
    assert "transactions" not in of_topic(committed, topic(), seen(aborted=5, gaps=5))
    open_one = topic(PartitionFacts(1, 1, end=100, stable_end=90))
    assert of_topic(entry(), open_one)["open_transaction"].severity == Severity.WARNING
    assert of_topic(committed, open_one)["open_transaction"].severity == Severity.INFO


def test_gaps_of_a_compacted_topic_are_what_compaction_leaves():
    compact = topic(configs={"cleanup.policy": TopicConfig("compact,delete", default=False)})
    found = of_topic(entry(), compact, seen(gaps=40))
    assert (found["compacted"].severity, "transactions" in found) == (Severity.EXACT, False)
    assert "cleanup.policy=compact,delete" in found["configs"].message


def test_where_the_source_begins():
    begun = PartitionFacts(1, 1, start=50, end=100, stable_end=100)
    found = of_topic(entry(), topic(begun, committed={0: 30}))
    assert (found["expired"].severity, found["expired"].records) == (Severity.LOSSY, 20)
    found = of_topic(entry(), topic(begun, committed={0: 70}))
    assert (found["position"].severity, found["position"].records) == (Severity.INFO, 20)
    assert "expired" not in found
    latest = entry(start_offset="latest")
    assert of_topic(latest, topic(begun))["start"].records == 50
    assert "start" not in of_topic(latest, topic(begun, committed={0: 50}))


def test_the_state_of_partitions_and_what_may_not_be_seen():
    away = PartitionFacts(3, 0, leader=False)
    behind = PartitionFacts(3, 2, end=5, stable_end=5)
    found = of_topic(entry(), topic(behind, away, configs=None, groups=tuple("abcdefg")))
    severities = {code: str(each.severity) for code, each in found.items()}
    assert severities == {
        "no_leader": "blocks",
        "under_replicated": "warning",
        "configs_unknown": "info",
        "replicas": "info",
        "groups": "info",
    }
    assert found["no_leader"].message.endswith(": 1")
    assert "7 consumer groups with offsets here (a, b, c, d, e, ...)" in found["groups"].message


def test_what_follows_from_the_options():
    def codes(**config):
        return [each.code for each in judge_source(entry(**config))]

    assert codes() == ["delivery"]
    assert codes(delivery_guarantee="exactly_once") == []
    options = {"ordering": "key", "partitioning": "key", "include_key": False}
    assert codes(**options) == ["delivery", "order", "partitioning", "include_key"]


@pytest.mark.parametrize("name", ["_schemas", "__x", "a..b", "x" * 256, "", ".a"])
def test_names_that_rivven_refuses(name):
    assert "expected a Rivven topic" in name_problem(name)


def test_a_name_that_rivven_takes():
    assert name_problem("kafka._schemas") is None


def destination(*topics, **facts):
    return Destination("orders", dict.fromkeys(topics or ("orders",), 1), **facts)


def of_destination(source, found, *, committed=None, start=0, end=9, **facts):
    partition = PartitionFacts(1, 1, start=start, end=end, stable_end=end)
    topics = {
        name: TopicFacts(name, "id", (partition,) * count, committed=committed or {}, **facts)
        for name, count in found.kafka_topics.items()
    }
    return {each.code: str(each.severity) for each in judge_destination(source, found, topics)}


def test_a_place_of_its_own():
    assert of_destination(entry(), destination(exists=False, partitions=1)) == {"new_topic": "info"}
    assert of_destination(entry(), destination(exists=True, partitions=1)) == {}
    problems = [("name", "refused", "another")]
    assert of_destination(entry(), destination(exists=False, problems=problems)) == {"name": "blocks"}


@pytest.mark.parametrize(
    ("config", "severity"),
    [
        ({}, "info"),
        ({"value_format": "raw"}, "lossy"),
        ({"value_format": "raw", "delivery_guarantee": "exactly_once"}, "blocks"),
    ],
)
def test_several_origins_of_one_topic(config, severity):
    for shared in (destination("a", "b", exists=True), destination(exists=True, others=("x",))):
        assert of_destination(entry(**config), shared) == {"collision": severity}


def test_what_rivven_holds_already():
    exact = entry(delivery_guarantee="exactly_once")
    raw = entry(delivery_guarantee="exactly_once", value_format="raw")
    held = destination(exists=True, records=9, foreign=0)
    assert of_destination(entry(), held) == {"holds_records": "lossy"}
    assert of_destination(entry(), held, committed={0: 9}) == {"holds_records": "info"}
    assert of_destination(exact, held) == {"holds_records": "info"}
    assert of_destination(raw, destination(exists=True, records=9)) == {"holds_records": "warning"}
    assert of_destination(exact, destination(exists=True, records=9, foreign=1)) == {"foreign": "lossy"}
    empty = destination(exists=True)
    assert of_destination(entry(), empty, committed={0: 9}) == {"committed": "lossy"}
    assert of_destination(entry(), empty, committed={0: 0}) == {}, "nothing counts as copied"


@pytest.mark.parametrize(
    ("records", "committed", "held", "severity"),
    [
        # The group was set back.
        (50, {0: 0}, {("orders", 0): 49}, "lossy"),
        (50, {0: 10}, {}, "lossy"),
        (50, {0: 50}, {}, "info"),
        (50, {0: 50}, {("orders", 0): 49}, "info"),
        # Filters, compaction: counts alone tell nothing.
        (30, {0: 40}, {("orders", 0): 49}, "lossy"),
        # Kafka has deleted what Rivven has, or a crash has sent records again.
        (70, {0: 50}, {("orders", 0): 49}, "info"),
        (70, {0: 50}, {}, "lossy"),
    ],
)
def test_committed_offsets_have_to_lie_behind_what_rivven_holds(records, committed, held, severity):
    found = destination(exists=True, records=records, held=held)
    assert of_destination(entry(), found, committed=committed, end=100) == {"holds_records": severity}
    exact = entry(delivery_guarantee="exactly_once")
    assert of_destination(exact, found, committed=committed, end=100) == {"holds_records": "info"}


def test_each_partition_needs_a_committed_offset():
    found = Destination("orders", {"orders": 8}, exists=True, records=80)
    assert of_destination(entry(), found, committed={0: 9}) == {"holds_records": "lossy"}
    raw = entry(delivery_guarantee="exactly_once", value_format="raw")
    assert of_destination(raw, found, committed={0: 4}) == {"holds_records": "warning"}
    assert of_destination(raw, found, committed=dict.fromkeys(range(8), 4)) == {"holds_records": "info"}


def test_what_other_sources_have_put_there_is_not_ours():
    shared = {"exists": True, "records": 9, "others": ("x",)}
    whole = {"collision": "info", "holds_records": "info"}
    assert of_destination(entry(), destination(**shared), committed={0: 9}) == whole
    assert of_destination(entry(), destination(**shared)) == whole | {"holds_records": "warning"}
    held = destination(**shared, held={("orders", 0): 3})
    assert of_destination(entry(), held) == whole | {"holds_records": "lossy"}


def test_positions_that_cannot_be_asked_for_are_a_warning_and_not_certain():
    found = of_topic(entry(start_offset="latest"), topic(positions_known=False))
    assert {code: str(each.severity) for code, each in found.items()} == {"positions_unknown": "warning"}
    plan = SourcePlan("in", "event", findings=list(found.values()))
    assert (plan.exact, plan.certain) == (True, False)
    held = destination(exists=True, records=9)
    unknown = of_destination(entry(start_offset="latest"), held, positions_known=False)
    assert unknown == {"holds_records": "lossy"}


def guaranteed(committed, metadata, *, partitions=1, **config):
    whole = PartitionFacts(1, 1, end=100, stable_end=100)
    facts = TopicFacts("orders", "id", (whole,), committed=committed, metadata=metadata)
    source = entry(**{"delivery_guarantee": "exactly_once", **config})
    return [
        (str(each.severity), each.message)
        for each in judge_guarantee(source, facts, destination(exists=True, partitions=partitions))
    ]


def test_what_exactly_once_refuses_at_its_start():
    def commitment(value_format, identity=None, topic_id="id"):
        return {0: Commitment(topic_id, "orders", value_format, {0: 0}, identity).dump()}

    for metadata in ({0: ""}, {}):
        [(severity, text)] = guaranteed({0: 9}, metadata, value_format="raw")
        assert (severity, "committed offsets without it" in text) == ("blocks", True)
    assert guaranteed({0: 9}, {}, value_format="raw", delivery_guarantee="at_least_once") == []
    assert guaranteed({0: 9}, {}) == []
    assert guaranteed({0: 9}, commitment("raw"), value_format="raw") == []
    [(severity, text)] = guaranteed({0: 101}, commitment("raw"), value_format="raw")
    assert (severity, "beyond the end" in text) == ("blocks", True)
    assert guaranteed({0: 9}, commitment("raw")) == [], "it has stopped in order"
    [(severity, text)] = guaranteed({0: 9}, commitment("raw", 7))
    assert (severity, "has not stopped in order" in text) == ("blocks", True)
    assert guaranteed({0: 9}, commitment("raw", 7, "earlier")) == [], "it begins anew"


def test_anchors_have_to_fit_beside_a_position():
    assert guaranteed({}, {}, partitions=200, partitioning="key") == []
    [(severity, text)] = guaranteed({}, {}, partitions=300, partitioning="key")
    assert (severity, "with 300 Rivven partitions" in text) == ("blocks", True)
    assert guaranteed({}, {}, partitions=300) == []


def test_the_verdict_counts_what_is_not_accepted():
    lossy = Finding("headers", Severity.LOSSY, "lost", "orders", remedy="event")
    plan = SourcePlan("in", "raw", findings=[lossy, Finding("groups", Severity.INFO, "move", "orders")])
    assert plan.to_dict()["verdict"] == {
        "exact": False,
        "certain": True,
        "reasons": ["headers"],
        "remedies": ["event"],
    }
    plan.findings[0] = Finding("headers", Severity.LOSSY, "lost", "orders", accepted=True)
    plan.topics = [TopicPlan("orders", 1, 1, "orders", sampled_share=0.5)]
    assert (plan.exact, plan.certain) == (True, False)


def test_every_code_is_known_and_explained():
    package = Path(judge.__file__).parent
    code = "".join(path.read_text() for path in package.glob("*.py"))
    used = set(re.findall(r'Finding\(\s*"(\w+)"', code)) | set(
        re.findall(r'problems\.append\(\s*\(\s*"(\w+)"', code)
    )
    page = (Path(__file__).parents[3] / "docs" / "plan.md").read_text()
    table = page.split("| code |")[1].split("\n\n")[0]
    explained = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert used == explained == set(CODES)


def test_the_worst_comes_first():
    findings = [Finding(str(each), each, "", None) for each in Severity]
    assert [finding.code for finding in sort_findings(findings)] == [
        "blocks",
        "lossy",
        "warning",
        "info",
        "exact",
    ]
