"""Plays a scenario with one simulated charge point and says what really happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from simulators.charge_point.battery import Battery
from simulators.charge_point.evse import Transaction
from simulators.charge_point.link import Credentials, LinkCounts, ReconnectPolicy
from simulators.charge_point.outbox import LinkDown
from simulators.charge_point.station import Build, SimulatedChargePoint
from simulators.charge_point.truth import Truth
from simulators.clock import ModelClock
from simulators.scenarios.story import Scenario, Step, load

WH_PER_KWH = 1000
QUICK = Build(reconnect=ReconnectPolicy(wait_s=0.2, range_s=0.2, doublings=3), boot_wait_max_s=30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioResult:
    """What happened. ``ok``: everything expected held and no message is left or was thrown away unplanned."""

    scenario: str
    title: str
    protocol: str
    charge_point: str
    started_at: datetime
    ended_at: datetime
    truth: Truth
    unmet: tuple[str, ...]
    queued: int
    failures: tuple[str, ...]
    link: LinkCounts

    @property
    def ok(self) -> bool:
        """Whether the scenario went as written."""
        return not self.unmet and self.queued == 0


async def run_scenario(
    source: str | Path | Mapping[str, Any] | Scenario,
    url: str,
    identity: str,
    password: str,
    *,
    protocol: str | None = None,
    time_base: datetime | None = None,
    token: str | None = None,
    speed: float | None = None,
    build: Build | None = None,
    on_step: Callable[[Step, SimulatedChargePoint], None] | None = None,
    drain_s: float = 60.0,
) -> ScenarioResult:
    """Play a scenario against the central system at ``url`` (without the identity).

    ``time_base`` replaces the file's start (neither: the scenario ends now), ``protocol`` and ``token`` the file's;
    ``speed`` is model seconds per real second, None does not wait. ``build`` gives waits and policies.

    Raises:
        HandshakeRefusedError: the central system refuses the credentials, and the scenario does not bear that.
    """
    scenario = source if isinstance(source, Scenario) else load(source)
    start = time_base or scenario.start or datetime.now(UTC).replace(microsecond=0) - scenario.length
    made = build or QUICK
    built = replace(
        made,
        protocol=protocol or scenario.protocol,
        evses=scenario.evses,
        register_wh=scenario.register_wh,
        sample_every=scenario.sample_every,
        stop_on_invalid=scenario.stop_on_invalid,
        seq_start=scenario.seq_start,
        reconnect=replace(made.reconnect, retry_refused=scenario.retry_refused or made.reconnect.retry_refused),
    )
    credentials = Credentials(url=url, identity=identity, password=password)
    station = SimulatedChargePoint(credentials, ModelClock(start, speed=speed), built)
    play = Play(station, token or scenario.token)

    async def steps() -> None:
        for step in scenario.steps:
            await play.perform(step)
            if on_step is not None:
                on_step(step, station)
        if station.link.wanted:
            await station.outbox.emptied(drain_s)

    async with station:
        await station.link.unless_refused(steps())
    return _result(scenario, station, play, start)


def _result(scenario: Scenario, station: SimulatedChargePoint, play: Play, start: datetime) -> ScenarioResult:
    return ScenarioResult(
        scenario=scenario.name,
        title=scenario.title,
        protocol=station.build.protocol,
        charge_point=station.identity,
        started_at=start,
        ended_at=station.clock.now,
        truth=station.truth,
        unmet=tuple(play.unmet),
        queued=len(station.outbox),
        failures=tuple(station.outbox.failures),
        link=station.link.counts,
    )


class Play:
    """Performs steps on a charge point; what an ``expect`` did not find is written down, not raised."""

    def __init__(self, station: SimulatedChargePoint, token: str) -> None:
        self._station = station
        self._token = token
        self.unmet: list[str] = []
        self._performers: dict[str, Callable[[Step], Awaitable[None]]] = {
            "boot": lambda _: station.boot(),
            "plug": lambda step: station.plug(evse(step)),
            "unplug": lambda step: station.unplug(evse(step)),
            "authorize": self._authorize,
            "start": self._start,
            "charge": self._charge,
            "charge_battery": self._charge_battery,
            "wait": lambda step: station.advance(step.given["for"]),
            "suspend_ev": self._suspend,
            "suspend_evse": self._suspend,
            "sample": lambda step: station.sample(evse(step)),
            "stop": lambda step: station.stop(evse(step), reason=step.given.get("reason", "Local")),
            "lose_stop": lambda step: station.stop(evse(step), reason=step.given.get("reason", "Local"), lose=True),
            "offline": lambda _: station.offline(),
            "online": lambda step: station.online_again(announce=step.given.get("announce", True)),
            "cut": self._cut,
            "reboot": lambda step: station.reboot(stop_reason=step.given.get("reason", "Reboot")),
            "repeat_start": self._repeat,
            "repeat_stop": self._repeat,
            "register_jump": self._register_jump,
            "register_set": self._register_set,
            "clock_off": self._clock,
            "clock_right": self._clock,
            "heartbeat": self._heartbeat,
            "fail_transfer": self._fail_transfer,
            "send": self._send,
            "expect": self._expect,
        }

    async def perform(self, step: Step) -> None:
        """One step."""
        await self._performers[step.do](step)

    async def _authorize(self, step: Step) -> None:
        await self._station.authorize(step.given.get("token", self._token))

    async def _start(self, step: Step) -> None:
        token, lose = step.given.get("token", self._token), step.given.get("lose", False)
        if await self._station.start(evse(step), token=token, lose=lose) is None:
            self.unmet.append(f"step {step.number}: EVSE {evse(step)} cannot start (busy or inoperative)")

    async def _charge(self, step: Step) -> None:
        energy_wh = step.given["kwh"] * WH_PER_KWH
        await self._station.charge(evse(step), energy_wh=energy_wh, duration=step.given["for"])

    async def _charge_battery(self, step: Step) -> None:
        capacity = step.given.get("capacity_kwh", Decimal(60)) * WH_PER_KWH
        battery = Battery(
            capacity_wh=capacity,
            stored_wh=capacity * step.given.get("soc", 20) / 100,
            power_max_w=step.given.get("power_kw", Decimal(11)) * WH_PER_KWH,
        )
        await self._station.draw(evse(step), battery)
        await self._station.advance(step.given["for"])

    async def _suspend(self, step: Step) -> None:
        await self._station.suspend(evse(step), by_ev=step.do == "suspend_ev")
        await self._station.advance(step.given["for"])

    async def _cut(self, _step: Step) -> None:
        self._station.link.cut()

    def _transaction(self, step: Step) -> Transaction | None:
        transaction = self._station.evses[evse(step)].last_transaction
        if transaction is None:
            self.unmet.append(f"step {step.number}: nothing to repeat on EVSE {evse(step)}")
        return transaction

    async def _repeat(self, step: Step) -> None:
        transaction = self._transaction(step)
        if transaction is None:
            return
        message = transaction.start_message if step.do == "repeat_start" else transaction.stop_message
        for _ in range(step.given.get("times", 1)):
            await self._station.repeat(message)

    async def _register_jump(self, step: Step) -> None:
        self._station.evses[evse(step)].meter.jump(step.given["wh"])
        self._station.truth.note(self._station.clock.now, "register_jump", str(step.given["wh"]))

    async def _register_set(self, step: Step) -> None:
        self._station.evses[evse(step)].meter.show(step.given["wh"])
        self._station.truth.note(self._station.clock.now, "register_set", str(step.given["wh"]))

    async def _clock(self, step: Step) -> None:
        self._station.clock.set_wrong(by=step.given.get("by", timedelta()), to=step.given.get("to"))
        self._station.truth.note(self._station.clock.now, step.do, str(self._station.clock.error))

    async def _heartbeat(self, _step: Step) -> None:
        await self._station.ask(self._station.dialect.heartbeat_request())

    async def _fail_transfer(self, step: Step) -> None:
        """The next transfer of firmware or a log ends in this status, or is answered with it."""
        self._station.transfers.faults.append(step.given["status"])

    async def _send(self, step: Step) -> None:
        try:
            await self._station.link.send_raw(step.given["frame"])
        except LinkDown:
            self.unmet.append(f"step {step.number}: nothing to send on, the charge point is offline")

    async def _expect(self, step: Step) -> None:
        station = self._station
        shown = station.truth.displayed[-1].total if station.truth.displayed else None
        seen: dict[str, Any] = {
            "token_status": station.token_status,
            "connected": station.link.connected.is_set(),
            "queued": len(station.outbox),
            "discarded": len(station.truth.discarded),
        }
        for key, wanted in step.given.items():
            if key == "displayed":
                met = (shown is not None) is wanted if isinstance(wanted, bool) else shown == Decimal(str(wanted))
                found: Any = shown
            else:
                found = seen[key]
                met = found == wanted
            if not met:
                self.unmet.append(f"step {step.number}: expected {key} = {wanted}, saw {found}")


def evse(step: Step) -> int:
    """The EVSE of a step; the first unless said."""
    return int(step.given.get("evse", 1))
