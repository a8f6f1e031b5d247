"""Start offsets, rate limits and dead letters of sources and sinks."""

import jsonschema
import pytest
from rivven_kafka.config import OnError, SinkEntry, SourceEntry, StartOffset, StartOffsets
from rivven_kafka.errors import ConfigError

SOURCE = {"connector": "kafka", "topic": "r", "config": {"brokers": "a:1", "topic": "t"}}
SINK = {
    "connector": "kafka",
    "topics": ["r", "s"],
    "consumer_group": "g",
    "config": {"brokers": "a:1", "topic": "t"},
}


def source(config=(), **options):
    return SourceEntry.build({**SOURCE, "config": {**SOURCE["config"], **dict(config)}, **options})


def sink(config=(), **options):
    return SinkEntry.build({**SINK, "config": {**SINK["config"], **dict(config)}, **options})


def problem_of(build, *args, **options):
    with pytest.raises(ConfigError) as raised:
        build(*args, **options)
    return str(raised.value)


def test_a_start_for_each_partition():
    start = sink(start_offset={"offsets": {"r": {0: 7, "1": 8}, "s": {2: 0}}}).start_offset
    assert isinstance(start, StartOffsets)
    assert start.offsets == {"r": {0: 7, 1: 8}, "s": {2: 0}}
    assert start.otherwise is StartOffset.EARLIEST
    assert (
        sink(start_offset={"offsets": {"r": {0: 7}}, "otherwise": "latest"}).start_offset.otherwise
        == "latest"
    )


@pytest.mark.parametrize(
    "start",
    [{"offsets": {}}, {"offsets": {"r": {-1: 1}}}, {"offsets": {"r": {0: -1}}}, {"offsets": {"r": 5}}, {"offset": 5},
     {"offsets": {"r": {0: 7}}, "otherwise": "never"}, {"offsets": {"r": {"x": 7}}}, {"timestamp": 5},
     {"offsets": {"r": {0: True}}}, {"offsets": {"r": {0: 7.0}}}, {"offsets": {"r": {True: 7}}}, {"offsets": {"r": {0: "7.0"}}},
     {"offsets": {"r": {0: 2**63}}}, {"offsets": {"r": {2**31: 7}}}],
)  # fmt: skip
def test_starts_are_checked(start):
    problem = problem_of(sink, start_offset=start)
    assert problem.startswith("start_offset: got a mapping: expected earliest, latest, {timestamp")


def test_a_start_must_name_a_topic_that_is_read():
    assert (
        problem_of(sink, start_offset={"offsets": {"x": {0: 1}}})
        == "start_offset: topic 'x' is not one of topics"
    )


def test_the_schema_knows_the_starts():
    check = jsonschema.Draft202012Validator(SinkEntry.model_json_schema())
    for start in (
        "earliest",
        {"timestamp": "2026-01-31T12:00:00Z"},
        {"offsets": {"r": {"0": 7}}, "otherwise": "latest"},
    ):
        assert check.is_valid({**SINK, "start_offset": start}), start
    assert not check.is_valid({**SINK, "start_offset": {"offsets": {"r": 7}}})


def test_numbers_of_records_are_taken_as_far_as_they_are_counted():
    assert sink(offset_commit_interval=2**63 - 1).offset_commit_interval == 2**63 - 1
    assert problem_of(sink, offset_commit_interval=2**63).startswith("offset_commit_interval: got 92233720")


@pytest.mark.parametrize("build", [source, sink])
def test_a_dead_letter_topic_turns_dead_letters_on(build):
    assert build().on_error is OnError.FAIL
    assert build(dead_letter_topic="").on_error is OnError.FAIL
    assert build(dead_letter_topic="dlq").on_error is OnError.DEAD_LETTER
    assert build({"on_error": "dead_letter"}, dead_letter_topic="dlq").on_error is OnError.DEAD_LETTER
    assert problem_of(build, {"on_error": "dead_letter"}).startswith(
        "dead_letter_topic: missing: config.on_error"
    )
    assert "not used with config.on_error skip" in problem_of(
        build, {"on_error": "skip"}, dead_letter_topic="dlq"
    )
    assert "expected another one" in problem_of(build, dead_letter_topic="r")


def test_tombstones_as_dead_letters():
    raw = {"value_format": "raw", "on_tombstone": "dead_letter"}
    assert source(raw, dead_letter_topic="dlq").on_error is OnError.DEAD_LETTER
    assert source({**raw, "on_error": "fail"}, dead_letter_topic="dlq").on_error is OnError.FAIL
    assert (
        problem_of(source, raw) == "dead_letter_topic: missing: config.on_tombstone dead_letter requires it"
    )


def test_a_burst_needs_a_rate():
    assert (
        source(rate_limit={"events_per_second": 5, "burst_size": 2, "max_in_flight": 9}).rate_limit.burst_size
        == 2
    )
    assert (
        problem_of(source, rate_limit={"burst_size": 2})
        == "rate_limit.burst_size: not used without events_per_second"
    )
    assert problem_of(sink, rate_limit={"burst_capacity": 2}).endswith("not used without events_per_second")
