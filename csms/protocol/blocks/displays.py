"""Commands about messages on displays (OCPP 2.0.1 block O)."""

from __future__ import annotations

from dataclasses import dataclass

from csms.protocol.blocks.display_facts import DisplayMessage
from csms.protocol.vocabulary import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDisplayMessage(Command):
    """Show a message, in place of the one with its id."""

    message: DisplayMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class GetDisplayMessages(Command):
    """Tell which messages are held; they come under the number `request` (NotifyDisplayMessages)."""

    request: int
    ids: tuple[int, ...] = ()
    priority: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearDisplayMessage(Command):
    message: int
