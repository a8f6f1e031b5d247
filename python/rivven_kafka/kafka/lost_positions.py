"""Makes it heard when Kafka does not hold the position of a consumer any more, and tells where it goes on."""

from __future__ import annotations

import logging

from kafka import KafkaConsumer, TopicPartition

from rivven_kafka.kafka.offset_answers import Resets

log = logging.getLogger(__name__)


class LostPositions:
    """Hears of positions that a consumer has lost, and of those that it is given instead.

    Args:
        consumer: Asks Kafka for an offset where it has none; it judges the answers through this from now on.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._lost: dict[TopicPartition, int | None] = {}
        self._resets: dict[tuple[str, int], int] = {}
        self._jumps: dict[tuple[str, int], tuple[int | None, int]] = {}
        self._note()

    def _note(self) -> None:
        """Makes it heard when the log does not hold our position any more, as after retention.

        kafka-python then starts again at `auto_offset_reset`, and says so only at level INFO.
        """
        subscription, fetcher = self._consumer._subscription, self._consumer._fetcher
        reset, go_on = subscription.request_offset_reset, fetcher._reset_offset_if_needed
        resets = Resets(lambda error: setattr(fetcher, "_cached_list_offsets_exception", error))

        def heard(partition: TopicPartition, strategy: object = None) -> None:
            if strategy is None:
                lost = subscription.assignment[partition].position
                log.warning(
                    "Kafka does not hold the position any more: records may be missing; going on at the %s",
                    self._consumer.config["auto_offset_reset"],
                    extra={
                        "topic": partition.topic,
                        "partition": partition.partition,
                        "offset": None if lost is None else lost.offset,
                    },
                )
                before = None if lost is None else int(lost.offset)
                self._lost[partition] = before
                resets.lost(partition, before)
            reset(partition, strategy)

        def found(partition: TopicPartition, timestamp: object, offset: int) -> None:
            sought = subscription.is_assigned(partition) and subscription.is_offset_reset_needed(partition)
            if not sought:
                self._lost.pop(partition, None)
            if not sought or not resets.usable(partition, offset):
                return
            go_on(partition, timestamp, offset)
            if subscription.is_offset_reset_needed(partition):
                return
            place = partition.topic, partition.partition
            before = self._lost.get(partition)
            self._jumps[place] = self._jumps.get(place, (before,))[0], offset
            if partition in self._lost:
                del self._lost[partition]
                self._resets[place] = offset

        subscription.request_offset_reset = heard
        fetcher._reset_offset_if_needed = found

    def take_resets(self) -> dict[tuple[str, int], int]:
        """Where reading goes on where Kafka did not hold the position any more, since the last call."""
        resets = {}
        while self._resets:
            partition, offset = self._resets.popitem()
            resets[partition] = offset
        return resets

    def take_jumps(self) -> dict[tuple[str, int], tuple[int | None, int]]:
        """Where reading has begun without a position that Kafka holds, since the last call.

        Returns:
            By partition, the position that Kafka did not hold (None where there was none), and the one it has
            named instead.
        """
        return {place: self._jumps.pop(place) for place in list(self._jumps)}
