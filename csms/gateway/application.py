"""What the gateway asks of the rest of csms. The gateway knows sockets and frames; what a fact means is decided there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from csms.charge_points.charge_point import ChargePoint, Proof
from csms.gateway.client_certificate import CertificateRecord
from csms.protocol import vocabulary
from csms.security.event import OwnKind


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketInfo:
    """One authenticated socket. `id` is unique for ever; `remote` is the peer's address as host or [host].

    `proof`: how the peer has shown who it is.
    """

    charge_point: ChargePoint
    protocol: vocabulary.Protocol
    id: str
    remote: str
    opened_at: datetime
    proof: Proof


class Application(Protocol):
    async def find(self, identity: str) -> ChargePoint | None:
        """The charge point that `identity` names, in any case; its `id` is the registered spelling."""

    async def on_record(self, issuer: bytes, number: int) -> CertificateRecord | None:
        """For whom we had a certificate made, by its issuer's name in DER and its number; None: it was made elsewhere."""

    async def receive(self, socket: SocketInfo, fact: vocabulary.Fact, frame: str) -> vocabulary.Decision:
        """Decide, and return once everything that the answer stands for is committed.

        Raises:
            DatabaseUnavailable: it could not be committed; the gateway then closes the socket without an answer.
        """

    async def opened(self, socket: SocketInfo) -> None:
        """An authenticated socket is live."""

    async def closed(self, socket: SocketInfo, code: int, reason: str) -> None:
        """It is gone. May come long after the next socket of the same charge point was opened."""

    def observed(self, socket: SocketInfo, direction: Literal["in", "out"], frame: str, action: str | None) -> None:
        """A frame passed. Must neither block nor raise."""

    def deviated(self, charge_point: ChargePoint, names: Iterable[str], *, action: str | None, frame: str) -> None:
        """`frame`, or the head of a handshake, shows these quirks. Must neither block nor raise."""

    def unheard(self, remote: str, why: str) -> None:
        """A TLS handshake from there failed, whoever it was. Must neither block nor raise."""

    def noticed(self, kind: OwnKind, *, charge_point: str = "", remote: str = "", info: str = "") -> None:
        """Something that whoever watches over security wants to know. Must neither block nor raise."""

    async def quarantined(self, socket: SocketInfo, frame: str, reason: str) -> None:
        """Keep a transaction message that became no fact; returns once it is committed.

        Raises:
            DatabaseUnavailable: it could not be committed.
        """


class DatabaseHealth(Protocol):
    @property
    def available(self) -> bool:
        """False once commits have failed for longer than settings.database_patience_s, until one works again."""
