"""Tells of values without the field that their Kafka key is made of."""

from __future__ import annotations

import logging
import math
import time

log = logging.getLogger(__name__)

_EVERY_S = 60.0


class MissingKeys:
    """Logs how many records went out with their Rivven key instead, at most once a minute.

    Args:
        connector: Name of the sink.
        field: The field that they lack.
    """

    def __init__(self, connector: str, field: str | None) -> None:
        self._connector = connector
        self._field = field
        self._logged = 0
        self._logged_at = -math.inf

    def look(self, count: int) -> None:
        """Logs what is new.

        Args:
            count: How many there were until now.
        """
        now = time.monotonic()
        if count > self._logged and now - self._logged_at >= _EVERY_S:
            log.warning(
                "%d records have no field %r: their key is the Rivven key (key_field)",
                count - self._logged,
                self._field,
                extra={"connector": self._connector},
            )
            self._logged, self._logged_at = count, now
