"""Keeps the limits of all sites: plans anew whenever something there has changed, tells charge points, books their answers.

Every node may plan every site, one at a time by a lock in the database. What is ordered is committed before it is sent
and counts from then on, so that a node that dies between leaves nothing that could flow uncounted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import structlog

from csms.charge_points.device_settings import remember, settings_of
from csms.database.pool import in_transaction, is_unavailable
from csms.protocol.blocks.smart_charging import ClearChargingProfile, SetChargingProfile
from csms.protocol.outgoing import CommandInvalid
from csms.protocol.vocabulary import Command, GetSettings, Outcome
from csms.settings import Settings
from csms.site_limits import metrics
from csms.site_limits.books import SQL, Books, Known, Timing, names_as, read_books
from csms.site_limits.exposure import DOUBLINGS_MAX, UNABLE, Reach, Slot
from csms.site_limits.orders import Order
from csms.site_limits.plan import Plan, make_plan
from csms.site_limits.profiles import Target, cannot, clear_limit, set_limit
from csms.smart_charging.abilities import NAMES, abilities_of

log = structlog.get_logger()

AT_ONCE_MAX = 200
BURST_PAUSE_S = 0.02
KEPT = timedelta(days=90)
"""How long what was told and counts no more is kept for the history."""
FORGET_S = 6 * 3600.0

WITHDRAWN = Outcome(
    accepted=False, status="withdrawn", detail="something newer was ordered before it was sent", unsent=True
)

Send = Callable[[str, Command], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A limit that is in the books and has to be sent; `amps` None takes the profile off."""

    step: int
    site: str
    known: Known
    slot: Slot
    amps: int | None


def timing_of(settings: Settings) -> Timing:
    """An answer may take four time-outs from when it is sent: for a way to another node, the boot, the call before, itself."""
    return Timing(
        pace=timedelta(seconds=settings.site_limit_pace_s), patience=timedelta(seconds=4 * settings.call_timeout_s + 2)
    )


