"""What the books of a site say after orders that were delayed, answered late or refused; after boots; of dropped sessions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from csms.protocol.blocks.smart_charging import SetChargingProfile
from csms.protocol.vocabulary import Command, Outcome
from csms.settings import load_settings
from csms.site_limits import service
from csms.site_limits.books import SQL, Books, read_books
from csms.site_limits.exposure import Reach
from csms.site_limits.grid import SiteLimit
from csms.site_limits.planner import SiteLimits, timing_of

SETTINGS = load_settings({}, site_limit_interval_s=0.1, site_limit_pace_s=0)
TIMING = timing_of(SETTINGS)
LIMIT = SiteLimit(amps=40)
REFUSED, ACCEPTED = "Rejected", "Accepted"


async def furnish(pool: asyncpg.Pool[Any], site: str = "quay", name: str = "CP-1", *, online: bool = True) -> None:
    """A site with a limit, and a charge point that has told what it can do."""
    node = uuid4()
    await pool.execute(
        "INSERT INTO site (id, name, country, time_zone, currency) VALUES ($1, $1, 'DE', 'Europe/Berlin', 'EUR')", site
    )
    await pool.execute("INSERT INTO charge_point (id, site) VALUES ($1, $2)", name, site)
    await pool.execute(
        "INSERT INTO device_setting (charge_point, name, value, read_at) VALUES ($1, 'ChargeProfileMaxStackLevel', '8', now())",
        name,
    )
    if online:
        await pool.execute("INSERT INTO node (id, pid, host, lease) VALUES ($1, 1, 'test', '1 hour')", node)
        await pool.execute(
            "INSERT INTO socket (id, charge_point, node, protocol, opened_at)"
            " VALUES ($1, $2, $3, 'ocpp1.6', now() - interval '1 day')",
            uuid4(), name, node,
        )  # fmt: skip
    async with pool.acquire() as connection:
        await service.set_limit(connection, site, LIMIT, TIMING, actor="test")


async def step(
    pool: asyncpg.Pool[Any],
    amps: int | None,
    status: str | None = None,
    *,
    session: int | None = None,
    ago_s: float = 0,
) -> int:
    """A limit that was told so long ago, and what became of it; None: no answer yet."""
    async with pool.acquire() as connection:
        id_: int = await SQL.insert_step.fetchval(
            connection, site="quay", charge_point="CP-1", evse=1, slot="base" if session is None else "tx",
            session=session, amps=amps, why="test",
        )  # fmt: skip
        await connection.execute(
            "UPDATE site_limit_step SET sent_at = sent_at - $2::interval WHERE id = $1", id_, timedelta(seconds=ago_s)
        )
    if status is not None:
        await answer(pool, id_, status)
    return id_


async def answer(pool: asyncpg.Pool[Any], id_: int, status: str) -> None:
    async with pool.acquire() as connection:
        await SQL.answer_step.execute(
            connection, id=id_, accepted=status == ACCEPTED, status=status, detail=None, kept=7
        )


async def books(pool: asyncpg.Pool[Any]) -> Books:
    async with pool.acquire() as connection:
        return await read_books(connection, "quay", TIMING, now=datetime.now(UTC))


async def counted_a(pool: asyncpg.Pool[Any]) -> int:
    [known] = (await books(pool)).evses
    return known.place.counted_a


class Port:
    """Where limits leave the server: keeps what comes, and accepts it."""

    def __init__(self) -> None:
        self.limits: list[int] = []

    async def send(self, _charge_point: str, command: Command) -> Outcome:
        assert isinstance(command, SetChargingProfile)
        self.limits.append(int(command.profile.schedules[0].periods[0].limit))
        return Outcome(accepted=True, status=ACCEPTED)


# --- orders that come late


async def test_an_order_that_waited_until_a_newer_one_was_accepted_is_not_sent(pool: asyncpg.Pool[Any]) -> None:
    await furnish(pool)
    await step(pool, 16, ACCEPTED, ago_s=9999)
    port = Port()
    slow, quick = (SiteLimits(pool, SETTINGS, send=port.send) for _ in range(2))
    [delayed] = await slow.plan("quay")
    await pool.execute(
        "UPDATE site_limit_step SET sent_at = sent_at - interval '122 seconds' WHERE answered_at IS NULL"
    )
    [newer] = await quick.plan("quay")
    await quick._run_errand(newer)
    await slow._run_errand(delayed)

    assert port.limits == [0]
    assert (await counted_a(pool), (await books(pool)).evses[0].place.base.since) == (0, ())


@pytest.mark.parametrize("ago_s", [0, SETTINGS.call_timeout_s + 1])
async def test_an_order_is_sent_soon_or_never_and_one_that_is_not_sent_changes_nothing(
    pool: asyncpg.Pool[Any], ago_s: float
) -> None:
    await furnish(pool)
    port = Port()
    planner = SiteLimits(pool, SETTINGS, send=port.send)
    [errand] = await planner.plan("quay")
    await pool.execute("UPDATE site_limit_step SET sent_at = sent_at - $1::interval", timedelta(seconds=ago_s))
    await planner._run_errand(errand)
    [known] = (await books(pool)).evses

    assert (port.limits, known.place.counted_a) == (([0], 0) if ago_s == 0 else ([], 32))
    assert (known.place.reach, known.place.base.since) == (Reach.LIVE, ())


@pytest.mark.parametrize("late", [16, None])
async def test_a_limit_that_is_accepted_after_a_newer_one_counts_and_is_put_right(
    pool: asyncpg.Pool[Any], late: int | None
) -> None:
    await furnish(pool)
    first = await step(pool, late, ago_s=122)
    await step(pool, 0, ACCEPTED)
    assert await counted_a(pool) == 0
    await answer(pool, first, ACCEPTED)
    in_doubt = await counted_a(pool)
    port = Port()
    planner = SiteLimits(pool, SETTINGS, send=port.send)
    [again] = await planner.plan("quay")
    await planner._run_errand(again)

    assert in_doubt == (32 if late is None else late)
    assert port.limits == [0]
    assert (await counted_a(pool), await planner.plan("quay")) == (0, [])


async def test_refusals_that_say_no_more_than_newer_ones_are_not_kept_for_ever(pool: asyncpg.Pool[Any]) -> None:
    await furnish(pool)
    await step(pool, 6, ACCEPTED)
    for amps in [10, 24, 12, *[16] * 30]:
        await step(pool, amps, REFUSED)
    [known] = (await books(pool)).evses

    assert known.place.counted_a == 24
    assert [each.amps for each in known.place.base.since] == [24, *[16] * 8]  # as many as the pauses grow by
    await step(pool, 6, ACCEPTED)
    assert await counted_a(pool) == 6


# --- boots


@pytest.mark.parametrize(
    ("status", "ago_s", "counts"),
    [
        ("NotSupported", 0, 32), ("not_supported", 0, 32), (REFUSED, 0, 32), ("timeout", 0, 32), (None, 130, 32),
        (None, 0, 0), ("offline", 0, 0), (ACCEPTED, 0, 0),
    ],
)  # fmt: skip
async def test_a_limit_from_before_a_boot_counts_no_more_once_it_is_not_accepted_again(
    pool: asyncpg.Pool[Any], status: str | None, ago_s: float, counts: int
) -> None:
    await furnish(pool)
    await step(pool, 0, ACCEPTED, ago_s=900)
    await pool.execute("UPDATE charge_point SET booted_at = now() - interval '600 seconds'")
    assert await counted_a(pool) == 0
    await step(pool, 0, status, ago_s=ago_s)

    assert await counted_a(pool) == counts


# --- sessions that are dropped


async def session(pool: asyncpg.Pool[Any], transaction: str, dropped: str | None = None) -> int:
    found: int = await pool.fetchval(
        "INSERT INTO session (charge_point, transaction, evse, dropped, started_at)"
        " VALUES ('CP-1', $1, 1, $2, now() - interval '1 hour') RETURNING id",
        transaction, dropped,
    )  # fmt: skip
    return found


async def _drop(pool: asyncpg.Pool[Any], session_: int) -> None:
    await pool.execute("UPDATE session SET dropped = 'review: a test' WHERE id = $1", session_)


ENDS = {
    "it ends": "UPDATE session SET ended_at = now() WHERE transaction = 'one'",
    "its EVSE is free": "INSERT INTO connector (charge_point, evse, connector, status, reported_at)"
    " VALUES ('CP-1', 1, 1, 'Available', now() + interval '1 second')",
    "its twin ends": "INSERT INTO session (charge_point, transaction, evse, started_at, ended_at)"
    " VALUES ('CP-1', 'two', 1, now() - interval '1 hour', now())",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_a_dropped_session_counts_with_what_it_was_told_until_it_has_ended(
    pool: asyncpg.Pool[Any], end: str
) -> None:
    await furnish(pool)
    await step(pool, 0, ACCEPTED)
    one = await session(pool, "one")
    await step(pool, 20, ACCEPTED, session=one)
    await _drop(pool, one)
    going_on = await books(pool)
    await pool.execute(end)
    ended = await books(pool)

    assert ([each.place.counted_a for each in going_on.evses], list(going_on.gone)) == ([20], [])
    assert ([each.place.counted_a for each in ended.evses], len(ended.gone)) == ([0], 1)


async def test_of_two_sessions_for_one_vehicle_both_count_until_one_takes_a_profile(pool: asyncpg.Pool[Any]) -> None:
    await furnish(pool)
    await step(pool, 0, ACCEPTED)
    one = await session(pool, "one")
    await step(pool, 20, ACCEPTED, session=one)
    two = await session(pool, "two")
    both = await books(pool)
    await step(pool, 6, ACCEPTED, session=two)
    known = await books(pool)

    assert [(each.place.session, each.place.counted_a) for each in both.evses] == [(two, 20)]
    assert list(both.gone) == []
    assert [(each.place.session, each.place.counted_a) for each in known.evses] == [(two, 6)]
    assert len(known.gone) == 1


# --- sites


async def test_a_site_that_cannot_be_planned_keeps_no_other_from_its_limit(pool: asyncpg.Pool[Any]) -> None:
    await furnish(pool, "anchorage", "CP-0")
    await furnish(pool)
    await pool.execute("UPDATE site SET time_zone = 'Nowhere/Atlantis' WHERE id = 'anchorage'")
    port = Port()
    planner = asyncio.create_task(SiteLimits(pool, SETTINGS, send=port.send).run())
    try:
        async with asyncio.timeout(30):
            while await counted_a(pool):  # noqa: ASYNC110 - what is awaited lies in the database
                await asyncio.sleep(0.05)
    finally:
        planner.cancel()
        await asyncio.gather(planner, return_exceptions=True)

    assert port.limits == [0]
