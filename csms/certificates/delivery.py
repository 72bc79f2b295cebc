"""Certificates that were made are sent to their charge points, and what those say is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from csms.certificates import metrics
from csms.certificates.alarms import Alarm, AlarmKind, raise_alarm
from csms.certificates.signing import pause
from csms.certificates.store import SQL
from csms.protocol.blocks.certificate_facts import CertificatePurpose
from csms.protocol.blocks.certificates import SendSignedCertificate
from csms.protocol.vocabulary import Command, Outcome
from csms.settings import Settings

BATCH = 16
AT_ONCE = 8
TRIES_MAX = 8
"""So often a certificate is sent to a charge point that does not answer; then the operator is asked."""
LEASE_GRACE = timedelta(seconds=30)
UNSENT = frozenset({"offline"})
UNANSWERED = frozenset({"timeout", "invalid_answer"})
_OUTCOMES = frozenset({"Accepted", "Rejected", "offline", "timeout", "invalid_answer", "not_supported", "call_error"})

Send = Callable[[str, Command], Awaitable[Outcome]]


class Delivery:
    """Sends what is due to charge points that are online."""

    def __init__(self, pool: asyncpg.Pool[Any], settings: Settings, send: Send) -> None:
        self._pool = pool
        self._settings = settings
        self._send = send

    async def deliver_due(self) -> int:
        """Send what is due; how many were tried."""
        lease = timedelta(seconds=self._settings.call_timeout_s * BATCH / AT_ONCE) + LEASE_GRACE
        async with self._pool.acquire() as connection:
            rows = await SQL.take_deliveries.fetch(connection, lease=lease, most=BATCH)
        places = asyncio.Semaphore(AT_ONCE)

        async def one(row: asyncpg.Record) -> None:
            async with places:
                await self._deliver(row)

        async with asyncio.TaskGroup() as tasks:
            for row in rows:
                tasks.create_task(one(row))
        return len(rows)

    async def _deliver(self, row: asyncpg.Record) -> None:
        too_long = await self._too_long(row)
        if too_long is not None:
            await self._give_up(row, "failed", too_long)
            return
        command = SendSignedCertificate(chain=row["chain"], purpose=CertificatePurpose(row["purpose"]))
        try:
            outcome = await self._send(row["charge_point"], command)
        except ValueError as wrong:  # it cannot be written in the version that the charge point speaks now
            await self._give_up(row, "failed", str(wrong))
            return
        metrics.DELIVERIES.labels(outcome.status if outcome.status in _OUTCOMES else "other").inc()
        if outcome.status not in UNSENT:
            await self._keep(row, outcome)
        if outcome.accepted:
            await self._go_on(row, "installed", datetime.now(UTC), None)
        elif outcome.status in UNSENT | UNANSWERED and row["tries"] < TRIES_MAX:
            again_at = datetime.now(UTC) + pause(self._settings.certificate_retry_s, row["tries"])
            await self._go_on(row, "issued", again_at, f"sent in vain: {outcome.status}")
        else:
            await self._give_up(row, "refused", ": ".join(filter(None, (outcome.status, outcome.detail))))

    async def _too_long(self, row: asyncpg.Record) -> str | None:
        """Why the charge point cannot take this chain, by what it says of itself."""
        async with self._pool.acquire() as connection:
            said = await SQL.chain_limits.fetch(connection, charge_point=row["charge_point"])
        limits = [int(each["value"]) for each in said if (each["value"] or "").strip().isdecimal()]
        length = len(row["chain"])
        if limits and 0 < min(limits) < length:
            return f"the chain has {length} characters, the charge point takes {min(limits)}"
        return None

    async def _keep(self, row: asyncpg.Record, outcome: Outcome) -> None:
        async with self._pool.acquire() as connection:
            await SQL.insert_delivery.execute(
                connection,
                certificate=row["certificate"],
                accepted=None if outcome.status in UNANSWERED else outcome.accepted,
                status=outcome.status,
                detail=outcome.detail,
            )

    async def _give_up(self, row: asyncpg.Record, state: str, problem: str) -> None:
        await self._go_on(
            row, state, datetime.now(UTC), problem,
            Alarm(
                kind=AlarmKind.NOT_INSTALLED,
                key=str(row["request"]),
                charge_point=row["charge_point"],
                detail=f"the certificate of request {row['request']} was not taken: {problem}",
                next_step=f"see csms cp trace {row['charge_point']}, then: csms certificate renew {row['charge_point']}",
            ),
        )  # fmt: skip

    async def _go_on(
        self, row: asyncpg.Record, state: str, due_at: datetime, problem: str | None, alarm: Alarm | None = None
    ) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await SQL.work_at.execute(
                connection, request=row["request"], state=state, due_at=due_at,
                problem=None if problem is None else problem[:500],
            )  # fmt: skip
            if alarm is not None:
                await raise_alarm(connection, alarm)
