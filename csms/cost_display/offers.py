"""What a token would pay at a charge point now, kept in memory: an answer to a driver waits for no tariff.

What is told freezes nothing: the session finds its tariff by itself, by the same choice (RULES.md 15).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import structlog
from asyncpg import Record

from billing import NOBODY, Offer, Place, PriceBook, TariffCache, price_book
from csms.cost_display import metrics
from csms.cost_display.statements import SQL
from csms.protocol.vocabulary import PersonalMessage
from csms.sessions.buyers import customer_of
from csms.sites.service import location_groups_at
from csms.tokens.token import Token

log = structlog.get_logger()

KEPT_MAX = 20_000
TEXTS_MAX = 10_000
KEPT_FOR_S = 3600.0
"""A net below the notifications of changes."""
AHEAD = timedelta(days=1)
"""Assignments that begin so far ahead are known beforehand."""
PATIENCE_S = 0.25
"""So long an answer waits for what is not in memory; it goes without a price then."""
LANGUAGE = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A charge point with what prices look at, and the prices. `idle_after_stop` is the charge point's own word."""

    charge_point: str
    site: str
    currency: str
    time_zone: str
    product: str
    idle_after_stop: bool
    location_groups: frozenset[str]
    book: PriceBook
    good_until: float

    def offer(self, token: Token | None, *, now: datetime) -> Offer | None:
        """What the token, None: one of which nothing is known, would pay if it began now."""
        customer = NOBODY if token is None else customer_of(token)
        place = Place(
            charge_point=self.charge_point,
            site=self.site,
            currency=self.currency,
            at=now,
            location_groups=self.location_groups,
            customer=customer,
            product=self.product,
        )
        return self.book.offer(place)


class Offers:
    """Charge points with their prices, as long as nobody changes them. `forget` when somebody has."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._known: dict[str, Priced] = {}
        self._tariffs = TariffCache()
        self._texts: dict[tuple[object, ...], str] = {}
        self._changes = 0

    def forget(self) -> None:
        """Tariffs, assignments, tax rules, groups of sites or charge points have changed, or may have."""
        self._changes += 1
        self._known.clear()

    async def look_up(self, charge_point: str) -> Priced | None:
        """Its prices, read anew where they are not in memory; None: no such charge point.

        Raises:
            Whatever the database raises.
        """
        known = self._fresh(charge_point)
        return known if known is not None else await self._read(charge_point)

    async def prepare(self, charge_point: str) -> None:
        """Have its prices in memory, if that can be within the patience of an answer. Never raises."""
        if self._fresh(charge_point) is not None:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._read(charge_point)
        except Exception as error:  # noqa: BLE001 - an answer goes without a price rather than not at all
            metrics.texts.labels("failed").inc()
            log.warning("prices_not_read", charge_point=charge_point, why=str(error) or type(error).__name__)

    def message(self, charge_point: str, token: Token | None, now: datetime) -> PersonalMessage | None:
        """The price as text, from memory alone; None where nothing is known or nothing is for sale. Never raises."""
        known = self._fresh(charge_point)
        if known is None or token is None:
            return None
        try:
            offer = known.offer(token, now=now)
            message = None if offer is None else PersonalMessage(text=self._text(offer), language=LANGUAGE)
        except Exception:
            metrics.texts.labels("failed").inc()
            log.exception("price_not_told", charge_point=charge_point)
            return None
        metrics.texts.labels("no_tariff" if message is None else "told").inc()
        return message

    def _text(self, offer: Offer) -> str:
        """A version says the same for ever, by the same taxes."""
        key = (offer.version.tariff.id, offer.version.number, offer.taxes)
        if key not in self._texts:
            if len(self._texts) >= TEXTS_MAX:
                self._texts.clear()
            self._texts[key] = offer.text()
        return self._texts[key]

    def _fresh(self, charge_point: str) -> Priced | None:
        known = self._known.get(charge_point)
        if known is None or known.good_until < asyncio.get_running_loop().time():
            return None
        return known

    async def _read(self, charge_point: str) -> Priced | None:
        changes, now = self._changes, datetime.now(UTC)
        async with self._pool.acquire() as connection:
            row = await SQL.priced_charge_point.fetchrow(connection, charge_point=charge_point)
            if row is None:
                return None
            read = await self._priced(connection, row, now)
        if changes == self._changes:  # what changed while it was read is read the next time
            if len(self._known) >= KEPT_MAX:
                self._known.clear()
            self._known[charge_point] = read
        return read

    async def _priced(self, connection: Any, row: Record, now: datetime) -> Priced:
        site = row["site"]
        groups = (await location_groups_at(connection, [(site, now)]))[site, now]
        book = await price_book(
            connection,
            charge_point=row["id"],
            site=site,
            location_groups=groups,
            country=row["country"],
            time_zone=row["time_zone"],
            until=now + AHEAD,
            cache=self._tariffs,
        )
        return Priced(
            charge_point=row["id"],
            site=site,
            currency=row["currency"],
            time_zone=row["time_zone"],
            product=row["product"],
            idle_after_stop=row["idle_after_stop"],
            location_groups=groups,
            book=book,
            good_until=asyncio.get_running_loop().time() + KEPT_FOR_S,
        )
