"""What an operator asks of a node and no charge point hears of: to close a socket."""

from __future__ import annotations

from dataclasses import dataclass

from csms.protocol.vocabulary import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect(Command):
    """Close the socket of a charge point (1008); `reason` stands in the close frame and in our log."""

    reason: str
