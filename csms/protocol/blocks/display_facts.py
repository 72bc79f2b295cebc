"""Messages on the displays of charging stations, and what stations tell of them (OCPP 2.0.1 block O)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayMessage:
    """MessageInfoType. `state` None: shown whatever the station does; `transaction`: only as long as it runs."""

    id: int
    text: str
    priority: str = "NormalCycle"
    format: str = "UTF8"
    state: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    transaction: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayMessagesReported:
    """A part of the answer to `request`; `more`: another part follows. Parts have no numbers."""

    request: int
    more: bool
    messages: tuple[DisplayMessage, ...]
    quirks: tuple[str, ...] = ()
