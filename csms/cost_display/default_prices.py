"""What 1.6 displays show before a token is presented, and what they need to count as we do: kept as it should be.

Read and written after a boot; written again when a price, an assignment or the hour changes it. A value that the charge
point has refused is not sent again over the same socket.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import structlog

from billing import Dimension, Offer, prices_at_start
from csms.charge_points.device_settings import DeviceSettings, Send
from csms.cost_display import metrics
from csms.cost_display.offers import Offers, Priced
from csms.cost_display.statements import SQL
from csms.database.pool import is_unavailable
from csms.protocol.v16 import price_settings
from csms.protocol.v16.cost_messages import ANNOUNCED_BY, PricesShown
from csms.protocol.vocabulary import Command, Outcome, Protocol
from csms.sites.time_offset import time_offset

log = structlog.get_logger()

LOOK_EVERY_S = 60.0
PAUSE_S = 1.0
"""Several entries of an operator are one change."""
AT_ONCE_MAX = 50


class DefaultPrices:
    """`send` reaches a charge point whose socket is here, `held` names those."""

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        offers: Offers,
        send: Callable[[str, Command], Awaitable[Outcome]],
        held: Callable[[], Iterable[str]],
    ) -> None:
        self._pool = pool
        self._offers = offers
        self._send = send
        self._held = held
        self._changed = asyncio.Event()
        self._refused: dict[tuple[str, str], str] = {}

    def changed(self) -> None:
        """Prices may be others now."""
        self._changed.set()

    async def set_up(self, charge_point: str) -> None:
        """After a boot: read what the charge point has of these settings, and write what differs."""
        async with self._pool.acquire() as connection:
            if not await SQL.announces.fetchval(connection, charge_point=charge_point, announced_by=ANNOUNCED_BY):
                return
        for name in [each for each in self._refused if each[0] == charge_point]:
            del self._refused[name]
        device = self._device(charge_point)
        await device.read(price_settings.READ)
        await self._bring(charge_point)

    async def run(self) -> None:
        """Look after those that are here: at once when something was entered, else as time goes by."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._changed.wait()
                    await asyncio.sleep(PAUSE_S)
            self._changed.clear()
            try:
                await self._look()
            except Exception as error:
                if not is_unavailable(error):
                    log.exception("default_prices_not_looked_at")

    async def _look(self) -> None:
        held = list(self._held())
        async with self._pool.acquire() as connection:
            rows = await SQL.announcing.fetch(connection, charge_points=held, announced_by=ANNOUNCED_BY)
        slots = asyncio.Semaphore(AT_ONCE_MAX)

        async def take_turn(charge_point: str) -> None:
            async with slots:
                try:
                    await self._bring(charge_point)
                except Exception as error:
                    if not is_unavailable(error):
                        log.exception("default_price_not_written", charge_point=charge_point)

        async with asyncio.TaskGroup() as tasks:
            for row in rows:
                tasks.create_task(take_turn(row["charge_point"]))

    async def _bring(self, charge_point: str) -> None:
        """Write what differs of the settings that it has."""
        priced = await self._offers.look_up(charge_point)
        if priced is None:
            return
        async with self._pool.acquire() as connection:
            rows = await SQL.display_settings.fetch(connection, charge_point=charge_point)
        present = {row["name"]: row["value"] for row in rows}
        device = self._device(charge_point)
        for name, value in _wanted(priced, present, datetime.now(UTC)):
            if price_settings.same_value(present.get(name), value) or self._refused.get((charge_point, name)) == value:
                continue
            outcome = await device.change(name, value)
            metrics.default_prices.labels("written" if outcome.accepted else "refused").inc()
            if not outcome.accepted:
                self._refused[charge_point, name] = value
                log.info("default_price_refused", charge_point=charge_point, name=name, status=outcome.status)

    def _device(self, charge_point: str) -> DeviceSettings:
        send: Send = partial(self._send, charge_point)
        return DeviceSettings(charge_point=charge_point, protocol=Protocol.V16, send=send, books=self._pool.acquire)


def _wanted(priced: Priced, present: Mapping[str, str | None], now: datetime) -> Iterator[tuple[str, str]]:
    """What its settings should be; only such as it has, texts in languages that it names besides."""
    offer = priced.offer(None, now=now)
    wanted = dict(_clock(priced.time_zone, now))
    if offer is not None:
        wanted |= dict(_prices(offer, priced, now))
    yield from ((name, value) for name, value in wanted.items() if name in present)
    if offer is not None:
        for language in sorted(price_settings.languages_of(present) & offer.texts.keys()):
            value = price_settings.default_price_text(offer.texts[language])
            if value is not None:
                yield f"{price_settings.DEFAULT_PRICE_TEXT},{language}", value


def _prices(offer: Offer, priced: Priced, now: datetime) -> Iterator[tuple[str, str]]:
    prices = prices_at_start(offer.tariff, now, priced.time_zone) if offer.prices_known else {}
    shown = PricesShown(
        kwh=prices.get(Dimension.ENERGY), hour=prices.get(Dimension.TIME), flat=prices.get(Dimension.FLAT)
    )
    text = offer.text(length_max=price_settings.TEXT_LENGTH_MAX)
    yield price_settings.DEFAULT_PRICE, price_settings.default_price(text, shown)
    rates_stay = offer.version.idle is not None or priced.idle_after_stop
    yield price_settings.IDLE_FEE_AFTER_STOP, str(rates_stay).lower()


def _clock(time_zone: str, now: datetime) -> Iterator[tuple[str, str]]:
    offset = time_offset(time_zone, now)
    yield price_settings.TIME_OFFSET, price_settings.time_offset(offset.now)
    if offset.changes_at is not None and offset.then is not None:
        yield price_settings.NEXT_OFFSET_AT, price_settings.offset_at(offset.changes_at)
        yield price_settings.NEXT_OFFSET, price_settings.time_offset(offset.then)
