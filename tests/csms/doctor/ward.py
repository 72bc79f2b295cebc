"""Charge points with a habit, one after the other in the care of one running server; each has a record of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from csms.charge_points import service as charge_points
from csms.doctor import service
from csms.doctor.examination import Finding, How
from csms.nodes.routing import ask as ask_charge_point
from csms.protocol.vocabulary import Command, Outcome
from csms.sessions import listing
from simulators.charge_point import stamp
from tests.faults.wire import Wire, meter_values_16, start_16, stop_16, wire
from tests.scenarios.spoken import ask, say
from tests.world import Key, World, in_the_past, until

NAMED_S_MAX = 15.0
ENERGY = {"measurand": "Energy.Active.Import.Register", "unit": "Wh"}
WIND = ("Example Wind", "Gust")
"""A make that the catalogue does not know."""


@dataclass(slots=True)
class Patient:
    """One charge point: what it does is a test's, what is found about it the doctor's."""

    world: World
    key: Key
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @contextlib.asynccontextmanager
    async def on(self, protocol: str = "ocpp1.6") -> AsyncIterator[Wire]:
        async with wire(self.world.ocpp_url, self.key.id, self.key.password, protocol) as opened:
            yield opened

    async def boot(self, opened: Wire, vendor: str = WIND[0], model: str = WIND[1], **more: str) -> None:
        told: dict[str, Any] = {"chargePointVendor": vendor, "chargePointModel": model, **more}
        if opened.socket.subprotocol == "ocpp2.0.1":
            told = {"reason": "PowerUp", "chargingStation": {"vendorName": vendor, "model": model}}
        assert (await ask(opened, "BootNotification", told))["status"] == "Accepted"

    async def start(self, opened: Wire, at: datetime, **more: Any) -> int:
        return int((await ask(opened, "StartTransaction", start_16(at, **more)))["transactionId"])

    async def charge(self, opened: Wire, *, minutes: int = 60, meter_wh: int = 1000, energy_wh: int = 5000) -> int:
        """A plain 1.6 session that ended five minutes ago."""
        transaction = await self.start(opened, in_the_past(minutes=5 + minutes), meter_wh=meter_wh)
        await ask(
            opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5), meter_wh=meter_wh + energy_wh)
        )
        return transaction

    async def sample(
        self, opened: Wire, transaction: int | None, minutes_ago: int, *samples: dict[str, Any], connector: int = 1
    ) -> None:
        value = {"timestamp": stamp(in_the_past(minutes=minutes_ago)), "sampledValue": list(samples)}
        told: dict[str, Any] = {"connectorId": connector, "meterValue": [value]}
        if transaction is not None:
            told["transactionId"] = transaction
        assert await ask(opened, "MeterValues", told) == {}

    async def tell(self, opened: Wire, text: str, id_: str) -> dict[str, Any]:
        """A text as it stands; it must be answered with a result."""
        reply = await say(opened, text, id_=id_)
        assert reply.error is None, reply.error
        return reply.payload

    async def asked(self, command: Command) -> Outcome:
        """What it makes of something that the operator asks."""
        return await ask_charge_point(self.world.connection, self.key.id, command, actor="operator", timeout_s=10)

    # --- what became of it ---

    async def sessions(self) -> list[dict[str, Any]]:
        await self.world.quiet()
        return await listing.list_sessions(self.world.connection, charge_point=self.key.id)

    async def require_rated(self, *energies_wh: int) -> None:
        """So many sessions are billed, with these energies; others are not."""
        rated = [each["energy_wh"] for each in await self.sessions() if each["state"] == "rated"]
        assert rated == list(energies_wh)

    async def require_held(self, *reasons: str) -> None:
        """Its only session comes to be held for at least these reasons, and has no final bill.

        That may take a sweep: a stop that names no transaction is paired only once it has settled.
        """

        async def held() -> bool:
            return [each["state"] for each in await self.sessions()] == ["held"]

        await until(held, within_s=NAMED_S_MAX)
        (session,) = await self.sessions()
        assert set(reasons) <= set(session["hold_reasons"]), session
        assert "final" not in [bill.kind for bill in await self.world.bills(session["id"])]

    async def quarantined(self) -> list[str]:
        rows = await self.world.connection.fetch(
            "SELECT frame FROM quarantine WHERE charge_point = $1 ORDER BY id", self.key.id
        )
        return [row["frame"] for row in rows]

    async def had_socket(self, opened_at: datetime, closed_at: datetime, protocol: str = "ocpp1.6") -> None:
        """A connection of the past."""
        await self.world.connection.execute(
            "INSERT INTO socket (id, charge_point, node, protocol, remote, opened_at, closed_at, close_code)"
            " VALUES ($1, $2, $3, $4, '192.0.2.1', $5, $6, 1006)",
            uuid4(), self.key.id, uuid4(), protocol, opened_at, closed_at,
        )  # fmt: skip

    async def has_setting(self, name: str, value: str) -> None:
        """As if it had been read."""
        await self.world.connection.execute(
            "INSERT INTO device_setting (charge_point, name, value, read_at) VALUES ($1, $2, $3, now())",
            self.key.id, name, value,
        )  # fmt: skip

    async def findings(self, *, heartbeat_interval_s: int = 300, eichrecht: bool = False) -> dict[str, Finding]:
        known = await charge_points.get(self.world.connection, self.key.id)
        found = await service.findings(
            self.world.connection, known, heartbeat_interval_s=heartbeat_interval_s, eichrecht=eichrecht
        )
        return {each.entry.name: each for each in found}

    async def require_named(
        self, names: Sequence[str], *, how: How = How.SEEN, shows: str | None = None, **wanted: Any
    ) -> None:
        """The doctor names all of these, with a frame each; the first one's frame holds `shows`."""
        found: dict[str, Finding] = {}

        def all_are_named() -> bool:
            named = all(name in found and found[name].how is how and found[name].frame for name in names)
            return named and (shows is None or shows in (found[names[0]].frame or ""))

        try:
            async with asyncio.timeout(NAMED_S_MAX):
                while not all_are_named():
                    await asyncio.sleep(0.1)
                    found = await self.findings(**wanted)
        except TimeoutError:
            told = {name: (str(each.how), each.evidence, each.frame) for name, each in found.items()}
            raise AssertionError(f"{names} are not all among {told}, or the first does not show {shows}") from None