class SiteLimits:
    """`send` brings a command to a charge point, on whatever node it is connected."""

    def __init__(self, pool: asyncpg.Pool[Any], settings: Settings, *, send: Send) -> None:
        self._pool = pool
        self._interval_s = settings.site_limit_interval_s
        self._timing = timing_of(settings)
        self._age_max = timedelta(seconds=settings.call_timeout_s)
        self._send = send
        self._changed: set[str] = set()
        self._awake = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)
        self._limited = False
        self._over: set[str] = set()
        self._asked: dict[str, datetime | None] = {}
        """Charge points that were asked what they can do, and after which boot."""

    def wake(self, charge_point: str) -> None:
        """Something has changed there: a start, a stop, a status, a boot, a socket that came or went."""
        if self._limited:
            self._changed.add(charge_point)
            self._awake.set()

    async def run(self) -> None:
        """Plan what has changed at once, and everything regularly: turns end, readings come, operators decide."""
        loop = asyncio.get_running_loop()
        sweep_at = forget_at = loop.time()
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    if loop.time() >= forget_at:
                        forget_at = loop.time() + FORGET_S
                        await self._forget()
                    if loop.time() >= sweep_at:
                        sweep_at = loop.time() + self._interval_s
                        await self._plan_all(tasks, None)
                    elif self._changed:
                        changed, self._changed = self._changed, set()
                        await self._plan_all(tasks, changed)
                except Exception as error:
                    if not is_unavailable(error):
                        log.exception("site_limit_not_planned")
                    await asyncio.sleep(1)
                await self._pause(until=sweep_at)

    async def _pause(self, *, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._awake.wait()
            await asyncio.sleep(BURST_PAUSE_S)
        except TimeoutError:
            pass
        self._awake.clear()

    async def _plan_all(self, tasks: asyncio.TaskGroup, changed: Collection[str] | None) -> None:
        async with self._pool.acquire() as connection:
            named = None if changed is None else sorted(changed)
            sites = [row["id"] for row in await SQL.limited_sites.fetch(connection, charge_points=named)]
        if changed is None:
            self._limited = bool(sites)
        for site in sites:
            try:
                errands = await self.plan(site)
            except Exception as error:  # what is wrong with one site keeps no other from its limit
                if is_unavailable(error):
                    log.warning("site_limit_delayed", site=site, error=repr(error))
                else:
                    log.exception("site_limit_not_planned", site=site)
                continue
            for errand in errands:
                tasks.create_task(self._run_errand(errand))

    async def plan(self, site: str) -> list[Errand]:
        """Decide, and put into the books what is to be sent now."""
        return await in_transaction(self._pool, partial(self._plan, site))

    async def _plan(self, site: str, connection: Any) -> list[Errand]:
        await SQL.lock_site.execute(connection, site=site)
        now = datetime.now(UTC)
        books = await read_books(connection, site, self._timing, now=now)
        if books.gone:
            await SQL.settle_ended.execute(connection, ids=list(books.gone))
        by_key = {each.place.key: each for each in books.evses}
        if books.limit is None:
            return [await _book_clearing(connection, site, *each) for each in _still_ours(books)]
        plan = plan_of(books, self._timing, now=now)
        await _store_turns(connection, books, plan)
        self._observe(site, plan)
        return [await _book(connection, site, order, by_key[order.key]) for order in plan.orders]

    def _observe(self, site: str, plan: Plan) -> None:
        for line, amps in plan.counted.items():
            metrics.counted_a.labels(site, f"L{line}").set(amps)
        if plan.over_a > 0 and site not in self._over:
            log.warning("site_limit_exceeded", site=site, over_a=plan.over_a, budget_a=max(plan.budget.values()))
            self._over.add(site)
        elif plan.over_a <= 0:
            self._over.discard(site)

    async def _run_errand(self, errand: Errand) -> None:
        """Send, book the answer, and see what it makes possible. Trouble of the database leaves the step unanswered."""
        charge_point = errand.known.place.charge_point
        async with self._slots:
            try:
                outcome = await self._tell(errand)
                await in_transaction(self._pool, partial(_book_answer, errand, outcome))
            except Exception as error:
                if not is_unavailable(error):
                    log.exception("site_limit_not_told", charge_point=charge_point)
                return
        metrics.steps.labels("accepted" if outcome.accepted else outcome.status).inc()
        log.debug("site_limit_told", charge_point=charge_point, evse=errand.known.place.evse, amps=errand.amps,
                  status=outcome.status)  # fmt: skip
        self.wake(charge_point)

    async def _tell(self, errand: Errand) -> Outcome:
        known = errand.known
        place, target = known.place, known.target
        if errand.amps is None:
            return await self._send_released(errand, clear_limit(place.evse, errand.slot))
        if (
            not known.abilities_known
            and known.protocol is not None
            and self._asked.get(place.charge_point) != known.booted_at
        ):
            target = await self._with_abilities(known)
            self._asked[place.charge_point] = known.booted_at
        reason = cannot(target)
        if reason is not None:
            return Outcome(accepted=False, status="not_supported", detail=reason)
        command: SetChargingProfile | ClearChargingProfile = set_limit(target, errand.slot, errand.amps)
        try:
            return await self._send_released(errand, command)
        except CommandInvalid as invalid:
            return Outcome(accepted=False, status="invalid", detail=str(invalid))

    async def _send_released(self, errand: Errand, command: Command) -> Outcome:
        """Send it if it is still what should be sent: it may have waited long, and a newer one may have been accepted."""
        if not await in_transaction(self._pool, partial(_release, errand, self._age_max)):
            return WITHDRAWN
        return await self._send(errand.known.place.charge_point, command)

    async def _with_abilities(self, known: Known) -> Target:
        """Asked for once after each boot; a charge point that does not say is told by the lowest level."""
        assert known.protocol is not None, "it is connected"
        named = names_as(known.protocol)
        outcome = await self._send(known.place.charge_point, GetSettings(names=NAMES[named]))
        read = settings_of(outcome)
        async with self._pool.acquire() as connection:
            await remember(connection, known.place.charge_point, read)
        abilities = abilities_of(named, {name: value for name, (value, _) in read.items()})
        return replace(known.target, abilities=abilities)

    async def _forget(self) -> None:
        async with self._pool.acquire() as connection:
            await SQL.forget_steps.execute(connection, age=KEPT)


def plan_of(books: Books, timing: Timing, *, now: datetime) -> Plan:
    """The plan that the books lead to; the site has a limit."""
    assert books.limit is not None, "without a limit there is nothing to plan"
    budget_a = books.limit.budget_a(now, books.zone)
    return make_plan(books.places, books.stays, books.limit, budget_a=budget_a, now=now, pace=timing.pace)


async def _book(connection: Any, site: str, order: Order, known: Known) -> Errand:
    step = await SQL.insert_step.fetchval(
        connection, site=site, charge_point=order.charge_point, evse=order.evse, slot=order.slot,
        session=order.session, amps=order.amps, why=order.why,
    )  # fmt: skip
    return Errand(step=step, site=site, known=known, slot=order.slot, amps=order.amps)


async def _release(errand: Errand, age_max: timedelta, connection: Any) -> bool:
    """Whether it may go out; while the site is locked, nobody orders anything newer."""
    await SQL.lock_site.execute(connection, site=errand.site)
    if await SQL.release_step.fetchval(connection, id=errand.step, age_max=age_max) is not None:
        return True
    await SQL.withdraw_step.execute(connection, id=errand.step)
    return False


async def _book_answer(errand: Errand, outcome: Outcome, connection: Any) -> None:
    """One after the other for a site: what a later acceptance settles must not be accepted meanwhile."""
    await SQL.lock_site.execute(connection, site=errand.site)
    await SQL.answer_step.execute(
        connection, id=errand.step, accepted=_is_done(errand, outcome), status=outcome.status, detail=outcome.detail,
        kept=DOUBLINGS_MAX + 1,
    )  # fmt: skip


def _still_ours(books: Books) -> Iterator[tuple[Known, Slot]]:
    """What has to be taken off where there is no limit any more; one profile of a charge point at a time."""
    asked: set[str] = set()
    for known in books.evses:
        place = known.place
        is_there = place.reach is Reach.LIVE or (place.reach is Reach.UNABLE and known.is_online)
        for slot, held in ((Slot.TX, place.tx), (Slot.BASE, place.base)):
            if is_there and place.charge_point not in asked and (held.accepted is not None or held.since):
                asked.add(place.charge_point)
                yield known, slot


async def _book_clearing(connection: Any, site: str, known: Known, slot: Slot) -> Errand:
    place = known.place
    step = await SQL.insert_step.fetchval(
        connection, site=site, charge_point=place.charge_point, evse=place.evse, slot=slot,
        session=place.session if slot is Slot.TX else None, amps=None, why="the site has no limit any more",
    )  # fmt: skip
    return Errand(step=step, site=site, known=known, slot=slot, amps=None)


def _is_done(errand: Errand, outcome: Outcome) -> bool:
    """A profile that is taken off, and was not there, is off as well."""
    return outcome.accepted or (errand.amps is None and outcome.status in {"Unknown", *UNABLE})


async def _store_turns(connection: Any, books: Books, plan: Plan) -> None:
    staying = [(each.place, each.stay) for each in books.evses if each.stay is not None]
    if not staying:
        return
    await SQL.store_turns.execute(
        connection,
        charge_points=[place.charge_point for place, _ in staying],
        evses=[place.evse for place, _ in staying],
        sessions=[stay.session for _, stay in staying],
        serveds=[stay.served for _, stay in staying],
        sinces=[stay.since for _, stay in staying],
        wants=[stay.want_a for _, stay in staying],
        targets=[plan.targets.get(place.key, place.allowed_a) for place, _ in staying],
    )
