"""Tells a story with simulated charge points, one per version of OCPP, and holds the server to what it claims."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from billing.bills import history
from billing.rating.explanation import ExplainedLine
from billing.rating.rating_json import rating_to_json
from simulators.charge_point.evse import Phase
from simulators.charge_point.link import Credentials
from simulators.charge_point.outbox import Message
from simulators.charge_point.station import Build, SimulatedChargePoint
from simulators.clock import ModelClock
from simulators.scenarios.runner import QUICK
from tests.scenarios.story import LINE, Claim, Happening, Operator, Story
from tests.world import LONG_AGO, SITE, TOKENS, World, open_world

PROTOCOLS = {"CP-16": "ocpp1.6", "CP-201": "ocpp2.0.1", "CP-21": "ocpp2.1"}
AGE_IS_NO_MATTER = {"late_days_flag": 36500, "late_days_hold": 36500}
# A story of long ago is told by a clock that is that far behind: true, and no part of any story here.
OF_THE_TELLING = {"clock_offset"}
OWN = ("id", "charge_point", "transaction_id")


@contextlib.asynccontextmanager
async def stage(story: Story, dsn: str, data_dir: Path, **given: Any) -> AsyncIterator[World]:
    """The story's world before anything happens."""
    review = AGE_IS_NO_MATTER if story.however_late else None
    async with open_world(dsn, data_dir, review=review, **given) as world:
        await world.site(SITE, time_zone=str(story.zone))
        for uid in TOKENS:
            await world.token(uid)
        for document, assigned in story.tariffs:
            await world.tariff(document, assigned=assigned)
        yield world


class Station(SimulatedChargePoint):
    """Keeps the stops that a fault has swallowed, so that they can arrive after all."""

    def __init__(self, credentials: Credentials, clock: ModelClock, build: Build) -> None:
        super().__init__(credentials, clock, build)
        self.swallowed: list[Message | None] = []


class Teller:
    """The charge points live the same story side by side."""

    def __init__(self, story: Story, world: World) -> None:
        self.story = story
        self.world = world
        self.stations: list[Station] = []

    async def tell(self) -> None:
        begin = min(step.at for step in self.story.course if isinstance(step, Happening))
        power_w = None if self.story.power_kw is None else self.story.power_kw * 1000
        async with contextlib.AsyncExitStack() as stack:
            for identity, protocol in PROTOCOLS.items():
                key = await self.world.charge_point(identity, max_power_w=power_w)
                build: Build = replace(QUICK, protocol=protocol, stop_on_invalid=False)
                credentials = Credentials(url=self.world.ocpp_url, identity=key.id, password=key.password)
                station = Station(credentials, ModelClock(begin), build)
                self.stations.append(await stack.enter_async_context(station))
                await station.boot()
            for step in self.story.course:
                await self._perform(step)

    async def _perform(self, step: Happening | Operator | Claim) -> None:
        match step:
            case Happening():
                for station in self.stations:
                    await happen(station, step)
            case Operator():
                await self.world.quiet()
                await self._operate(step)
            case Claim():
                await self.world.quiet()
                for station in self.stations:
                    await self._require(step, station.identity)
                await self._require_the_same_of_all()

    async def _operate(self, step: Operator) -> None:
        verb, *words = step.what.split()
        match verb:
            case "issues":
                await self.world.token(words[0])
            case "blocks":
                await self.world.block(words[0])
            case "assigns":
                await self.world.assign(words[0], valid_from=step.at or LONG_AGO)
            case "releases" | "drops":
                action = verb.removesuffix("s") if verb == "releases" else "drop"
                for session in await self.world.sessions():
                    if session["hold_reasons"]:
                        await self.world.review(session["id"], action, " ".join(words))
            case _:
                raise AssertionError(f"the operator does not know how to: {step.what}")

    async def _require(self, claim: Claim, identity: str) -> None:
        sessions = await self.world.sessions(charge_point=identity)
        assert len(sessions) >= claim.number, f"{identity} has {len(sessions)} sessions"
        shown = await self.world.show(sessions[claim.number - 1]["id"])
        if claim.what == "session":
            wanted = _as_dict(claim.lines)
            assert {"told by": identity, **_described(shown, wanted, self.story)} == {"told by": identity, **wanted}
            return
        bills = await self.world.bills(shown["id"])
        finals = [bill for bill in bills if bill.kind.value == "final"]
        if claim.what == "no bill":
            assert finals == [], f"{identity} has a bill"
            return
        assert len(finals) == 1, f"{identity} has {len(finals)} final bills: {shown}"
        explained = await history.explain_bill(self.world.connection, shown["id"], None)
        wanted_lines = [_wanted(line) for line in claim.lines]
        assert [identity, *_told(explained.lines, explained.rating.tax_included.value)] == [identity, *wanted_lines]

    async def _require_the_same_of_all(self) -> None:
        """Translate at the edge, once: no field of a session or line of a bill knows which version told it."""
        one, *others = [await self._account(station.identity) for station in self.stations]
        for other in others:
            assert one == other

    async def _account(self, identity: str) -> list[Any]:
        account = []
        for session in await self.world.sessions(charge_point=identity):
            shown = await self.world.show(session["id"])
            bills = [bill for bill in await self.world.bills(session["id"]) if bill.kind.value == "final"]
            ratings = [
                rating_to_json(await history.require_recomputable(self.world.connection, bill)) for bill in bills
            ]
            told = {key: value for key, value in session.items() if key not in OWN}
            account.append((told, shown["released_at"], shown["notes"], ratings))
        return account


