"""A server that keeps a limit with charge points that are told in other ways: several EVSEs, one phase, no session's profile."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from csms.database.pool import connect_once
from csms.settings import load_settings
from csms.site_limits import service
from csms.site_limits.grid import Reserve, SiteLimit
from csms.site_limits.planner import timing_of
from csms.site_limits.wiring import Via
from simulators.charge_point import Battery, Credentials, ModelClock, SimulatedChargePoint
from simulators.grid import GridConnection
from tests.faults.load import usual_build
from tests.faults.world import TOKEN, commission, furnish, serving, until

GIVEN = {"site_limit_interval_s": 0.1, "site_limit_pace_s": 0}
TIMING = timing_of(load_settings({}, **GIVEN))
BOTH = ("ocpp1.6", "ocpp2.0.1")
WATTS_A = 690


@contextlib.asynccontextmanager
async def kept(
    database: str, data_dir: Path, limit: SiteLimit, wirings: Mapping[str, Mapping[str, Any]], **build: Any
) -> AsyncIterator[tuple[list[SimulatedChargePoint], GridConnection]]:
    """Charge points wired like this, all of which have accepted the limit that the server keeps."""
    grid = GridConnection()
    async with serving(database, data_dir, **GIVEN) as running, contextlib.AsyncExitStack() as stack:
        await furnish(database)
        passwords = await commission(database, data_dir, wirings)
        async with connect_once(database) as connection:
            for name, said in wirings.items():
                if said:
                    await service.wire(connection, name, 1, said, actor="test")
            await service.set_limit(connection, "harbour", limit, TIMING, actor="test")
        stations = []
        for name, password in passwords.items():
            credentials = Credentials(url=running.ocpp_url, identity=name, password=password)
            clock = ModelClock(datetime.now(UTC) - timedelta(days=1))
            station = SimulatedChargePoint(credentials, clock, usual_build(0, settle_timeout_s=5.0, **build))
            stations.append(await stack.enter_async_context(station))
            grid.connect(station)
            await station.boot()
        await granted(database, dict.fromkeys([(each.identity, n) for each in stations for n in each.evses], 0))
        yield stations, grid


async def granted(database: str, wanted: Mapping[tuple[str, int], int]) -> None:
    """Until EVSEs have accepted these amperes, and no more may flow."""
    seen: dict[tuple[str, int], tuple[int | None, int]] = {}

    async def look() -> bool:
        async with connect_once(database) as connection:
            rows, _ = await service.show(connection, "harbour", TIMING)
        seen.clear()
        seen.update({(row["charge_point"], row["evse"]): (row["accepted"], row["counted"]) for row in rows})
        return seen == {key: (amperes, amperes) for key, amperes in wanted.items()}

    try:
        await until(look, what=f"{wanted}", within_s=60)
    except AssertionError as never:
        raise AssertionError(f"{never}: {seen}") from None


async def charge(station: SimulatedChargePoint, evse: int = 1) -> None:
    await station.plug(evse)
    await station.start(evse, token=TOKEN)
    await station.draw(evse, Battery(power_max_w=Decimal(22_080)))


def amperes(station: SimulatedChargePoint, evse: int = 1) -> Decimal:
    return station.evses[evse].power_w / WATTS_A


@pytest.mark.parametrize("protocol", BOTH)
async def test_the_evses_of_one_charge_point_share_like_those_of_several(
    database: str, tmp_path: Path, protocol: str
) -> None:
    limit = SiteLimit(amps=50, reserves=(Reserve(amps=10),))
    async with kept(database, tmp_path, limit, {"CP-1": {}}, protocol=protocol, evses=2) as ([station], grid):
        await charge(station, 1)
        await granted(database, {("CP-1", 1): 32, ("CP-1", 2): 0})
        await charge(station, 2)
        await granted(database, {("CP-1", 1): 20, ("CP-1", 2): 20})
        async with connect_once(database, as_owner=True) as owner:
            await owner.execute("DELETE FROM connector")  # as if it had never told a status
        await granted(database, {("CP-1", 1): 20, ("CP-1", 2): 20})
        await station.stop(1)
        await granted(database, {("CP-1", 1): 0, ("CP-1", 2): 32})

        assert [amperes(station, evse) for evse in (1, 2)] == [0, 32]
        assert grid.peak_a <= 40


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("via", [Via.TX_DEFAULT, Via.CHARGE_POINT_MAX])
async def test_charge_points_that_know_no_profile_of_a_session_are_told_by_another_one(
    database: str, tmp_path: Path, via: Via, protocol: str
) -> None:
    wirings = {"CP-1": {"via": via}, "CP-2": {}}
    async with kept(database, tmp_path, SiteLimit(amps=40), wirings, protocol=protocol) as ((told, usual), grid):
        await charge(told)
        await granted(database, {("CP-1", 1): 32, ("CP-2", 1): 0})
        await charge(usual)
        await granted(database, {("CP-1", 1): 20, ("CP-2", 1): 20})
        assert (amperes(told), amperes(usual)) == (20, 20)
        assert {each.purpose for each in told.profiles.held} == {"default" if via is Via.TX_DEFAULT else "max"}
        await told.stop()
        await granted(database, {("CP-1", 1): 0, ("CP-2", 1): 32})

        assert grid.peak_a <= 40


async def test_outlets_on_phases_of_their_own_do_not_share(database: str, tmp_path: Path) -> None:
    wirings = {
        "CP-1": {"phases": 1, "rotation": "RST"},
        "CP-2": {"phases": 1, "rotation": "STR"},
        "CP-3": {"phases": 1, "rotation": "STR"},
    }
    async with kept(database, tmp_path, SiteLimit(amps=40), wirings) as (stations, _):
        for station in stations:
            await charge(station)

        await granted(database, {("CP-1", 1): 32, ("CP-2", 1): 20, ("CP-3", 1): 20})


async def test_after_a_boot_everything_is_told_again(database: str, tmp_path: Path) -> None:
    """Profiles should outlive a boot; those of some charge points do not."""
    async with kept(database, tmp_path, SiteLimit(amps=40), {"CP-1": {}}) as ([station], _):
        await charge(station)
        await granted(database, {("CP-1", 1): 32})
        await station.offline()
        station.profiles.held.clear()
        await station.boot()

        await until(lambda: _holds(station, {"default": 0, "tx": 32}), what="both profiles are there again")


async def _holds(station: SimulatedChargePoint, wanted: Mapping[str, int]) -> bool:
    return {each.purpose: each.steps[0].limit for each in station.profiles.held} == wanted
