"""Commands about what a charge point authorises by itself: its local list (OCPP 2.0.1 block D) and its cache (C11)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from csms.protocol.vocabulary import Command, TokenVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEntry:
    """What a local list says of a token; `verdict` None takes the token off the list."""

    token: str
    verdict: TokenVerdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendLocalList(Command):
    """Make `entries` the list (`full`), or change the list by them. `version` is the list's once that is done."""

    version: int
    entries: tuple[ListEntry, ...] = ()
    full: bool = False

    def kept(self) -> SendLocalList:
        """A fleet's lists would fill the books of commands; what each charge point holds is kept once, elsewhere."""
        return replace(self, entries=())


@dataclass(frozen=True, slots=True, kw_only=True)
class GetLocalListVersion(Command):
    """Which list does it hold? 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearCache(Command):
    """Forget what was learnt from answers to Authorize and starts; the local list stays."""
