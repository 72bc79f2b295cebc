"""A whole server in this process, on a database of its own, and the operator beside it. Shared by scenarios and faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from billing import Scope
from billing.bills import history
from billing.bills.bill import BillSummary
from billing.tariffs import service as tariffs
from billing.tariffs.idle import IdleAfterStop
from csms.app import Running, run_server
from csms.charge_points import service as charge_points
from csms.charge_points.service import Choices, load_password_key
from csms.database.pool import connect_once
from csms.sessions import listing
from csms.sessions.policy import ReviewPolicy
from csms.settings import Settings, load_settings
from csms.sites import service as sites
from csms.tokens import service as tokens

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SITE = "harbour"
TOKENS = ("CARD-0001", "CARD-0002")
QUIET_MAX_S = 30.0
# Waits of a test are fractions of the real ones (settings.py): nothing is awaited that a test does not speak of.
QUICK: dict[str, Any] = {
    "ocpp_host": "127.0.0.1",
    "ocpp_port": 0,
    "http_port": 0,
    "settle_delay_s": 0,
    "projection_interval_s": 0.05,
    "billing_interval_s": 0,
    "sweep_interval_s": 0.2,
    "drain_timeout_s": 1,
    "close_timeout_s": 1,
}


def tariff_document(id_: str = "PLAIN", *elements: dict[str, Any], **top: Any) -> dict[str, Any]:
    """An OCPI tariff; 0.49 EUR/kWh plus 19 % VAT unless elements are given."""
    plain = {"price_components": [{"type": "ENERGY", "price": "0.49", "vat": "19", "step_size": 1}]}
    return {
        "country_code": "DE",
        "party_id": "EXA",
        "id": id_,
        "currency": "EUR",
        "tax_included": "NO",
        "elements": list(elements) or [plain],
        "last_updated": "2026-01-01T00:00:00Z",
        **top,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a charge point needs to connect."""

    id: str
    password: str


class World:
    """A running server seen by its operator; `connection` is one of the operator's own."""

    def __init__(self, running: Running, settings: Settings, dsn: str, connection: Any) -> None:
        self.running = running
        self.settings = settings
        self.dsn = dsn
        self.connection = connection

    @property
    def ocpp_url(self) -> str:
        return self.running.ocpp_url

    async def site(
        self, site: str = SITE, *, time_zone: str = "Europe/Berlin", currency: str = "EUR", country: str = "DE"
    ) -> None:
        await sites.create(
            self.connection, site, name=site.title(), country=country, time_zone=time_zone, currency=currency
        )

    async def charge_point(self, identity: str, *, site: str = SITE, **choices: Any) -> Key:
        key = load_password_key(self.settings.data_dir, self.settings.password_key)
        known, password = await charge_points.create(self.connection, identity, Choices(site=site, **choices), key=key)
        return Key(id=known.id, password=password or "")

    async def token(self, uid: str) -> None:
        await tokens.issue(self.connection, uid, group=None, expires_at=None, actor="operator")

    async def block(self, uid: str) -> None:
        await tokens.block(self.connection, uid, reason="lost card", actor="operator")

    async def tariff(
        self, document: dict[str, Any] | None = None, *, assigned: bool = True, idle: IdleAfterStop | None = None
    ) -> None:
        """Create a tariff and let every charge point charge by it."""
        document = document or tariff_document()
        await tariffs.create(
            self.connection, json.dumps(document), now=datetime.now(UTC), valid_from=LONG_AGO, idle=idle
        )
        if assigned:
            await self.assign(document["id"], valid_from=LONG_AGO)

    async def assign(self, tariff: str, *, valid_from: datetime) -> None:
        await tariffs.assign(
            self.connection, tariff, scope=Scope.DEFAULT, target=None, now=datetime.now(UTC), valid_from=valid_from
        )

    async def sessions(self, **filters: Any) -> list[dict[str, Any]]:
        return await listing.list_sessions(self.connection, **filters)

    async def show(self, session: int) -> dict[str, Any]:
        return await listing.show(self.connection, session)

    async def bills(self, session: int) -> list[BillSummary]:
        return await history.bills_of(self.connection, session)

    async def review(self, session: int, action: str, reason: str = "looked into it") -> None:
        await listing.review(self.connection, session, action=action, reason=reason, actor="operator")

    async def orphans(self) -> list[dict[str, Any]]:
        return await listing.orphans(self.connection)

    async def quarantined(self) -> list[str]:
        return [row["frame"] for row in await self.connection.fetch("SELECT frame FROM quarantine ORDER BY id")]

    async def quiet(self) -> None:
        """Wait until every fact that was answered is folded and everything that follows from it now is billed."""
        async with asyncio.timeout(QUIET_MAX_S):
            while await self.connection.fetchval(_BUSY):  # noqa: ASYNC110 - what is awaited lies in the database
                await asyncio.sleep(0.02)

    async def displayed(self) -> list[Decimal]:
        """Every cost that was sent to a display, as it stands in the frames."""
        rows = await self.connection.fetch(
            "SELECT body FROM frame WHERE direction = 'out' AND body LIKE '[2,%' AND action = 'CostUpdated' ORDER BY received_at"
        )
        return [json.loads(row["body"], parse_float=Decimal, parse_int=Decimal)[3]["totalCost"] for row in rows]


# Facts wait in session_due, their consequences in rating_due; both are emptied in the transaction that acts on them.
_BUSY = """
SELECT EXISTS (SELECT FROM session_due) OR EXISTS (SELECT FROM rating_due)
    OR EXISTS (SELECT FROM rating WHERE next_at <= now())
    OR EXISTS (SELECT FROM session WHERE projected_at IS NULL AND id IN (SELECT session FROM charging_event))
"""


@contextlib.asynccontextmanager
async def open_world(
    dsn: str, data_dir: Path, *, review: dict[str, Any] | None = None, **given: Any
) -> AsyncIterator[World]:
    """A server on the database of `dsn`; `given` are settings, `review` limits of the review policy."""
    settings = load_settings({}, data_dir=data_dir, **{**QUICK, **given})
    async with connect_once(dsn) as connection:
        if review is not None:
            await _review_policy(connection, review)
        ready: asyncio.Queue[Running] = asyncio.Queue()
        server = asyncio.create_task(run_server(settings, dsn, started=ready.put_nowait))
        running = await _first(ready, server)
        try:
            yield World(running, settings, dsn, connection)
        finally:
            running.stop()
            await server


async def _first(ready: asyncio.Queue[Running], server: asyncio.Task[None]) -> Running:
    waiting = asyncio.create_task(ready.get())
    await asyncio.wait({waiting, server}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        await server
    return await waiting


async def _review_policy(connection: asyncpg.Connection[Any], limits: dict[str, Any]) -> None:
    body = ReviewPolicy.from_dict({**ReviewPolicy().to_dict(), **limits}).to_dict()
    await connection.execute("INSERT INTO policy (kind, version, body) VALUES ('review', 1, $1::jsonb)", body)


@contextlib.asynccontextmanager
async def usual_world(dsn: str, data_dir: Path, **given: Any) -> AsyncIterator[World]:
    """With a site, a tariff of 0.49 EUR/kWh plus VAT, and two tokens."""
    async with open_world(dsn, data_dir, **given) as world:
        await world.site()
        await world.tariff()
        for uid in TOKENS:
            await world.token(uid)
        yield world


async def until(condition: Any, *, within_s: float = 10.0) -> None:
    """Poll an async condition; the time-out says that it never came true."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 - what is awaited lies in the database
            await asyncio.sleep(0.02)


def in_the_past(**span: float) -> datetime:
    """So long ago, to the second."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(**span)
