"""What ends: certificates of charge points, of the authority, and those that charge points were given to trust."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import structlog

from csms.certificates import metrics, store
from csms.certificates.alarms import Alarm, AlarmKind, raise_alarm
from csms.certificates.delivery import UNANSWERED, Send
from csms.certificates.renewal import renewal
from csms.certificates.store import SQL
from csms.protocol.blocks.certificate_facts import CertificatePurpose
from csms.protocol.vocabulary import Protocol
from csms.settings import Settings

ASKED_AGAIN = timedelta(days=1)
"""A charge point that was asked and has sent no request is asked again so much later."""
WAITS = timedelta(minutes=10)
"""An accepted request without certificate after so long is one to look at."""
ACTOR = "system"

log = structlog.get_logger()


class Watch:
    """One node at a time looks."""

    def __init__(self, pool: asyncpg.Pool[Any], settings: Settings, send: Send) -> None:
        self._pool = pool
        self._settings = settings
        self._send = send

    async def look(self, *, now: datetime) -> int:
        """Raise alarms for what ends, and have renewed what is to be renewed by itself; how many were asked."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await SQL.try_watch.fetchval(connection):
                return 0
            await self._warn(connection, now=now)
            chosen = await self._to_renew(connection, now=now)
            for row in chosen:  # in the books first: no other node asks them as well
                await _keep(connection, row, None, "asked", None)
        for row in chosen:
            await self._renew(row)
        return len(chosen)

    async def _warn(self, connection: Any, *, now: datetime) -> None:
        before = now + timedelta(days=self._settings.certificate_warning_days)
        ending = await SQL.in_use.fetch(connection, before=before, site=None)
        metrics.ENDING.set(len(ending))
        for row in ending:
            await raise_alarm(connection, _ends(row, now=now))
        for row in await SQL.installations_ending.fetch(connection, before=before, site=None):
            await raise_alarm(connection, _installed_ends(row))
        for row in (await SQL.authorities.fetch(connection))[:1]:
            if row["valid_until"] < before:
                await raise_alarm(connection, _authority_ends(row))
        for row in await SQL.waiting_since.fetch(connection, before=now - WAITS):
            await raise_alarm(connection, _waits(row))

    async def _to_renew(self, connection: Any, *, now: datetime) -> Sequence[asyncpg.Record]:
        days = self._settings.certificate_renewal_days
        if days is None:
            return ()
        rows = await SQL.in_use.fetch(connection, before=now + timedelta(days=days), site=None)
        return [
            row
            for row in rows
            if row["spoken"] is not None
            and not row["is_renewing"]
            and (row["renewal_asked_at"] is None or now - row["renewal_asked_at"] >= ASKED_AGAIN)
        ]

    async def _renew(self, row: asyncpg.Record) -> None:
        command = renewal(Protocol(row["spoken"]), CertificatePurpose(row["purpose"]))
        if command is None:
            return
        outcome = await self._send(row["charge_point"], command)
        log.info("certificate_renewal_asked", charge_point=row["charge_point"], status=outcome.status)
        accepted = None if outcome.status in UNANSWERED else outcome.accepted
        async with self._pool.acquire() as connection:
            await _keep(connection, row, accepted, outcome.status, outcome.detail)


async def _keep(connection: Any, row: asyncpg.Record, accepted: bool | None, status: str, detail: str | None) -> None:
    await SQL.insert_renewal.execute(
        connection, charge_point=row["charge_point"], purpose=row["purpose"], accepted=accepted, status=status,
        detail=detail, actor=ACTOR,
    )  # fmt: skip


def _ends(row: asyncpg.Record, *, now: datetime) -> Alarm:
    ended = row["valid_until"] <= now
    return Alarm(
        kind=AlarmKind.CERTIFICATE_ENDED if ended else AlarmKind.CERTIFICATE_ENDS,
        key=str(row["id"]),
        charge_point=row["charge_point"],
        detail=f"certificate {row['number']} {'ended' if ended else 'ends'} at {_instant(row['valid_until'])}",
        next_step=f"csms certificate renew {row['charge_point']}",
    )


def _installed_ends(row: asyncpg.Record) -> Alarm:
    return Alarm(
        kind=AlarmKind.INSTALLED_ENDS,
        key=f"{row['charge_point']}/{row['use']}/{row['number']}",
        charge_point=row["charge_point"],
        detail=f"{row['subject']}, trusted as {row['use']}, ends at {_instant(row['valid_until'])}",
        next_step=f"give it the next one: csms certificate install FILE {row['charge_point']} --use {row['use']}",
    )


def _authority_ends(row: asyncpg.Record) -> Alarm:
    return Alarm(
        kind=AlarmKind.AUTHORITY_ENDS,
        key=row["fingerprint"],
        detail=f"the root of {row['organisation']} ends at {_instant(row['valid_until'])}",
        next_step="csms certificate authority renew",
    )


def _waits(row: asyncpg.Record) -> Alarm:
    return Alarm(
        kind=AlarmKind.REQUEST_WAITS,
        key=str(row["request"]),
        charge_point=row["charge_point"],
        detail=f"request {row['request']} waits for its certificate: {row['problem'] or 'no node here may sign it'}",
        next_step="bring authority.key to the data directory of a node, or see that the EST server answers",
    )


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


async def ending(connection: Any, *, before: datetime, site: str | None) -> list[dict[str, Any]]:
    """What ends before an instant, the first one first: rows for the command line."""
    own = [
        {
            "charge_point": row["charge_point"], "kind": row["purpose"], "number": row["number"],
            "subject": row["subject"], "valid_until": row["valid_until"], "renewal_asked_at": row["renewal_asked_at"],
            "renewing": row["is_renewing"], "next": f"csms certificate renew {row['charge_point']}",
        }
        for row in await SQL.in_use.fetch(connection, before=before, site=site)
    ]  # fmt: skip
    trusted = [
        {
            "charge_point": row["charge_point"], "kind": f"trusted as {row['use']}", "number": row["number"],
            "subject": row["subject"], "valid_until": row["valid_until"], "renewal_asked_at": None, "renewing": False,
            "next": f"csms certificate install FILE {row['charge_point']} --use {row['use']}",
        }
        for row in await SQL.installations_ending.fetch(connection, before=before, site=site)
    ]  # fmt: skip
    roots = [
        {
            "charge_point": None, "kind": "authority", "number": f"{each.serial_number:X}",
            "subject": each.subject.rfc4514_string(), "valid_until": each.not_valid_after_utc, "renewal_asked_at": None,
            "renewing": False, "next": "csms certificate authority renew",
        }
        for each in (await store.roots(connection))[:1]
        if each.not_valid_after_utc < before
    ]  # fmt: skip
    return sorted([*own, *trusted, *roots], key=lambda row: row["valid_until"])
