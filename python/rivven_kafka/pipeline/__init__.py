"""The loops that move records, and what they promise about delivery."""

from rivven_kafka.pipeline.sink_pipeline import SinkPipeline
from rivven_kafka.pipeline.source_pipeline import SourcePipeline

__all__ = ["SinkPipeline", "SourcePipeline"]
