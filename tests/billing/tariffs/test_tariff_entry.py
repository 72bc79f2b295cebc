"""Entering and assigning tariffs, on a real database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from billing.errors import NotFound, Refused
from billing.tariffs import service
from billing.tariffs.assignment import Scope
from billing.tariffs.service import ALWAYS
from billing.tariffs.store import TariffCache
from tests.billing.bills.world import World, tariff_file

NOW = datetime(2026, 3, 2, 12, 30, 45, 123, tzinfo=UTC)
THIS_MINUTE = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


@pytest.fixture
async def world(pool: asyncpg.Pool) -> World:
    world = World(pool)
    await world.site()
    await world.charge_point("CP-Straße-1")
    return world


async def create(world: World, text: str, *, valid_from: datetime | None = None) -> service.Created:
    async with world.pool.acquire() as connection:
        return await service.create(connection, text, now=NOW, valid_from=valid_from)


async def assign(
    world: World, tariff: str, scope: Scope, target: str | None = None, *, valid_from: datetime | None = None
) -> tuple[str | None, datetime]:
    async with world.pool.acquire() as connection:
        made = await service.assign(connection, tariff, scope=scope, target=target, now=NOW, valid_from=valid_from)
    return made.target, made.valid_from


async def test_a_known_id_gets_the_next_version(world: World) -> None:
    first = await create(world, tariff_file(price="0.50"))
    second = await create(world, tariff_file(price="0.60"))

    assert (first.version, first.valid_from) == (1, ALWAYS)
    assert (second.version, second.valid_from) == (2, THIS_MINUTE)


async def test_the_same_file_again_is_the_same_version(world: World) -> None:
    first = await create(world, tariff_file())
    again = await create(world, tariff_file())
    earlier = await create(world, tariff_file(), valid_from=ALWAYS - timedelta(days=1))

    assert (again.version, again.existed) == (first.version, True)
    assert (earlier.version, earlier.existed) == (2, False)


async def test_a_stored_tariff_keeps_every_digit(world: World) -> None:
    await create(world, tariff_file(price="0.123456"))
    async with world.pool.acquire() as connection:
        found = await service.show(connection, "day")
        cached = await TariffCache().get(connection, [("day", 1)])

    assert found.tariff.elements[0].components[0].price == Decimal("0.123456")
    assert cached["day", 1] == found


async def test_a_later_version_in_another_currency_is_refused(world: World) -> None:
    await create(world, tariff_file())

    with pytest.raises(Refused, match="day is in EUR"):
        await create(world, tariff_file(currency="CHF"))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"id": NaN}', '{"id": "x"}', "[" * 100_000])
async def test_what_is_no_tariff_is_refused_with_its_problems(world: World, text: str) -> None:
    with pytest.raises(Refused) as refused:
        await create(world, text)
    assert refused.value.next_step
    assert await world.pool.fetchval("SELECT count(*) FROM tariff") == 0


async def test_a_tariff_that_ends_before_it_starts_is_refused(world: World) -> None:
    text = tariff_file(start_date_time="2026-03-02T00:00:00Z", end_date_time="2026-03-01T00:00:00Z")

    with pytest.raises(Refused) as refused:
        await create(world, text)
    assert "$.end_date_time" in str(refused.value.details)


async def test_versions_entered_at_once_are_numbered_without_a_gap(world: World) -> None:
    made = await asyncio.gather(*(create(world, tariff_file(price=f"0.{n}")) for n in range(1, 9)))

    assert sorted(each.version for each in made) == list(range(1, 9))


async def test_assignments_name_what_exists_in_its_own_writing(world: World) -> None:
    await create(world, tariff_file())

    assert await assign(world, "day", Scope.CHARGE_POINT, "cp-STRAßE-1") == ("CP-Straße-1", THIS_MINUTE)
    assert await assign(world, "day", Scope.SITE, "depot", valid_from=NOW) == ("depot", NOW)
    assert await assign(world, "day", Scope.DEFAULT) == (None, THIS_MINUTE)


async def test_the_same_assignment_is_entered_once(world: World) -> None:
    await create(world, tariff_file())

    await assign(world, "day", Scope.DEFAULT)
    await assign(world, "day", Scope.DEFAULT)

    assert await world.pool.fetchval("SELECT count(*) FROM tariff_assignment") == 1


@pytest.mark.parametrize(
    ("tariff", "scope", "target"),
    [
        ("night", Scope.DEFAULT, None),
        ("day", Scope.SITE, "harbour"),
        ("day", Scope.CHARGE_POINT, "CP-9"),
    ],
)
async def test_what_does_not_exist_cannot_be_assigned(
    world: World, tariff: str, scope: Scope, target: str | None
) -> None:
    await create(world, tariff_file())

    with pytest.raises(NotFound, match=target or tariff):
        await assign(world, tariff, scope, target)


@pytest.mark.parametrize(
    ("scope", "target"), [(Scope.SITE, "depot"), (Scope.CHARGE_POINT, "CP-Straße-1"), (Scope.DEFAULT, None)]
)
async def test_another_currency_than_the_sites_is_refused(world: World, scope: Scope, target: str | None) -> None:
    await create(world, tariff_file("francs", currency="CHF"))

    with pytest.raises(Refused, match="francs is in CHF"):
        await assign(world, "francs", scope, target)


async def test_a_default_may_be_in_one_of_several_currencies(world: World) -> None:
    await world.site("lausanne", "CHF")
    await create(world, tariff_file("francs", currency="CHF"))

    assert await assign(world, "francs", Scope.DEFAULT) == (None, THIS_MINUTE)


async def test_an_unknown_tariff_or_version_is_named(world: World) -> None:
    await create(world, tariff_file())
    async with world.pool.acquire() as connection:
        with pytest.raises(NotFound, match="no tariff night"):
            await service.show(connection, "night")
        with pytest.raises(NotFound, match="no version 2"):
            await service.show(connection, "day", version=2)
