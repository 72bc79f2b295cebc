"""Changes of contracts in the audit log, in the transaction that makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from billing.audit import entry, service
from billing.contracts.changes import Change
from billing.sql import Connection

PERSONAL: Final = ("title", "reference", "labels", "project")
"""What may be said of a customer in the words of a contract: kept as long as the customer is."""


async def record_contract_change(connection: Connection, change: Change) -> None:
    """Enter a change of a contract, a plan or a template."""
    whose = (change.after or change.before or {}).get("account")
    if isinstance(whose, str):
        said = entry.Change(
            noun=change.noun.value, subject=change.subject, action=change.action, before=_public(change.before),
            after=_public(change.after), personal=whose, personal_before=_personal(change.before),
            personal_after=_personal(change.after),
        )  # fmt: skip
    else:
        said = entry.Change(
            noun=change.noun.value, subject=change.subject, action=change.action, before=change.before,
            after=change.after,
        )  # fmt: skip
    await service.record(connection, [said], now=change.at, actor=change.actor, reason=change.reason)


def _public(values: Mapping[str, object] | None) -> dict[str, object] | None:
    return None if values is None else {name: value for name, value in values.items() if name not in PERSONAL}


def _personal(values: Mapping[str, object] | None) -> dict[str, object] | None:
    return {name: value for name, value in (values or {}).items() if name in PERSONAL} or None