Play = Callable[[Patient, Wire], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """What one charge point does, and by which names the doctor must call it."""

    number: int
    title: str
    names: tuple[str, ...]
    play: Play
    protocol: str
    shows: str | None
    make: tuple[str, ...] | None
    how: How
    choices: dict[str, Any]
    wanted: dict[str, Any]


class Habits(list[Habit]):
    """The table of one file; each entry is the function that behaves so."""

    def shown_by(
        self,
        number: int,
        *names: str,
        protocol: str = "ocpp1.6",
        shows: str | None = None,
        make: tuple[str, ...] | None = WIND,
        how: How = How.SEEN,
        choices: dict[str, Any] | None = None,
        **wanted: Any,
    ) -> Callable[[Play], Play]:
        """`make` None: no boot."""

        def enter(play: Play) -> Play:
            self.append(
                Habit(
                    number=number, title=play.__name__, names=names, play=play, protocol=protocol, shows=shows, make=make,
                    how=how, choices=choices or {}, wanted=wanted,
                )
            )  # fmt: skip
            return play

        return enter

    def ids(self) -> list[str]:
        return [f"{each.number}-{each.title}" for each in self]


async def require(world: World, habit: Habit) -> None:
    """Let a charge point behave so; the server must bear it, and the doctor name it."""
    choices = {"max_power_w": None, **habit.choices}
    key = await world.charge_point(f"P{uuid4().hex[:10].upper()}", **choices)
    patient = Patient(world, key)
    async with patient.on(habit.protocol) as opened:
        if habit.make is not None:
            await patient.boot(opened, *habit.make)
        await habit.play(patient, opened)
    await patient.require_named(habit.names, how=habit.how, shows=habit.shows, **habit.wanted)


def register(wh: float | str, **more: str) -> dict[str, Any]:
    return {"value": str(wh), **ENERGY, **more}


__all__ = ["Habit", "Habits", "Patient", "meter_values_16", "register", "require", "start_16", "stop_16"]
