"""Changes of contracts in the audit log, in the transaction that makes them."""

from __future__ import annotations

from billing.audit import entry, service
from billing.contracts.changes import Change
from billing.sql import Connection


async def record_contract_change(connection: Connection, change: Change) -> None:
    """Enter a change of a contract, a plan or a template."""
    said = entry.Change(
        noun=change.noun.value, subject=change.subject, action=change.action, before=change.before, after=change.after
    )
    await service.record(connection, [said], now=change.at, actor=change.actor, reason=change.reason)
