"""The server's part of roll-outs: looks at those that are open, decides with the pure rules, asks charge points.

Any node may do it. For each decision one of them holds the roll-out's lock in Postgres, and enters whom it is going to
ask in the transaction of the decision, before it asks: what a node decided that died then is seen by the others, and
nobody is asked twice for the same attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from billing import NotDone
from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import ChargePoint
from csms.database.pool import is_unavailable
from csms.files import service as files
from csms.files.service import SQL as FILES
from csms.firmware import images
from csms.firmware import service as firmware
from csms.firmware.service import Attempt, Undelivered
from csms.gateway.calls import LOST
from csms.protocol.blocks.firmware import GetDiagnostics, GetLog, UpdateFirmware
from csms.protocol.vocabulary import Command, Outcome, Protocol
from csms.rollouts import store
from csms.rollouts.rollout import Change, Decision, Kind, Standing, decide
from csms.rollouts.store import KINDS, SQL, LogWish, View
from csms.settings import Settings

log = structlog.get_logger()

Send = Callable[[str, Command], Awaitable[Outcome]]
UNDELIVERED = frozenset({"offline", "timeout", "invalid"})


@dataclass(frozen=True, slots=True)
class _Ask:
    """Somebody to ask: it is in the books."""

    charge_point: str
    request: int
    attempts: Sequence[Attempt]
    until: float
    """By the loop's clock: later it is not sent any more, so that everybody knows when nobody is at it."""


class Runner:
    """`send` brings a command to a charge point, whichever node holds it; `base` is where charge points find files."""

    def __init__(self, pool: asyncpg.Pool[Any], settings: Settings, *, node: UUID, send: Send, base: str) -> None:
        self._node = node
        self._pool = pool
        self._settings = settings
        self._send = send
        self._base = base
        self._wake = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        """Look at what is open again and again until `stop`; then those that were asked may still answer."""
        async with asyncio.TaskGroup() as asking:
            while not self._stopping:
                for ask in await self.sweep():
                    asking.create_task(self._ask(ask))
                await self._pause()

    def stop(self) -> None:
        """Ask nobody else; `run` returns when those that were asked have answered."""
        self._stopping = True
        self._wake.set()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._settings.sweep_interval_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def sweep(self) -> list[_Ask]:
        """Decide about every roll-out that is not through; whom to ask now.

        What goes wrong with one leaves the others alone: who is to be asked by a decision that was kept, is asked.
        """
        asks: list[_Ask] = []
        for rollout in await self._open():
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    decided = []
                    if await SQL.lock_rollout.fetchval(connection, rollout=rollout):
                        decided = await self._advance(connection, rollout)
                asks += decided
            except Exception as error:
                if not is_unavailable(error):
                    log.exception("rollout_failed", rollout=rollout)
        return asks

    async def _open(self) -> list[int]:
        try:
            async with self._pool.acquire() as connection:
                await FILES.set_files_url.execute(connection, node=self._node, url=self._base)
                return [row["rollout"] for row in await SQL.open_rollouts.fetch(connection)]
        except Exception as error:
            if not is_unavailable(error):
                log.exception("rollout_failed")
            return []

    async def _advance(self, connection: Any, rollout: int) -> list[_Ask]:
        now = datetime.now(UTC)
        view = await store.load(connection, rollout, call_timeout_s=self._settings.call_timeout_s)
        decision = decide(view.rollout, view.members, now=now)
        asks = []
        for name in decision.asks:
            try:
                asks.append(await _Opening(connection, view, self._settings, self._base, now).open(name))
            except NotDone as impossible:
                decision = _given_up(decision, name, f"{impossible.message}; {impossible.next_step}", now=now)
        await store.keep(connection, view, decision, {ask.charge_point: ask.request for ask in asks}, now=now)
        for change in decision.changes:
            if change.charge_point is None:
                log.info("rollout", rollout=rollout, step=change.kind, reason=change.reason)
        return asks

    async def _ask(self, ask: _Ask) -> None:
        """Send, and enter the answer. What cannot be entered now shows as no answer, and is asked again."""
        first = ask.attempts[0].command(ask.request)

        async def send(command: Command) -> Outcome:
            if command == first and asyncio.get_running_loop().time() > ask.until:
                raise Undelivered("offline")
            try:
                outcome = await self._send(ask.charge_point, command)
            except ValueError as wrong:  # a command that cannot be written in this version of OCPP
                outcome = Outcome(accepted=False, status="invalid", detail=str(wrong))
            if outcome.detail == LOST.detail:  # it may well have come through
                raise Undelivered("timeout")
            if outcome.status in UNDELIVERED:
                raise Undelivered(outcome.status)
            return outcome

        try:
            await firmware.deliver(self._pool, ask.request, ask.attempts, send=send)
        except Undelivered as lost:
            log.info("rollout_not_delivered", charge_point=ask.charge_point, request=ask.request, why=lost.answer)
        except Exception as error:
            if not is_unavailable(error):
                log.exception("rollout_failed", charge_point=ask.charge_point)
        self._wake.set()


