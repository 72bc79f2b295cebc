"""A day at a site whose charge points share a connection: vehicles come and go, and charge points fail in every way there is."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from simulators.charge_point import Battery, Build, Credentials, ModelClock, RetryPolicy, SimulatedChargePoint
from simulators.charge_point.link import Connection
from simulators.grid import GridConnection
from tests.faults.load import EAGER
from tests.faults.world import TOKEN

TICK = timedelta(minutes=2)
STAY_MIN, STAY_MAX = timedelta(minutes=40), timedelta(hours=2)
PAUSE_MAX = timedelta(minutes=30)
TROUBLE_MAX = timedelta(minutes=45)
QUIET_MAX = timedelta(hours=5)
CAPACITY_WH = (60_000, 90_000)
_CALL, _RESULT = 2, 3
_LIMIT = "SetChargingProfile"


class Mood(StrEnum):
    """What a charge point makes of limits."""

    OBEYS = "obeys"
    REFUSES = "refuses"
    DAWDLES = "answers late, but in time"
    LATE = "obeys and answers too late"
    MUTE = "obeys and never answers"
    DEAF = "neither obeys nor answers"


TROUBLES = ("offline", "reboot", *(str(mood) for mood in Mood if mood is not Mood.OBEYS))


@dataclass(slots=True)
class MoodyLink:
    """A websocket on which limits meet the mood that the charge point is in."""

    too_late_s: float
    mood: Mood = Mood.OBEYS
    met: set[str] = field(default_factory=set)

    def wrap(self, connection: Connection) -> Connection:
        return MoodyConnection(connection, self)


class MoodyConnection:
    def __init__(self, connection: Connection, link: MoodyLink) -> None:
        self._connection = connection
        self._link = link
        self._unanswered: set[str] = set()

    async def send(self, message: str) -> None:
        frame = json.loads(message)
        if frame[0] == _RESULT and frame[1] in self._unanswered:
            return
        await self._connection.send(message)

    async def recv(self) -> Any:
        while True:
            message = await self._connection.recv()
            frame = json.loads(message)
            if frame[0] != _CALL or frame[2] != _LIMIT:
                return message
            mood = self._link.mood
            self._link.met.add(mood)
            match mood:
                case Mood.REFUSES:
                    await self._connection.send(json.dumps([_RESULT, frame[1], {"status": "Rejected"}]))
                    continue
                case Mood.DEAF:
                    continue
                case Mood.MUTE:
                    self._unanswered.add(frame[1])
                case Mood.LATE:
                    await asyncio.sleep(self._link.too_late_s)
                case Mood.DAWDLES:
                    await asyncio.sleep(self._link.too_late_s / 5)
                case Mood.OBEYS:
                    pass
            return message


@dataclass(slots=True, kw_only=True)
class Stay:
    """A vehicle's stay as it truly was. `hungry` is for how long it stood there, wanted more and got nothing, at most."""

    charge_point: str
    began_at: datetime
    ended_at: datetime
    energy_wh: Decimal = Decimal(0)
    is_full: bool = False
    disturbed: bool = False
    hungry: timedelta = timedelta()

    @property
    def hours(self) -> float:
        return (self.ended_at - self.began_at) / timedelta(hours=1)


@dataclass(slots=True)
class Bay:
    """A charge point of the site, what befalls it and who charges there."""

    number: int
    station: SimulatedChargePoint
    link: MoodyLink
    chance: random.Random
    end: datetime
    stays: list[Stay] = field(default_factory=list)
    befell: set[str] = field(default_factory=set)
    troubled: bool = False
    reboot_due: bool = False

    async def live(self) -> None:
        """Vehicles one after the other until the day is over."""
        while self.station.clock.now < self.end:
            await self._pass(PAUSE_MAX * self.chance.random())
            await self._stay()

    async def _pass(self, span: timedelta) -> None:
        until = min(self.station.clock.now + span, self.end)
        while self.station.clock.now < until:
            await self._tick()

    async def _tick(self) -> None:
        await self.station.advance(TICK)
        if self.reboot_due:
            self.reboot_due = False
            await self.station.reboot()

    async def _stay(self) -> None:
        station = self.station
        await station.plug()
        await station.start(token=TOKEN)
        capacity = Decimal(self.chance.choice(CAPACITY_WH))
        battery = Battery(
            capacity_wh=capacity,
            stored_wh=capacity * self.chance.randint(5, 70) / 100,
            power_max_w=Decimal(self.chance.choice((11_000, 22_000))),
        )
        before_wh = battery.stored_wh
        await station.draw(1, battery)
        now = station.clock.now
        stay = Stay(charge_point=station.identity, began_at=now, ended_at=now)
        until = min(now + STAY_MIN + (STAY_MAX - STAY_MIN) * self.chance.random(), self.end)
        nothing_since = now
        while station.clock.now < until and station.evses[1].transaction is not None:
            stored_wh = battery.stored_wh
            await self._tick()
            stay.disturbed = stay.disturbed or self.troubled
            stay.is_full = battery.stored_wh >= battery.capacity_wh
            if battery.stored_wh > stored_wh or stay.is_full:
                nothing_since = station.clock.now
            stay.hungry = max(stay.hungry, station.clock.now - nothing_since)
        stay.ended_at, stay.energy_wh = station.clock.now, battery.stored_wh - before_wh
        self.stays.append(stay)
        await station.stop()
        await station.unplug()

    async def fail(self) -> None:
        """One trouble after the other, for ever: some of the network, some of the charge point, some of its answers."""
        for turn in itertools.count(self.number):
            await self._sleep(QUIET_MAX * self.chance.random())
            what = TROUBLES[turn % len(TROUBLES)]
            self.befell.add(what)
            self.troubled = True
            if what == "offline":
                await self.station.offline()
                await self._sleep(TROUBLE_MAX * self.chance.random())
                await self.station.online_again()
            elif what == "reboot":
                self.reboot_due = True  # it does one thing after the other itself
            else:
                self.link.mood = Mood(what)
                await self._sleep(TROUBLE_MAX * self.chance.random())
                self.link.mood = Mood.OBEYS
                await self._sleep(TROUBLE_MAX / 3)  # what failed is tried again in a while
            await self._sleep(TICK * 3)  # long enough that whoever stays there notices
            self.troubled = False

    async def _sleep(self, span: timedelta) -> None:
        speed = self.station.clock.speed
        assert speed is not None, "the day passes by itself"
        await asyncio.sleep(span.total_seconds() / speed)


def bay(
    url: str,
    identity: str,
    password: str,
    *,
    grid: GridConnection,
    n: int,
    speed: float,
    hours: float,
    too_late_s: float,
) -> Bay:
    """A charge point of the n-th kind: every second one speaks OCPP 2.0.1."""
    link = MoodyLink(too_late_s)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    build = Build(
        protocol="ocpp2.0.1" if n % 2 else "ocpp1.6",
        register_wh=Decimal(1_000_000),
        sample_every=timedelta(minutes=10),
        retry=RetryPolicy(attempts=10, interval_s=0.5),
        reconnect=EAGER,
        call_timeout_s=5.0,
        settle_timeout_s=0.5,
        wrap=link.wrap,
    )
    clock = ModelClock(start, speed=speed)
    station = SimulatedChargePoint(Credentials(url=url, identity=identity, password=password), clock, build)
    grid.connect(station)
    return Bay(n, station, link, random.Random(f"day {n}"), start + timedelta(hours=hours))
