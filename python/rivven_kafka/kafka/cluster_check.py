"""The steps of a check that a source and a sink have in common: from the first connection to the topics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rivven_kafka.checks import NotTriedError, Step
from rivven_kafka.config import SecurityConfig
from rivven_kafka.errors import (
    AuthenticationError,
    AuthorizationError,
    ConnectError,
    UnknownTopicError,
)
from rivven_kafka.kafka.admin import Admin, TopicDescription
from rivven_kafka.kafka.login import log_in
from rivven_kafka.kafka.msk import SectionKeys
from rivven_kafka.kafka.net_client import net_client
from rivven_kafka.kafka.reach import failures, proxy_option, reach

Groups = Mapping[str, Collection[str]]
"""Names of consumer groups, by what to call them in a message."""


@dataclass(frozen=True)
class TopicSelection:
    """Which Kafka topics a connector uses.

    Attributes:
        names: Their names; empty if they are known by a rule only, which is then asked about all topics.
        selects: Whether the topic of that name is one of them.
        text: The selection in words, for messages.
    """

    names: tuple[str, ...]
    selects: Callable[[str], bool]
    text: str


class ClusterCheck:
    """Checks one Kafka cluster for one connector; every step uses what the ones before it found.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        security: What the options were made from.
        selection: The topics.

    Attributes:
        topics: The topics found, by name.
    """

    def __init__(
        self, options: Mapping[str, Any], security: SecurityConfig, selection: TopicSelection
    ) -> None:
        self._options = options
        self._security = security
        self._selection = selection
        self._timeout_ms: int = options["request_timeout_ms"]
        self._proxy = proxy_option(options)
        self._reached: list[str] = []
        self._logged_in: list[str] = []
        self._asked = False
        self._denied: list[str] = []
        self.topics: dict[str, TopicDescription] = {}

    def steps(self) -> list[Step]:
        """`config`, `connectivity`, `authentication` and `topic`, in this order."""
        # Only a login goes through a proxy, and so finds out by itself what can be reached.
        before_login = ("config",) if self._proxy else ("config", "connectivity")
        return [
            Step("config", self._check_config),
            Step("connectivity", self._check_connectivity),
            Step("authentication", self._check_authentication, after=before_login),
            Step("topic", self._check_topic, after=("authentication",)),
        ]

    def authorization(
        self,
        operations: Sequence[str],
        *,
        groups: Callable[[], Groups] = dict,
        transactional_id: str | None = None,
    ) -> Step:
        """The step `authorization`, which writes nothing.

        Args:
            operations: What has to be allowed with every topic, in Kafka's words.
            groups: Called once Kafka can be asked: the consumer groups that have to be allowed to be read.
            transactional_id: Transactional id that has to be allowed to be written.
        """
        return Step(
            "authorization",
            lambda: self._check_authorization(operations, groups, transactional_id),
            after=("authentication",),
        )

    def _check_config(self) -> str:
        net_client(self._options).close()
        security = self._security
        keys = self._options.get("sasl_oauth_token_provider")
        if isinstance(keys, SectionKeys):
            keys.current()
        given = security.ssl_ca_cert is not None or security.ssl_client_cert is not None
        return "valid; the certificate files can be read" if given else "valid"

    def _check_connectivity(self) -> str:
        if self._proxy:
            self._reached = list(self._options["bootstrap_servers"])
            raise NotTriedError(
                f"not tried, because kafka_options.{self._proxy} is given: see authentication, which uses it"
            )
        reasons = reach(self._options["bootstrap_servers"], self._timeout_ms)
        self._reached = [address for address, reason in reasons.items() if reason is None]
        missed = failures(reasons)
        if not self._reached:
            raise ConnectError(f"no broker can be reached: {missed}")
        return f"reached {', '.join(self._reached)}" + (f"; not reached: {missed}" if missed else "")

    def _check_authentication(self) -> str:
        logins = log_in(self._options, self._reached, self._timeout_ms)
        self._logged_in = [address for address, login in logins.items() if login.error is None]
        errors = [login.error for login in logins.values() if login.error is not None]
        missed = "; ".join(str(error) for error in errors)
        if not self._logged_in:
            refused = any(isinstance(error, AuthenticationError) for error in errors)
            raise (AuthenticationError if refused else ConnectError)(missed)
        version = logins[self._logged_in[0]].kafka_version
        detail = f"{self._identity()}; Kafka {version} at {', '.join(self._logged_in)}"
        return detail + (f"; but {missed}" if missed else "")

    def _identity(self) -> str:
        security = self._security
        if security.protocol.uses_sasl:
            user = "" if security.sasl_username is None else f" as {security.sasl_username!r}"
            return f"logged in{user} with {security.sasl_mechanism}"
        if security.ssl_client_cert is not None:
            return "known by a client certificate"
        return f"no login is configured (protocol {security.protocol})"

    def _check_topic(self) -> str:
        with self._admin() as admin:
            brokers = admin.brokers()
            reasons = self._reasons(brokers)
            unreached = failures(reasons)
            if any(reason is None for reason in reasons.values()):
                found, self._denied = admin.topics(self._selection.names or None)
                self._asked = True
                self.topics = {name: found[name] for name in sorted(found) if self._selection.selects(name)}
        if unreached:
            # Sooner or later a partition or the group is on one of them.
            raise ConnectError(
                f"Kafka at {', '.join(self._logged_in)} advertises addresses that cannot be reached from "
                f"here: {unreached}; expected others in advertised.listeners"
            )
        self._require_topics()
        return "; ".join(
            f"topic {topic.name!r} has {topic.partitions} partition{'' if topic.partitions == 1 else 's'}"
            for topic in self.topics.values()
        )

    def _reasons(self, addresses: Sequence[str]) -> dict[str, str | None]:
        """Why the addresses that Kafka advertises cannot be reached, as `reach` tells it."""
        if not self._proxy:
            return reach(addresses, self._timeout_ms)
        logins = log_in(self._options, addresses, self._timeout_ms)
        return {
            address: None if login.error is None else str(login.error).removeprefix(f"{address}: ")
            for address, login in logins.items()
        }

    def _require_topics(self) -> None:
        missing = [name for name in self._selection.names if name not in {*self.topics, *self._denied}]
        if missing:
            verb = "topics do" if len(missing) > 1 else "topic does"
            raise UnknownTopicError(f"Kafka {verb} not exist: {', '.join(map(repr, missing))}")
        if self._denied:
            names = ", ".join(map(repr, self._denied))
            raise NotTriedError(f"not known, because DESCRIBE is not allowed on {names}: see authorization")
        if not self.topics:
            raise UnknownTopicError(f"Kafka has no {self._selection.text} that the user may see")

    def _check_authorization(
        self, operations: Sequence[str], groups: Callable[[], Groups], transactional_id: str | None
    ) -> str:
        if not self._asked:
            raise NotTriedError("not tried, because Kafka could not be asked about the topic")
        wanted = ", ".join(operations)
        missing = [f"{wanted} on topic {name!r}" for name in self._denied]
        allowed, unknown = [], []
        if not self.topics and not self._denied:
            unknown.append(f"not known for the {self._selection.text}, which does not exist")
        for name, topic in self.topics.items():
            lacking = ", ".join(each for each in operations if each not in (topic.operations or ()))
            if topic.operations is None:
                unknown.append(f"this Kafka does not tell what is allowed on topic {name!r}")
            elif lacking:
                missing.append(f"{lacking} on topic {name!r}")
            else:
                allowed.append(f"{wanted} on topic {name!r}")
        with self._admin() as admin:
            for words, names in groups().items():
                may = all(admin.may_read_group(name) for name in names)
                (allowed if may else missing).append(f"READ on {words}")
            if transactional_id is not None:
                may = admin.may_write_transactional_id(transactional_id)
                (allowed if may else missing).append(f"WRITE on transactional id {transactional_id!r}")
        if allowed:
            unknown.append(f"allowed: {'; '.join(allowed)}")
        if missing:
            raise AuthorizationError("; ".join([f"not allowed: {'; '.join(missing)}", *unknown]))
        if len(unknown) > 1 or not allowed:
            raise NotTriedError("; ".join(unknown))
        return unknown[0]

    def _admin(self) -> Admin:
        # A bootstrap address that does not answer would use up all the time of kafka-python's client.
        return Admin({**self._options, "bootstrap_servers": self._logged_in})