async def happen(station: Station, step: Happening) -> None:
    """One thing at one charge point."""
    await station.clock.advance(step.at - station.clock.now)
    evse = station.evses[1]
    if step.register_wh is not None:
        evse.meter.show(step.register_wh)
    if behind := re.fullmatch(r"clock (\d+) minutes behind", step.what):
        station.clock.set_wrong(by=-timedelta(minutes=int(behind[1])))
    elif step.what.startswith("plug in"):
        card = step.what.removeprefix("plug in with ") if " with " in step.what else TOKENS[0]
        await station.plug()
        assert await station.start(token=card) is not None, "the EVSE is busy"
    else:
        await WHAT_HAPPENS[step.what](station)


async def _stop_is_lost(station: Station) -> None:
    await station.stop(lose=True)
    transaction = station.evses[1].last_transaction
    assert transaction is not None
    station.swallowed.append(transaction.stop_message)


async def _clock_right(station: Station) -> None:
    station.clock.set_wrong()


WHAT_HAPPENS: dict[str, Callable[[Station], Awaitable[object]]] = {
    "sample": lambda station: station.sample(),
    "charging": lambda station: station._go(station.evses[1], Phase.CHARGING),
    "car pauses": lambda station: station.suspend(by_ev=True),
    "station pauses": lambda station: station.suspend(by_ev=False),
    "stop": lambda station: station.stop(),
    "stop is lost": _stop_is_lost,
    "the earlier stop arrives": lambda station: station.repeat(station.swallowed.pop(0)),
    "unplug": lambda station: station.unplug(),
    "offline": lambda station: station.offline(),
    "online": lambda station: station.online_again(),
    "clock right": _clock_right,
}


def _as_dict(lines: list[str]) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (line.partition(" ") for line in lines)}


def _described(shown: dict[str, Any], wanted: dict[str, str], story: Story) -> dict[str, str]:
    """What the story speaks of, in the story's words."""

    def local(at: datetime | None) -> str:
        return "never" if at is None else f"{at.astimezone(story.zone):%Y-%m-%d %H:%M}"

    words = {
        "energy": f"{Decimal(shown['energy_wh']) / 1000:.3f} kWh",
        "state": shown["state"],
        "held": ", ".join(sorted(shown["hold_reasons"])) or "by nothing",
        "flagged": ", ".join(sorted(set(shown["flags"]) - OF_THE_TELLING)) or "by nothing",
        "notes": ", ".join(shown["notes"]) or "none",
        "ended": local(shown["ended_at"]),
        "released": local(shown["released_at"]),
        "token": str(shown["token"]),
    }
    return {key: words[key] for key in wanted}


def _wanted(line: str) -> tuple[str, ...]:
    if found := LINE.fullmatch(line):
        return (found["quantity"], _number(found["price"]), _number(found["amount"]))
    what, amount = line.split()
    return (what, _number(amount))


def _number(text: str) -> str:
    return f"{Decimal(text).normalize():f}"


def _told(lines: tuple[ExplainedLine, ...], tax_included: str) -> list[tuple[str, ...]]:
    """Each priced line as quantity, price, amount (net or gross as the tariff is), and the total with tax."""
    told: list[tuple[str, ...]] = []
    for line in lines:
        if line.what == "total":
            told.append(("total", _number(line.incl_tax)))
        elif line.unit_price:
            amount = line.incl_tax if tax_included == "YES" else line.excl_tax
            told.append((line.quantity.split(" (")[0], _number(line.unit_price.split()[0]), _number(amount)))
    return told


def utc_now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
