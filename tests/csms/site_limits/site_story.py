"""A site as a story for tests: charge points that obey, refuse, fall silent or answer nothing, and what truly may flow there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from csms.site_limits.allocation import Key
from csms.site_limits.exposure import Place, Reach, Slot, Step, told
from csms.site_limits.grid import SiteLimit
from csms.site_limits.orders import Order, counted
from csms.site_limits.plan import Plan, Stay, make_plan

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
ALL = frozenset({1, 2, 3})
PACE = timedelta(seconds=10)


class Answer(StrEnum):
    """What becomes of a limit on its way. Unanswered ones may have been obeyed all the same."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    OBEYED_UNANSWERED = "obeyed, unanswered"
    LOST = "lost"


@dataclass(slots=True)
class Station:
    """The truth of one EVSE, beside what the server knows of it."""

    name: str
    lines: frozenset[int] = ALL
    amps_max: int = 32
    online: bool = True
    base_a: int | None = None
    tx_a: int | None = None
    session: int | None = None
    known_session: int | None = None
    steps: list[Step] = field(default_factory=list)
    """Those that count: what was accepted last, and all that were sent since."""
    history: list[Step] = field(default_factory=list)
    served: bool = False
    since: datetime = T0

    @property
    def flows_a(self) -> int:
        """What a vehicle there draws if it takes all that it may."""
        if self.session is None:
            return 0
        limit = self.tx_a if self.tx_a is not None else self.base_a
        return self.amps_max if limit is None else min(limit, self.amps_max)

    def place(self, now: datetime) -> Place:
        base = told(each for each in self.steps if each.slot is Slot.BASE)
        tx = told(each for each in self.steps if each.slot is Slot.TX and each.session == self.known_session)
        reach = Reach.LIVE if self.online else Reach.SILENT
        retries = [retry for each in (base, tx) if (retry := each.retry_at(PACE)) is not None]
        if self.online and any(retry > now for retry in retries):
            reach = Reach.REFUSING
        return Place(
            charge_point=self.name, evse=1, lines=self.lines, amps_max=self.amps_max, reach=reach,
            session=self.known_session, base=base, tx=tx, told_at=self.history[-1].sent_at if self.history else None,
        )  # fmt: skip


@dataclass(slots=True)
class Site:
    """Stations on a connection, and the clock."""

    limit: SiteLimit
    stations: list[Station]
    now: datetime = T0
    sent: int = 0
    peak_a: dict[int, int] = field(default_factory=dict)

    def plug(self, n: int) -> None:
        station = self.stations[n]
        if station.session is None:
            self.sent += 1
            station.session, station.tx_a = self.sent, None
            self._tell(station)

    def unplug(self, n: int) -> None:
        station = self.stations[n]
        station.session = station.tx_a = None
        self._tell(station)

    def offline(self, n: int) -> None:
        self.stations[n].online = False

    def online(self, n: int) -> None:
        self.stations[n].online = True
        self._tell(self.stations[n])

    def _tell(self, station: Station) -> None:
        """What a charge point that is connected tells at once, and another one when it comes back."""
        if station.online and station.known_session != station.session:
            station.known_session = station.session
            station.served, station.since = False, self.now

    def plan(self) -> Plan:
        places = [station.place(self.now) for station in self.stations]
        stays: dict[Key, Stay] = {}
        for station, place in zip(self.stations, places, strict=True):
            if station.known_session is None:
                continue
            served = place.allowed_a >= self.limit.min_a
            if served != station.served:
                station.served, station.since = served, self.now
            stays[place.key] = Stay(
                session=station.known_session, served=served, since=station.since, want_a=station.amps_max
            )
        return make_plan(places, stays, self.limit, budget_a=self.limit.amps, now=self.now, pace=PACE)

    def carry_out(self, order: Order, answer: Answer = Answer.ACCEPTED) -> None:
        """Book it, send it, obey it or not, book the answer; what flows is looked at between any two of these."""
        station = next(each for each in self.stations if each.name == order.charge_point)
        self.sent += 1
        step = Step(id=self.sent, slot=order.slot, amps=order.amps, sent_at=self.now, session=order.session)
        station.steps.append(step)
        self.look()
        if answer in {Answer.ACCEPTED, Answer.OBEYED_UNANSWERED} and station.online:
            if order.slot is Slot.BASE:
                station.base_a = order.amps
            elif order.session == station.session:
                station.tx_a = order.amps
            else:
                answer = Answer.REFUSED  # there is no such transaction
        self.look()
        accepted = answer is Answer.ACCEPTED and station.online
        answered = replace(step, answered_at=self.now, accepted=accepted, status=str(answer))
        station.steps = [
            each for each in station.steps if each is not step and not (accepted and _same_slot(each, step))
        ]
        station.steps.append(answered)
        station.history.append(answered)
        self.look()

    def run(self, *, ticks: int, tick: timedelta = timedelta(seconds=30)) -> None:
        """Let time pass with charge points that obey."""
        for _ in range(ticks):
            self.settle()
            self.now += tick

    def settle(self) -> None:
        """Plan and tell until there is nothing more to tell now."""
        for _ in range(200):
            orders = self.plan().orders
            if not orders:
                return
            for order in orders:
                self.carry_out(order)
        raise AssertionError("the plan never comes to rest")

    def look(self) -> None:
        """What flows must be counted, and what counts must fit."""
        places = [station.place(self.now) for station in self.stations]
        may_flow = counted(places)
        for line in self.limit.lines:
            flows = sum(station.flows_a for station in self.stations if line in station.lines)
            assert flows <= may_flow.get(line, 0), f"{flows} A flow on L{line}, {may_flow.get(line, 0)} A are counted"
            self.peak_a[line] = max(self.peak_a.get(line, 0), may_flow.get(line, 0))


def _same_slot(one: Step, other: Step) -> bool:
    return (one.slot, one.session) == (other.slot, other.session)


def controlled(count: int, limit: SiteLimit, *, lines: frozenset[int] = ALL, amps_max: int = 32) -> Site:
    """So many EVSEs that have accepted their default, without vehicles."""
    site = Site(limit, [Station(f"CP-{n:02}", lines=lines, amps_max=amps_max) for n in range(count)])
    site.settle()
    site.peak_a.clear()
    return site
