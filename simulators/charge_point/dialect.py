"""What the charge point needs of an OCPP version: its requests, its transaction messages, its answers to our calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from simulators.charge_point.evse import Evse, Phase, Transaction
    from simulators.charge_point.link import Connection
    from simulators.charge_point.local_lists import KnownTokens
    from simulators.charge_point.outbox import RetryPolicy
    from simulators.charge_point.settings import Settings

# Handlers take the payload in the package's snake_case and return one of its result dataclasses.
Handler = Callable[..., Any]


class Dialect(Protocol):
    """One OCPP version, spoken through the `ocpp` package."""

    subprotocol: str
    settings: Settings
    known_tokens: KnownTokens

    def peer(self, connection: Connection) -> Any:
        """The package's ChargePoint for one connection, with our handlers in its route map."""

    def boot_request(self, reason: str) -> Any:
        """BootNotification."""

    def status_request(self, evse: Evse) -> Any:
        """StatusNotification of one EVSE."""

    def heartbeat_request(self) -> Any:
        """Heartbeat."""

    def authorize_request(self, token: str) -> Any:
        """Authorize."""

    def token_status(self, answer: Any) -> str:
        """Accepted, Blocked, Expired, Invalid, Unknown, ... out of an Authorize answer."""

    def presented(self, token: str, answer: Any) -> None:
        """The driver reads what an Authorize answer says."""

    def retry_policy(self) -> RetryPolicy:
        """What the configuration says about retries."""

    def sample_interval_s(self) -> int:
        """What the configuration says about samples; 0 is none."""

    def started(self, transaction: Transaction, *, lose: bool) -> None:
        """Tell that a transaction began."""

    def sampled(self, transaction: Transaction) -> None:
        """Tell a periodic sample."""

    def phase_changed(self, transaction: Transaction, phase: Phase) -> None:
        """Tell that charging began, paused or went on (2.0.1; in 1.6 a StatusNotification says it)."""

    def left(self, evse: Evse) -> None:
        """Tell that the vehicle of the last transaction has gone, where nothing else says it."""

    def ended(self, transaction: Transaction, *, lose: bool) -> None:
        """Tell that a transaction ended."""


def route_map(handlers: dict[str, Handler], after: Callable[[], None]) -> dict[str, dict[str, Any]]:
    """The package's routing table: each handler answers, and ``after`` runs once the answer is on the wire."""

    def follow_up(**_payload: Any) -> None:
        after()

    return {
        action: {"_on_action": handler, "_after_action": follow_up, "_skip_schema_validation": False}
        for action, handler in handlers.items()
    }
