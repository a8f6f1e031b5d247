"""What a source would do with its Kafka topics, and whether Rivven would hold all of them; writes nothing."""

from rivven_kafka.plan.model import CODES, Estimate, Finding, Severity, SourcePlan, TopicPlan
from rivven_kafka.plan.plan import plan_source
from rivven_kafka.plan.sample import SampleOptions

__all__ = [
    "CODES",
    "Estimate",
    "Finding",
    "SampleOptions",
    "Severity",
    "SourcePlan",
    "TopicPlan",
    "plan_source",
]
