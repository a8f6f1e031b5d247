"""Rivven's side: the native client, and what is decided above it."""

from rivven_kafka.rivven.group import Change, GroupMember

__all__ = ["Change", "GroupMember"]