def _given_up(decision: Decision, charge_point: str, reason: str, *, now: datetime) -> Decision:
    """Instead of being asked it has failed: it has announced that it cannot do this."""

    def failed(member: Any) -> Any:
        if member.charge_point != charge_point:
            return member
        return replace(member, standing=Standing.FAILED, reason=reason, failures=member.failures + 1, changed_at=now)

    change = Change(charge_point=charge_point, kind="failed", reason=reason)
    return replace(
        decision, members=tuple(failed(each) for each in decision.members), changes=(*decision.changes, change)
    )


class _Opening:
    """Entering what is about to be asked of one charge point, with the address that it is given."""

    def __init__(self, connection: Any, view: View, settings: Settings, base: str, now: datetime) -> None:
        self._connection = connection
        self._view = view
        self._settings = settings
        self._base = base
        self._now = now

    async def open(self, name: str) -> _Ask:
        """Raises:
        NotDone: the charge point has announced that it does not do such things.
        """
        charge_point = await charge_points.get(self._connection, name)
        protocol = self._view.protocols[name]
        is_firmware = self._view.rollout.kind is Kind.FIRMWARE
        url, token = files.new_address(self._base, self._view.file_name if is_firmware else "")
        attempts = await (
            self._update(charge_point, protocol, url) if is_firmware else self._fetch_log(charge_point, protocol, url)
        )
        request = await firmware.open_request(
            self._connection, charge_point, KINDS[self._view.rollout.kind], attempts[0], actor=self._view.actor
        )
        lifetime = timedelta(seconds=self._view.rollout.plan.address_s)
        if is_firmware:
            assert self._view.file is not None, "a roll-out of firmware has an image"
            await files.let_fetch(
                self._connection, token, charge_point=name, file=self._view.file, request=request, lifetime=lifetime
            )
        else:
            await files.let_send(
                self._connection, token, charge_point=name, request=request,
                bytes_max=self._settings.files_upload_bytes_max, lifetime=lifetime,
            )  # fmt: skip
        until = asyncio.get_running_loop().time() + self._settings.call_timeout_s
        return _Ask(name, request, attempts, until)

    async def _update(self, charge_point: ChargePoint, protocol: Protocol, url: str) -> list[Attempt]:
        assert self._view.image is not None, "a roll-out of firmware has an image"
        certificate, signature = await images.signature_of(self._connection, self._view.image)
        message = "SignedUpdateFirmware" if protocol is Protocol.V16 and certificate else "UpdateFirmware"
        await firmware.require_announced(self._connection, charge_point, protocol, message, url)
        plan = self._view.rollout.plan

        def command(request: int) -> UpdateFirmware:
            return UpdateFirmware(
                request=request, url=url, retrieve_at=self._now, retries=plan.transfer_retries,
                retry_interval_s=plan.transfer_interval_s, certificate=certificate, signature=signature,
            )  # fmt: skip

        return [Attempt(message=message, command=command)]

    async def _fetch_log(self, charge_point: ChargePoint, protocol: Protocol, url: str) -> list[Attempt]:
        wish = self._view.log
        assert wish is not None, "a collection says of what"
        ways = await firmware.ways_to_log(self._connection, charge_point, protocol, wish.kind)
        await firmware.require_announced(self._connection, charge_point, protocol, "GetLog", url)
        return [Attempt(message=way, command=self._log_command(way, wish, url)) for way in ways]

    def _log_command(self, way: str, wish: LogWish, url: str) -> Callable[[int], Command]:
        plan = self._view.rollout.plan
        retries: dict[str, Any] = {"retries": plan.transfer_retries, "retry_interval_s": plan.transfer_interval_s}

        def get_log(request: int) -> Command:
            return GetLog(request=request, kind=wish.kind, url=url, since=wish.since, until=wish.until, **retries)

        def get_diagnostics(_request: int) -> Command:
            return GetDiagnostics(url=url, since=wish.since, until=wish.until, **retries)

        return get_log if way == "GetLog" else get_diagnostics
