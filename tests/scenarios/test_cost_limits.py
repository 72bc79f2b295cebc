"""Sessions that may cost only so much, in both versions: stopped in time, and what it came to is on record (RULES.md 17)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing import LimitScope, LimitWanted, list_cost_limits, set_cost_limit
from tests.scenarios.limited import STOPS, Charger, charger
from tests.world import TOKENS, World, in_the_past, open_world, tariff_document, until

HALF_A_EURO = {"price_components": [{"type": "ENERGY", "price": "0.50", "vat": "19", "step_size": 1}]}
BOTH = pytest.mark.parametrize("protocol", STOPS)


@pytest.fixture
async def world(database: str, data_home: Path) -> AsyncIterator[World]:
    """A kWh costs 0.50 EUR, tax included; a stop that is not obeyed is asked for again at once."""
    async with open_world(database, data_home, cost_stop_delays_s=(0.1,)) as opened:
        await opened.site()
        await opened.tariff(tariff_document("HALF", HALF_A_EURO, tax_included="YES"))
        for uid in TOKENS:
            await opened.token(uid)
        yield opened


async def limit(world: World, target: object, amount: str | None, **more: Any) -> None:
    """Of a token, or of a session where the target is a number."""
    wanted = LimitWanted(
        scope=LimitScope.SESSION if isinstance(target, int) else LimitScope.TOKEN,
        target=str(target),
        amount=None if amount is None else Decimal(amount),
        reason="prepaid",
        actor="operator",
        **more,
    )
    await set_cost_limit(world.connection, wanted, now=datetime.now(UTC))


async def only_session(world: World) -> int:
    await world.quiet()
    (session,) = await world.sessions()
    return int(session["id"])


async def shown(world: World, session: int) -> dict[str, Any]:
    return dict((await world.show(session))["cost_limit"])


async def asked(station: Charger, times: int) -> None:
    async def so_often() -> bool:
        return len(station.stops) >= times

    await until(so_often)


async def charge(world: World, station: Charger, samples: int) -> None:
    for _ in range(samples):
        await station.sample()
        await world.quiet()


@BOTH
async def test_a_session_is_stopped_at_the_first_sample_that_comes_to_its_limit(world: World, protocol: str) -> None:
    await limit(world, TOKENS[0], "5.00")
    async with charger(world.ocpp_url, await world.charge_point("CP-1"), protocol) as station:
        assert await station.authorize() == "Accepted"
        assert await station.start() == "Accepted"
        await charge(world, station, 9)
        assert station.stops == []
        await charge(world, station, 1)  # exactly 5.00
        await asked(station, 1)
        session = await only_session(world)
        running = await shown(world, session)
        await station.stop(wh=400)
        await world.quiet()
        ended = await shown(world, session)
        bills = await world.bills(session)
        flags = (await world.show(session))["flags"]

    assert station.stops[0] == {"transactionId": station.transaction}
    assert "5.00" in [bill.total_incl.text for bill in bills]  # the driver has seen it
    assert {name: running[name] for name in ("may_cost", "amount", "amount_at_stop", "final", "overshoot")} == {
        "may_cost": "5.00", "amount": "5.00", "amount_at_stop": "5.00", "final": None, "overshoot": None,
    }  # fmt: skip
    assert (ended["final"], ended["overshoot"], ended["stop_is_due"]) == ("5.20", "0.20", False)
    assert (ended["scope"], ended["set_by"], ended["reason"]) == ("token", "operator", "prepaid")
    assert bills[-1].total_incl.text == "5.20"
    assert len(station.stops) <= 2 or "limit_not_obeyed" in flags


@BOTH
async def test_a_stop_that_is_refused_is_repeated_and_said_until_the_session_ends(world: World, protocol: str) -> None:
    await limit(world, TOKENS[0], "1.00")
    says = ["Rejected", "Rejected", "Accepted"]
    async with charger(world.ocpp_url, await world.charge_point("CP-1"), protocol, says=says) as station:
        await station.start()
        await charge(world, station, 2)
        await asked(station, 3)
        await station.stop()
        session = await only_session(world)
        told = await world.show(session)
        answers = await world.connection.fetch(
            "SELECT accepted, status FROM cost_stop_try WHERE session = $1 ORDER BY n", session
        )

    assert [tuple(row) for row in answers][:2] == [(False, "Rejected"), (False, "Rejected")]
    assert told["flags"] == ["limit_not_obeyed"]
    assert (told["cost_limit"]["overshoot"], told["cost_limit"]["stop_is_due"]) == ("0.00", False)


@BOTH
async def test_a_limit_that_is_set_below_what_a_session_costs_already_stops_it(world: World, protocol: str) -> None:
    async with charger(world.ocpp_url, await world.charge_point("CP-1"), protocol) as station:
        await station.start()
        await charge(world, station, 4)
        session = await only_session(world)
        await limit(world, session, "9.00")
        await world.quiet()
        assert station.stops == []
        await limit(world, session, "1.50")
        await asked(station, 1)
        await station.stop()
        await world.quiet()
        told = await shown(world, session)

    assert (told["may_cost"], told["amount_at_stop"], told["final"], told["overshoot"]) == (
        "1.50", "2.00", "2.00", "0.50",
    )  # fmt: skip


async def test_a_limit_that_is_raised_in_time_lets_the_session_go_on(world: World) -> None:
    async with charger(world.ocpp_url, await world.charge_point("CP-1"), "ocpp1.6", says=["Rejected"]) as station:
        await station.start()
        session = await only_session(world)
        await limit(world, session, "1.00")
        await charge(world, station, 2)
        await asked(station, 1)
        await limit(world, session, "2.00")
        await world.quiet()
        between = await shown(world, session)
        await charge(world, station, 2)

        async def decided_again() -> bool:
            return bool((await shown(world, session))["stop_is_due"])

        await until(decided_again)
        again = await world.connection.fetch("SELECT seq, amount_minor FROM cost_stop ORDER BY seq")

    assert (between["may_cost"], between["stop_is_due"]) == ("2.00", False)
    assert [tuple(row) for row in again] == [(1, 100), (2, 200)]


@BOTH
async def test_a_token_without_credit_is_told_so_and_stopped_if_it_charges_nevertheless(
    world: World, protocol: str
) -> None:
    await limit(world, TOKENS[0], "0.00")
    word = {"ocpp1.6": "Blocked", "ocpp2.0.1": "NoCredit"}[protocol]
    async with charger(world.ocpp_url, await world.charge_point("CP-1"), protocol) as station:
        assert await station.authorize() == word
        assert await station.start() == word
        await asked(station, 1)
        await station.stop(wh=200)
        session = await only_session(world)
        told = await world.show(session)

    assert (told["state"], told["hold_reasons"], told["total_incl_tax"]) == ("rated", [], "0.10")
    assert told["cost_limit"]["overshoot"] == "0.10"


async def test_a_balance_is_shared_by_the_sessions_of_its_token(world: World) -> None:
    await limit(world, TOKENS[0], "3.00", is_total=True, valid_from=in_the_past(hours=6))
    keys = [await world.charge_point(f"CP-{n}") for n in range(3)]
    async with (
        charger(world.ocpp_url, keys[0], "ocpp1.6") as first,
        charger(world.ocpp_url, keys[1], "ocpp2.0.1") as second,
        charger(world.ocpp_url, keys[2], "ocpp1.6") as third,
    ):
        await first.start()
        await charge(world, first, 2)
        await second.start()
        await charge(world, second, 3)
        assert (first.stops, second.stops) == ([], [])
        left = await list_cost_limits(world.connection, token=TOKENS[0], now=datetime.now(UTC))
        await charge(world, second, 1)  # 1.00 and 2.00
        await asked(second, 1)
        assert first.stops == []
        await charge(world, first, 1)  # 1.50 and 2.00: the overshoot is an interval of each running session
        await asked(first, 1)
        await second.stop()
        await first.stop()
        await world.quiet()
        assert await third.authorize() == "Blocked"

    assert [(each["left"], each["state"]) for each in left] == [("0.50", "in force")]
    by_start = [(await shown(world, each["id"]))["overshoot"] for each in await world.sessions()]
    assert sorted(by_start) == ["0.00", "0.50"]


async def test_while_a_rule_fires_no_limit_acts(world: World) -> None:
    """RULES.md 16: an amount that nobody believes stops nobody."""
    await limit(world, TOKENS[0], "5.00")
    async with charger(world.ocpp_url, await world.charge_point("CP-1"), "ocpp2.0.1") as station:
        await station.start()
        await station.sample(wh=900_000)
        session = await only_session(world)
        held = await world.show(session)

    assert held["hold_reasons"] != []
    assert (held["cost_limit"] or {}).get("amount_at_stop") is None
    assert station.stops == []


async def test_a_limit_in_another_currency_leaves_nothing(world: World) -> None:
    await world.site("north", currency="PLN", time_zone="Europe/Warsaw")
    await limit(world, TOKENS[0], "50.00", currency="PLN")
    async with charger(world.ocpp_url, await world.charge_point("CP-1"), "ocpp2.0.1") as station:
        assert await station.authorize() == "NoCredit"
    await limit(world, TOKENS[0], None)
    async with charger(world.ocpp_url, await world.charge_point("CP-2"), "ocpp2.0.1") as station:
        assert await station.authorize() == "Accepted"
