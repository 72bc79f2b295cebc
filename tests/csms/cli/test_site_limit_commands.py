"""The limit of a site from the command line: set, kept by the server with charge points of both versions, shown, taken off."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from cli_room import QUICK, TOKEN, Installation, until

from csms.settings import load_settings
from csms.site_limits import service
from csms.site_limits.planner import timing_of
from simulators.charge_point import Battery, Build, Credentials, ModelClock, SimulatedChargePoint

V16, V201 = "ocpp1.6", "ocpp2.0.1"
WATTS_A = 3 * 230
"""Of one ampere on three phases."""


@contextlib.asynccontextmanager
async def charge_points(
    shop: Installation, site: str, protocols: dict[str, str], *, unable: str | None = None
) -> AsyncIterator[list[SimulatedChargePoint]]:
    """Charge points of one EVSE at a site of their own, booted."""
    await shop.data(
        "site", "create", site, "--name", site, "--country", "DE", "--time-zone", "Europe/Berlin", "--currency", "EUR"
    )
    async with contextlib.AsyncExitStack() as stack:
        stations = []
        for name, protocol in protocols.items():
            password = await shop.charge_point(name, "--protocol", protocol, "--site", site)
            credentials = Credentials(url=shop.url, identity=name, password=password)
            build = Build(protocol=protocol, reconnect=QUICK, boot_wait_max_s=20.0)
            station = SimulatedChargePoint(credentials, ModelClock(datetime.now(UTC)), build)
            stations.append(await stack.enter_async_context(station))
            found = station.dialect.settings.find("SupportedFeatureProfiles")
            if name == unable and found is not None:
                found[1].value = "Core,RemoteTrigger"
        for station in stations:
            await station.boot()
        yield stations


async def rows(shop: Installation, site: str) -> dict[str, dict[str, Any]]:
    """What `csms site limit show` prints, without a process each time."""
    async with shop.connection() as connection:
        found, _ = await service.show(connection, site, timing_of(load_settings({})))
    return {row["charge_point"]: row for row in found}


async def accepted(shop: Installation, site: str, wanted: dict[str, int | None]) -> dict[str, dict[str, Any]]:
    """The rows of the site, as soon as the charge points have accepted these amperes."""

    async def look() -> dict[str, dict[str, Any]] | None:
        found = await rows(shop, site)
        return found if {name: row["accepted"] for name, row in found.items()} == wanted else None

    try:
        found: dict[str, dict[str, Any]] = await until(look)
    except TimeoutError:
        raise AssertionError(f"never {wanted}: {await rows(shop, site)}") from None
    return found


async def charge(station: SimulatedChargePoint) -> None:
    await station.plug()
    await station.start(token=TOKEN)
    await station.draw(1, Battery(power_max_w=Decimal(22_000)))


def amperes(*stations: SimulatedChargePoint) -> list[Decimal]:
    """What flows on each phase."""
    return [round(station.evses[1].power_w / WATTS_A, 1) for station in stations]


async def test_a_limit_is_shared_shown_changed_and_taken_off(shop: Installation) -> None:
    async with charge_points(shop, "harbour-2", {"CP-1": V16, "CP-2": V201}) as (one, two):
        before = await shop.csms("site", "limit", "show", "harbour-2")
        rehearsed = await shop.csms(
            "site", "limit", "set", "harbour-2", "--amps", 40, "--reserve", 4, "--dry-run", "-o", "json"
        )
        still = await shop.csms("site", "limit", "clear", "harbour-2")
        await shop.data("site", "limit", "set", "harbour-2", "--amps", 40, "--rotate-min", 5)
        await accepted(shop, "harbour-2", {"CP-1": 0, "CP-2": 0})
        await charge(one)
        alone = await accepted(shop, "harbour-2", {"CP-1": 32, "CP-2": 0})
        flows_alone = amperes(one, two)
        await charge(two)
        await accepted(shop, "harbour-2", {"CP-1": 20, "CP-2": 20})
        flows_both = amperes(one, two)
        table = await shop.csms("site", "limit", "show", "harbour-2")
        printed = await shop.data("site", "limit", "show", "harbour-2")
        [listed] = [row for row in await shop.data("site", "limit", "list") if row["site"] == "harbour-2"]
        wired = await shop.data("site", "limit", "evse", "CP-2", 1, "--amps", 16)
        await accepted(shop, "harbour-2", {"CP-1": 24, "CP-2": 16})
        told = await shop.data("site", "limit", "history", "harbour-2", "--cp", "CP-2")
        wanted = await shop.data("site", "limit", "history", "harbour-2", "--most", 200)
        cleared = await shop.data("site", "limit", "clear", "harbour-2")
        await until(lambda: _holds_nothing(one, two))
        again = await shop.csms("site", "limit", "clear", "harbour-2")

    assert (before.code, before.error["code"]) == (5, "refused")
    assert rehearsed.code == 0
    assert [row["why"] for row in rehearsed.json] == ["has accepted no limit yet: counts with 32 A"] * 2
    assert still.code == 7  # the dry run has set nothing
    assert (alone["CP-1"]["why"], alone["CP-2"]["why"]) == ("all that it can take", "no vehicle")
    assert flows_alone == [Decimal("31.9"), 0]
    assert [(row["charge_point"], row["wanted"], row["allowed"], row["accepted"], row["why"]) for row in printed] == [
        ("CP-1", 32, 20, 20, "fair share"), ("CP-2", 32, 20, 20, "fair share"),
    ]  # fmt: skip
    assert {row["phases"] for row in printed} == {"L1L2L3"}
    assert flows_both == [20, 20]
    assert table.out.splitlines()[0].split("\t")[:5] == ["charge_point", "evse", "wanted", "allowed", "accepted"]
    assert "40 A to share, 40 A may flow at most, 0 vehicle(s) wait" in table.err
    assert (listed["amps"], listed["counted"], listed["over"]) == (40, 40, 0)
    assert (wired["amps"], wired["via"], wired["absent"]) == (16, "tx", False)
    assert [(row["amps"], row["outcome"]) for row in reversed(told)] == [
        (0, "Accepted"), (8, "Accepted"), (20, "Accepted"), (16, "Accepted"),
    ]  # fmt: skip
    assert [row["detail"] for row in wanted if row["what"] == "limit set"] == [
        "3 phases, at least 6 A, 0 A unheard, turns of 5 min"
    ]
    assert cleared["profiles_to_take_off"] == 4
    assert again.code == 7


async def _holds_nothing(*stations: SimulatedChargePoint) -> bool:
    return all(not station.profiles.held for station in stations)


async def test_what_does_not_follow_is_named_and_what_operators_undo_is_told_again(shop: Installation) -> None:
    async with charge_points(shop, "depot", {"CP-3": V16, "CP-4": V201, "CP-5": V16}, unable="CP-5") as (one, two, _):
        await shop.data("site", "limit", "set", "depot", "--amps", 60)
        await until(lambda: _why(shop, "depot", "CP-5", "does not announce smart charging: counts with 32 A"))
        await accepted(shop, "depot", {"CP-3": 0, "CP-4": 0, "CP-5": None})
        await charge(one)
        await accepted(shop, "depot", {"CP-3": 28, "CP-4": 0, "CP-5": None})
        ours = await shop.data("profile", "list", "CP-3")
        undone = await shop.csms("profile", "clear", "CP-3", "--evse", 1)
        await accepted(shop, "depot", {"CP-3": 28, "CP-4": 0, "CP-5": None})
        await until(lambda: _holds(one, 2))
        await one.offline()
        await until(lambda: _why(shop, "depot", "CP-3", "silent since"))
        await charge(two)
        silent = await rows(shop, "depot")
        await shop.data("site", "limit", "evse", "CP-5", 1, "--absent")
        freed = await accepted(shop, "depot", {"CP-3": 28, "CP-4": 32})
        narrow = await shop.csms("site", "limit", "set", "depot", "--amps", 10, "--reserve", "07:00-19:00=6")
        shares = await shop.csms("site", "limit", "set", "depot", "--amps", 10, "--offline", 6)
        nobody = await shop.csms("site", "limit", "set", "nowhere", "--amps", 10)
        wrong = await shop.csms("site", "limit", "set", "depot", "--amps", 10, "--reserve", "soon")
        nothing = await shop.csms("site", "limit", "evse", "CP-4", 1)

    assert [(row["purpose"], row["limits"]) for row in ours] == [("tx_default", "0 s: 0 A"), ("tx", "0 s: 28 A")]
    assert undone.code == 0
    assert silent["CP-3"]["counted"] == 28
    assert silent["CP-4"]["allowed"] == 0  # 32 A and 28 A may flow elsewhere
    assert freed["CP-4"]["why"] == "all that it can take"
    assert (narrow.code, shares.code, nobody.code, wrong.code, nothing.code) == (5, 5, 3, 2, 2)
    assert "4 A are left when the building draws most, a vehicle needs 6 A" in narrow.error["message"]
    assert "2 EVSEs that draw 6 A each unheard are more than 10 A" in shares.error["message"]


async def _holds(station: SimulatedChargePoint, count: int) -> bool:
    return len(station.profiles.held) == count


async def _why(shop: Installation, site: str, name: str, words: str) -> bool:
    return words in (await rows(shop, site))[name]["why"]
