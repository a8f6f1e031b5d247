"""Kafka's ids of topics (KIP-516), which tell a topic from a later one of its name."""

from __future__ import annotations

import base64
import uuid
from typing import Any


def topic_id_text(topic_id: Any) -> str | None:
    """The id as Kafka's tools print it (base64url, 22 characters); None where the brokers give none.

    Args:
        topic_id: What kafka-python calls it: a UUID, its text, or None.
    """
    if not topic_id:
        return None
    number = topic_id if isinstance(topic_id, uuid.UUID) else uuid.UUID(str(topic_id))
    return base64.urlsafe_b64encode(number.bytes).rstrip(b"=").decode() if number.int else None
