"""A simulated charge point: EVSEs, cable, vehicle, meter, queue and truth. Knows OCPP only through its dialect."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ocpp.exceptions import OCPPError

from simulators.charge_point.battery import Battery, Load, SteadyLoad
from simulators.charge_point.certificates import Certificates
from simulators.charge_point.evse import Evse, Meter, Phase, Transaction
from simulators.charge_point.firmware import Transfers
from simulators.charge_point.link import Connection, Credentials, Link, ReconnectPolicy
from simulators.charge_point.monitoring import Monitors, next_looks, watch
from simulators.charge_point.outbox import LinkDown, Message, Outbox, RetryPolicy
from simulators.charge_point.profiles import ProfileStore
from simulators.charge_point.reservations import Reservations, allows, lapse, next_lapses, remove
from simulators.charge_point.reservations import show as show_reservation
from simulators.charge_point.secrets import Secrets
from simulators.charge_point.signing import Signing, SigningMeter
from simulators.charge_point.smart_charging import next_changes, obey
from simulators.charge_point.truth import Displayed, PriceRead, TrueSession, Truth
from simulators.charge_point.v16 import Dialect16
from simulators.charge_point.v21 import Dialect21
from simulators.charge_point.v201 import Dialect201
from simulators.clock import ModelClock

BOOT_TRIES_MAX = 20


class BootRefusedError(Exception):
    """The central system did not accept the charge point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How a simulated charge point is made. Waits are real seconds; ``retry`` None asks its own configuration."""

    protocol: str = "ocpp1.6"
    evses: int = 1
    register_wh: Decimal = Decimal(0)
    vendor: str = "Fictitious Chargers"
    model: str = "Simulated"
    retry: RetryPolicy | None = None
    reconnect: ReconnectPolicy = field(default_factory=ReconnectPolicy)
    call_timeout_s: float = 30.0
    settle_timeout_s: float = 60.0
    boot_wait_max_s: float = 60.0
    sample_every: timedelta | None = None  # None: what the configuration says
    seed: int = 1
    remote_plugs: bool = True  # a remote start finds (or makes) a plugged cable
    stop_on_invalid: bool = True
    seq_start: int = 0  # 2.0.1: some stations count on per EVSE
    wrap: Callable[[Connection], Connection] | None = None
    trust: Path | None = None  # who signs the certificates of file servers, PEM; None: whom the machine trusts
    signs: Signing | None = None  # its meters sign what they show
    upload: str = "put"  # how logs are sent: put, post, form
    log_bytes: int = 20_000
    unknown: frozenset[str] = frozenset()  # actions of firmware, logs, reservations that it answers with NotImplemented


class SimulatedChargePoint:
    """Use as ``async with``; inside, call what a driver, an installer or a fault would do."""

    def __init__(self, credentials: Credentials, clock: ModelClock, build: Build | None = None) -> None:
        self.build = build or Build()
        self.credentials = credentials
        self.identity = credentials.identity
        self.clock = clock
        self.truth = Truth()
        self.transfers = Transfers(self)
        self.secrets = Secrets(self)
        self.chance = random.Random(f"{self.build.seed}:{self.identity}")
        meters = [Meter(self.build.register_wh) for _ in range(self.build.evses)]
        self.evses = {number: Evse(number, meter) for number, meter in enumerate(meters, start=1)}
        if self.build.signs is not None:
            for number, evse in self.evses.items():
                evse.signer = SigningMeter(f"{self.identity}-{number}", self.build.signs)
        dialects: dict[str, type[Dialect16 | Dialect201]] = {
            "ocpp1.6": Dialect16, "ocpp2.0.1": Dialect201, "ocpp2.1": Dialect21,
        }  # fmt: skip
        if self.build.protocol not in dialects:
            raise ValueError(f"protocol {self.build.protocol!r} is none of {', '.join(dialects)}")
        self.dialect: Dialect16 | Dialect201 = dialects[self.build.protocol](self)
        self.profiles = ProfileStore()
        self.reservations = Reservations()
        self.monitors = Monitors()
        self.certificates = Certificates(self)
        self.registered = False
        self.token_status = ""
        self.follow_ups: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.ammeters: list[Callable[[], None]] = []  # told whenever something else may flow
        self._ready = asyncio.Event()
        self.link = Link(
            credentials,
            subprotocol=self.dialect.subprotocol,
            make_peer=self.dialect.peer,
            on_up=self._came_up,
            on_down=self._ready.clear,
            reconnect=self.build.reconnect,
            chance=self.chance,
            wrap=self.build.wrap,
        )
        self.outbox = Outbox(send=self.link.call, ready=self._ready, retry=self._retry, truth=self.truth)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.spawn(self.link.run())
        self.spawn(self.outbox.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.link.go_down()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        broken = [failure for failure in ended if isinstance(failure, Exception)]
        if broken and error is None:
            raise broken[0]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """A task that ends with the charge point. Tasks that ended well are forgotten."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._tasks.discard(task)

    def run_follow_ups(self) -> None:
        """Start what a handler promised, now that its answer is on the wire."""
        waiting, self.follow_ups = self.follow_ups, []
        for make in waiting:
            self.spawn(make())

    def _retry(self) -> RetryPolicy:
        return self.build.retry or self.dialect.retry_policy()

    def _came_up(self) -> None:
        if self.registered:
            self._ready.set()

    @property
    def online(self) -> bool:
        """Connected and accepted: transaction messages flow."""
        return self._ready.is_set()

    # --- asking without a queue

    async def ask(self, payload: Any) -> Any | None:
        """A message that is not queued: None when offline, refused or not answered in time."""
        try:
            return await self.link.call(payload)
        except (LinkDown, TimeoutError):
            return None
        except OCPPError as refused:
            self.truth.note(self.clock.now, "refused", f"{type(payload).__name__}: {refused.code}")
            return None

    # --- the network

    async def boot(self, *, reason: str = "PowerUp") -> None:
        """Connect and send BootNotification until Accepted (OCPP 1.6 4.2, 2.0.1 B01-B03)."""
        self.link.go_up()
        await self.link.until_connected(self.build.boot_wait_max_s)
        for _ in range(BOOT_TRIES_MAX):
            answer = await self.ask(self.dialect.boot_request(reason))
            status = getattr(answer, "status", "unanswered")
            self.truth.note(self.clock.now, "boot", str(status))
            if status == "Accepted":
                break
            await asyncio.sleep(min(float(getattr(answer, "interval", 1) or 1), self.build.reconnect.wait_s))
            await self.link.until_connected(self.build.boot_wait_max_s)
        else:
            raise BootRefusedError(
                f"{self.identity} was not accepted in {BOOT_TRIES_MAX} tries; see cp show {self.identity}"
            )
        self.registered = True
        if self.link.connected.is_set():
            self._ready.set()
        await self.tell_status()
        await self.settle()

    async def offline(self) -> None:
        """The network goes away; messages queue."""
        self.truth.note(self.clock.now, "offline")
        await self.link.go_down()

    async def online_again(self, *, announce: bool = True) -> None:
        """The network comes back: a mere reconnect sends no BootNotification, the queue flows."""
        self.link.go_up()
        await self.link.until_connected(self.build.boot_wait_max_s)
        self.truth.note(self.clock.now, "online")
        if announce:
            await self.tell_status()
        await self.settle()

    async def reboot(self, *, reason: str = "PowerUp", stop_reason: str = "Reboot", announce: bool = True) -> None:
        """Lose the connection, come back, boot; what was charging ends (its stop stays in the queue)."""
        self.truth.note(self.clock.now, "reboot", reason)
        for evse in self.evses.values():
            if evse.transaction is not None:
                await self._end(evse, stop_reason, lose=False)
        await self.link.go_down()
        self.registered = False
        self.dialect.settings.reboot()
        self.secrets.restarted()
        if announce:
            await self.boot(reason=reason)

    async def settle(self) -> bool:
        """Wait until everything that can be told now has been answered."""
        return await self.outbox.settle(self.build.settle_timeout_s)

    async def tell_status(self) -> None:
        """StatusNotification of every EVSE."""
        for evse in self.evses.values():
            await self.ask(self.dialect.status_request(evse))

    async def enter(self, evse: Evse, phase: Phase) -> None:
        """An EVSE stands elsewhere, and says so."""
        if evse.phase is phase:
            return
        evse.phase = phase
        self.flow_changed()
        await self.ask(self.dialect.status_request(evse))

    # --- the driver

    async def plug(self, number: int = 1) -> None:
        """The cable goes in."""
        evse = self.evses[number]
        evse.plugged = True
        self.truth.note(self.clock.now, "plug", str(number))
        if evse.transaction is None and evse.phase is not Phase.RESERVED:
            await self.enter(evse, Phase.PREPARING)

    async def unplug(self, number: int = 1) -> None:
        """The cable comes out; a transaction that still runs ends."""
        evse = self.evses[number]
        if evse.transaction is not None:
            await self.stop(number, reason="EVDisconnected")
        evse.plugged = False
        self.truth.note(self.clock.now, "unplug", str(number))
        self.dialect.left(evse)
        await self.enter(evse, self.reservations.idle_phase(evse))

    async def authorize(self, token: str) -> str:
        """Present a token; the answer's status, offline what the local list or the cache says, or ``unanswered``."""
        known = self.dialect.known_tokens
        status = known.before_asking(token, at=self.clock.shown)
        if status is None:
            answer = await self.ask(self.dialect.authorize_request(token))
            if answer is not None:
                status = self.dialect.token_status(answer)
                self.dialect.presented(token, answer)
                known.learn(token, status)
                self.reservations.learn(token, answer)
            elif not self.online:
                status = known.while_offline(token, at=self.clock.shown)
        self.token_status = status or "unanswered"
        self.truth.note(self.clock.now, "authorize", f"{token} {self.token_status}")
        return self.token_status

    async def start(
        self, number: int = 1, *, token: str, remote_start_id: int | None = None, lose: bool = False
    ) -> Transaction | None:
        """A transaction begins; None where the EVSE has one already, is out of order or kept for others."""
        evse = self.evses[number]
        allowed = await allows(self, number, token)
        if evse.transaction is not None or not evse.operative or not allowed:
            return None
        used = self.reservations.use(number, token)
        truth = TrueSession(
            charge_point=self.identity,
            evse=number,
            token=token,
            started_at=self.clock.now,
            register_start_wh=evse.meter.register_wh,
        )
        self.truth.sessions.append(truth)
        self.truth.note(self.clock.now, "start", f"{number} {token}")
        transaction = Transaction(
            evse=evse,
            token=token,
            started_at=self.clock.shown,
            truth=truth,
            remote_start_id=remote_start_id,
            reservation_id=None if used is None else used.id,
            seq_no=self.build.seq_start,
        )
        evse.transaction = evse.last_transaction = transaction
        if used is not None:
            await show_reservation(self, used.evse)
        self.dialect.started(transaction, lose=lose)
        await self.settle()
        self._plan_sample(evse)
        return transaction

    async def charge(self, number: int = 1, *, energy_wh: Decimal, duration: timedelta) -> None:
        """A steady load for so long, on one EVSE; the others go on with what they do."""
        seconds = Decimal(duration // timedelta(microseconds=1)) / 1_000_000
        if seconds <= 0:
            raise ValueError(f"charge needs a duration above 0, not {duration}")
        await self.draw(number, SteadyLoad(energy_wh, seconds))
        await self.advance(duration)
        self.evses[number].load = None

    async def draw(self, number: int, load: Load | None = None) -> None:
        """A vehicle begins to take energy; it flows while time is advanced."""
        evse = self.evses[number]
        if evse.transaction is None:
            self.truth.note(self.clock.now, "no transaction", f"{number}: nothing flows")
            return
        evse.load = load or Battery()
        obey(self)
        await self._go(evse, Phase.CHARGING)

    def flow_changed(self) -> None:
        """Let whoever measures look."""
        for look in self.ammeters:
            look()

    async def suspend(self, number: int = 1, *, by_ev: bool = True) -> None:
        """Energy stops flowing, the transaction goes on."""
        await self._go(self.evses[number], Phase.SUSPENDED_EV if by_ev else Phase.SUSPENDED_EVSE)

    async def _go(self, evse: Evse, phase: Phase) -> None:
        if evse.transaction is None or evse.phase is phase:
            return
        self.truth.note(self.clock.now, phase.value, str(evse.number))
        await self.enter(evse, phase)
        self.dialect.phase_changed(evse.transaction, phase)
        await self.settle()

    async def stop(self, number: int = 1, *, reason: str = "Local", lose: bool = False) -> None:
        """The transaction ends; ``lose`` swallows the message that would tell it."""
        evse = self.evses[number]
        if evse.transaction is None:
            return
        await self._end(evse, reason, lose=lose)
        await self.enter(evse, Phase.FINISHING if evse.plugged else Phase.AVAILABLE)

    async def _end(self, evse: Evse, reason: str, *, lose: bool) -> None:
        transaction = evse.transaction
        if transaction is None:
            return
        truth = transaction.truth
        truth.ended_at, truth.register_end_wh = self.clock.now, evse.meter.register_wh
        truth.stop_reason = reason
        self.truth.note(self.clock.now, "stop", f"{evse.number} {reason}")
        evse.transaction, evse.load, evse.next_sample_at = None, None, None
        self.dialect.ended(transaction, lose=lose)
        self.profiles.ended(transaction.transaction_id)
        await self.settle()

    async def repeat(self, message: Message | None) -> None:
        """A fault: tell the same once more, with a new message id."""
        if message is None:
            return
        copy = Message(
            action=message.action,
            build=message.build,
            answered=message.answered,
            about=message.about,
            made_at=message.made_at,
        )
        self.outbox.put(copy)
        await self.settle()

    # --- time

    async def advance(self, by: timedelta) -> None:
        """Let time pass: energy flows, samples are taken when due."""
        end = self.clock.now + by
        while self.clock.now < end:
            due = [evse.next_sample_at for evse in self.evses.values() if evse.next_sample_at is not None]
            due += [*next_changes(self, end), *next_lapses(self), *next_looks(self)]
            obey(self)
            until = min([end, *(moment for moment in due if moment > self.clock.now)])
            step = until - self.clock.now
            await self.clock.advance(step)
            for evse in self.evses.values():
                evse.draw(Decimal(step // timedelta(microseconds=1)) / 1_000_000)
            obey(self)
            await lapse(self)
            await watch(self)
            await self._take_samples()
        await self._obey_deauthorization()

    async def _take_samples(self) -> None:
        for evse in self.evses.values():
            if evse.transaction is None or evse.next_sample_at is None or evse.next_sample_at > self.clock.now:
                continue
            await self.sample(evse.number)
            self._plan_sample(evse)

    def _plan_sample(self, evse: Evse) -> None:
        every = self.build.sample_every
        if every is None:
            every = timedelta(seconds=self.dialect.sample_interval_s())
        evse.next_sample_at = self.clock.now + every if every > timedelta() and evse.transaction else None

    async def sample(self, number: int = 1) -> None:
        """Take and tell one periodic sample now."""
        transaction = self.evses[number].transaction
        if transaction is None:
            return
        transaction.truth.readings += 1
        self.dialect.sampled(transaction)
        await self.settle()

    async def live(self, *, tick: timedelta) -> None:
        """Run by itself for ever, one tick of model time after the other (needs a clock with a speed)."""
        if self.clock.speed is None:
            raise ValueError("a charge point that lives by itself needs a clock with a speed, else it spins")
        while True:
            await self.advance(tick)

    async def _obey_deauthorization(self) -> None:
        for evse in self.evses.values():
            if evse.transaction is not None and evse.transaction.deauthorized and self.build.stop_on_invalid:
                await self.stop(evse.number, reason="DeAuthorized")

    # --- what the central system asks for

    async def remote_start(self, number: int, token: str, remote_start_id: int | None) -> None:
        """Follow-up of an accepted remote start: plug if needed, start, draw."""
        evse = self.evses[number]
        if not evse.plugged:
            await self.plug(number)
        if await self.start(number, token=token, remote_start_id=remote_start_id) is not None:
            await self.draw(number, evse.load)

    def free_evse(self, wanted: int | None, *, token: str) -> int | None:
        """The EVSE that a remote start for this token may use, or None."""
        for number, evse in self.evses.items():
            if wanted not in {None, 0, number} or self.reservations.bars(number, token):
                continue
            if evse.transaction is None and evse.operative and (evse.plugged or self.build.remote_plugs):
                return number
        return None

    def find_transaction(self, transaction_id: int | str) -> Transaction | None:
        """The running transaction with this id."""
        for evse in self.evses.values():
            if evse.transaction is not None and evse.transaction.transaction_id == transaction_id:
                return evse.transaction
        return None

    async def set_operative(self, number: int, *, operative: bool) -> None:
        """Follow-up of an accepted change of availability."""
        evse = self.evses[number]
        evse.operative = operative
        if not operative:
            await remove(self, number)
        if evse.transaction is None:
            idle = Phase.PREPARING if evse.plugged else Phase.AVAILABLE
            await self.enter(evse, idle if operative else Phase.UNAVAILABLE)

    def read_price(self, token: str, text: str, by: str, texts: Sequence[tuple[str, str]] = ()) -> None:
        """The driver reads what the token pays."""
        read = PriceRead(at=self.clock.now, token=token, text=text, by=by, texts=tuple(texts))
        self.truth.prices_read.append(read)

    def display(self, transaction_id: int | str | None, total: Decimal, by: str) -> None:
        """The driver sees a cost."""
        self.truth.displayed.append(Displayed(at=self.clock.now, transaction_id=transaction_id, total=total, by=by))
        for session in reversed(self.truth.sessions):
            if session.transaction_id == transaction_id:
                session.displayed = total
                break
