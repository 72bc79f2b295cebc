"""Who changes what of a contract, when and why: said once with each act, and told to whoever keeps the log of changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from billing.errors import Refused
from billing.sql import Connection


class Noun(StrEnum):
    """Of what a change is."""

    CONTRACT = "contract"
    PLAN = "plan"
    TEMPLATE = "contract_template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change: `before` and `after` are JSON values; None where there was, or is, nothing."""

    noun: Noun
    subject: str
    action: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    actor: str
    reason: str
    at: datetime


Record: TypeAlias = Callable[[Connection, Change], Awaitable[None]]
"""Keeps a change, in the transaction that makes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Somebody does something, for a reason, now."""

    actor: str
    reason: str
    now: datetime
    record: Record

    async def tell(
        self,
        connection: Connection,
        action: str,
        subject: str,
        *,
        noun: Noun = Noun.CONTRACT,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None:
        """Keep what was done.

        Raises:
            Refused: there is no reason.
        """
        if not self.reason.strip():
            raise Refused("what is done to a contract has a reason", "say why: --reason TEXT")
        await self.record(
            connection,
            Change(
                noun=noun, subject=subject, action=action, before=before, after=after, actor=self.actor,
                reason=self.reason, at=self.now,
            ),
        )  # fmt: skip
