"""A Rivven that knows a user."""

from pathlib import Path
from types import MappingProxyType

from tests.support.rivvend import RivvenBroker
from tests.support.rivvend_dist import secured_rivvend_binary


class SecuredRivven(RivvenBroker):
    """A throw-away rivvend that wants a login: the server of rivvend's library, with one user who may do all.

    Without an HTTP interface, and with a plain text port as its sibling has.

    Args:
        user: Name of the user.
        password: Password; rivvend wants letters of both kinds, digits and others.
        session_s: How long a login is good for (s).
    """

    def __init__(self, user: str, password: str, *, session_s: int = 3600) -> None:
        super().__init__()
        self.environment = MappingProxyType(
            {
                **super().environment,
                "SECURED_USER": user,
                "SECURED_PASSWORD": password,
                "SECURED_SESSION_S": str(session_s),
            }
        )

    def _command(self) -> list[str | Path]:
        return [secured_rivvend_binary(), "--bind", self.bootstrap, "--data-dir", self.data_dir]
