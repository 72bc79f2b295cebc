"""A small world for billing: one site, its charge points, sessions written by SQL, and a source that reads them.

The source stands for the room outside that folds facts: here a session is one charging period, or what `periods` of
the test says, so that an UPDATE of its row is a new fact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import asyncpg

from billing.bills.billable import BillableSession
from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs import service as tariffs
from billing.tariffs.assignment import Customer, Scope

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BEFORE = NOON - timedelta(days=30)

SESSIONS = """
SELECT s.*, c.site, t.country, t.currency, t.time_zone,
       coalesce((SELECT array_agg(h) FROM review_entry r, unnest(r.holds) h
                  WHERE r.session = s.id AND r.action = 'release'), '{}') AS released
  FROM session s JOIN charge_point c ON c.id = s.charge_point JOIN site t ON t.id = c.site
 WHERE s.id = ANY($1::integer[])
"""


@dataclass
class TableSource:
    """Sessions as their rows have them. `broken`: it raises for these, as a bug would. `customers`: whose they are."""

    broken: set[int] = field(default_factory=set)
    customers: dict[int, Customer] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    """Of tokens, where `customers` says nothing of the session."""
    online: bool = True

    async def load(self, connection: Any, sessions: Sequence[int], *, now: datetime) -> Mapping[int, BillableSession]:
        if self.broken & set(sessions):
            raise ZeroDivisionError("a fold that does not work")
        return {row["id"]: self._session(row, now) for row in await connection.fetch(SESSIONS, list(sessions))}

    def _session(self, row: asyncpg.Record, now: datetime) -> BillableSession:
        newest = now if self.online else (row["last_fact_at"] or row["started_at"])
        as_of = row["ended_at"] or newest
        held = set(row["holds"]) - set(row["released"])
        return BillableSession(
            id=row["id"],
            charge_point=row["charge_point"],
            site=row["site"],
            country=row["country"],
            currency=row["currency"],
            time_zone=row["time_zone"],
            token=row["token"],
            priced_from=row["started_at"] if row["token"] else None,
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            complete_at=row["complete_at"],
            closed=row["ended_at"] is not None,
            dropped=row["dropped"] is not None,
            holds=frozenset(held),
            released=frozenset(row["released"]),
            energy_wh=row["energy_wh"],
            as_of=as_of,
            usage=one_period(row["started_at"], as_of, row["energy_wh"], row["time_zone"]),
            inputs_hash=sha256(repr(dict(row)).encode()).digest(),
            customer=self.customers.get(row["id"]) or Customer(token_group=self.groups.get(row["token"])),
        )


def one_period(start: datetime, end: datetime, energy_wh: Decimal, time_zone: str = "Europe/Berlin") -> Usage:
    return Usage(
        time_zone=time_zone,
        periods=(Period(kind=PeriodKind.CHARGING, start=start, end=max(start, end), energy_wh=energy_wh),),
    )


def tariff_file(
    tariff: str = "day", price: str = "0.50", *, currency: str = "EUR", flat: str | None = None, **more: str
) -> str:
    parts = [f'{{"type": "ENERGY", "price": {price}, "vat": 19, "step_size": 1}}']
    parts += [f'{{"type": "FLAT", "price": {flat}, "vat": 19, "step_size": 1}}'] if flat else []
    extra = "".join(f', "{name}": "{value}"' for name, value in more.items())
    return (
        f'{{"id": "{tariff}", "currency": "{currency}", "tax_included": "YES"{extra}, '
        f'"elements": [{{"price_components": [{", ".join(parts)}]}}]}}'
    )


@dataclass
class World:
    """Writes rows; every value is valid unless the test says otherwise."""

    pool: asyncpg.Pool

    async def site(self, site: str = "depot", currency: str = "EUR") -> None:
        await self.pool.execute(
            "INSERT INTO site (id, name, country, time_zone, currency) VALUES ($1, $1, 'DE', 'Europe/Berlin', $2)",
            site,
            currency,
        )

    async def charge_point(self, charge_point: str = "CP-1", site: str = "depot") -> None:
        await self.pool.execute("INSERT INTO charge_point (id, site) VALUES ($1, $2)", charge_point, site)

    async def session(
        self,
        *,
        charge_point: str = "CP-1",
        token: str | None = "TAG-1",  # noqa: S107 - a driver's card, no secret
        started_at: datetime = NOON,
        ended_at: datetime | None = NOON + timedelta(hours=1),
        complete_at: datetime | None = NOON + timedelta(hours=1, minutes=1),
        energy_wh: Decimal | int = 10_000,
        holds: Sequence[str] = (),
    ) -> int:
        """A session of one hour and 10 kWh, complete; and billing is told."""
        session: int = await self.pool.fetchval(
            """
            INSERT INTO session (charge_point, transaction, token, started_at, ended_at, complete_at, energy_wh, holds)
            VALUES ($1, gen_random_uuid()::text, $2, $3, $4, $5, $6, $7)
            RETURNING id
            """,
            charge_point,
            token,
            started_at,
            ended_at,
            complete_at,
            Decimal(energy_wh),
            list(holds),
        )
        await self.tell_billing(session)
        return session

    async def running(self, **more: Any) -> int:
        return await self.session(ended_at=None, complete_at=None, **{"energy_wh": 0, **more})

    async def sessions(self, count: int) -> list[int]:
        rows = await self.pool.fetch(
            """
            INSERT INTO session (charge_point, transaction, token, started_at, ended_at, complete_at, energy_wh)
            SELECT 'CP-1', 'many-' || n, 'TAG-1', $2::timestamptz + n * interval '1 minute',
                   $2::timestamptz + n * interval '3 minutes', $2::timestamptz + n * interval '3 minutes', 1000 + n
              FROM generate_series(1, $1) AS n
            RETURNING id
            """,
            count,
            NOON - timedelta(days=1),
        )
        sessions = [row["id"] for row in rows]
        await self.tell_billing(*sessions)
        return sessions

    async def change(self, session: int, **columns: Any) -> None:
        """New facts of a session; and billing is told."""
        for name, value in columns.items():
            await self.pool.execute(f"UPDATE session SET {name} = $2 WHERE id = $1", session, value)
        await self.tell_billing(session)

    async def tell_billing(self, *sessions: int) -> None:
        await self.pool.execute("INSERT INTO rating_due (session) SELECT unnest($1::integer[])", list(sessions))

    async def release(self, session: int, *holds: str) -> None:
        await self.pool.execute(
            "INSERT INTO review_entry (session, action, holds, reason, actor) VALUES ($1, 'release', $2, 'ok', 'ada')",
            session,
            list(holds),
        )
        await self.tell_billing(session)

    async def tariff(
        self, text: str, *, default: bool = True, now: datetime = BEFORE, valid_from: datetime | None = None
    ) -> None:
        """Create a tariff and let everybody charge by it."""
        async with self.pool.acquire() as connection:
            created = await tariffs.create(connection, text, now=now)
            if default:
                await tariffs.assign(
                    connection, created.id, scope=Scope.DEFAULT, target=None, now=now, valid_from=valid_from
                )

    async def token(self, *tokens: str, group: str | None = None) -> None:
        """Issue tokens, long ago."""
        await self.pool.executemany(
            "INSERT INTO token_event (uid, kind, at, group_id, actor) VALUES ($1, 'issued', $2, $3, 'ada')",
            [(token, BEFORE, group) for token in tokens],
        )

    async def bills(self, session: int) -> list[tuple[str, int, str]]:
        """Kind, number and total of a session's bills, in order."""
        rows = await self.pool.fetch(
            "SELECT kind, seq, total_incl_minor FROM bill WHERE session = $1 ORDER BY seq", session
        )
        return [(row["kind"], row["seq"], f"{Decimal(row['total_incl_minor']).scaleb(-2):.2f}") for row in rows]

    async def rating(self, session: int) -> asyncpg.Record:
        row = await self.pool.fetchrow("SELECT * FROM rating WHERE session = $1", session)
        assert row is not None
        return row
