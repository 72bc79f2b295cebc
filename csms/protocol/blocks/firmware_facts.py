"""What charge points tell of firmware besides the vocabulary's own facts, which import from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishStatusReported:
    """How far a local controller is with a PublishFirmware. `locations`: where it offers the file."""

    status: str
    request: int | None = None
    locations: tuple[str, ...] = ()
