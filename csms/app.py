"""The composition root: builds every part once, runs them in one TaskGroup, drains on stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from typing import Any

import asyncpg
import structlog

from billing import (
    ArchivedAttachments,
    BillingService,
    BillingSettings,
    BillKind,
    CommittedBill,
    MailService,
    Office,
    OfficeSettings,
)
from csms import logs
from csms.api.health import HttpServer, build
from csms.certificates.worker import Certificates
from csms.charge_points.service import load_password_key, require_password_key
from csms.charge_points.set_up import apply_template
from csms.cost_display.default_prices import DefaultPrices
from csms.cost_display.display import Display
from csms.cost_display.final_costs import FinalCosts
from csms.cost_display.offers import Offers
from csms.cost_display.user_prices import UserPrices
from csms.cost_stops.service import CostStops
from csms.credentials.delivery import give_password
from csms.customer_information.service import forget_regularly
from csms.database.group_commit import GroupCommit
from csms.database.health import DatabaseHealth
from csms.database.migrate import migrate
from csms.database.partitions import (
    drop_frame_partitions,
    drop_reading_partitions,
    ensure_frame_partitions,
    ensure_reading_partitions,
)
from csms.database.pool import connect_once, is_unavailable, open_pool
from csms.files.places import POOL_SIZE as FILES_POOL_SIZE
from csms.files.server import FileServer
from csms.gateway.application import SocketInfo
from csms.gateway.gateway import Gateway
from csms.gateway.habits import habits_of
from csms.intake.arrival import Arrival, owner, rank
from csms.intake.frames import FrameLog
from csms.intake.ingest import AnswerChoices, Ingest
from csms.intake.statements import SQL as INTAKE
from csms.mail import mail_settings
from csms.nodes.disconnect import Disconnect
from csms.nodes.routing import ask
from csms.nodes.service import Node
from csms.protocol.blocks.credentials import ChangePassword
from csms.protocol.quirks import Accommodation
from csms.protocol.quirks.catalogue import catalogue
from csms.protocol.validation import read_schemas
from csms.protocol.vocabulary import Command, Decision, Outcome, Protocol
from csms.quirks.log import QuirkLog
from csms.quirks.service import SQL as QUIRKS
from csms.quirks.service import tell_changes
from csms.reception import Reception
from csms.rollouts.runner import Runner
from csms.security.service import SecurityLog
from csms.sessions.inquiry import Inquiry
from csms.sessions.service import Sessions
from csms.settings import Settings
from csms.site_limits.planner import SiteLimits

log = structlog.get_logger()

TO_OTHERS_MAX = 8
"""Commands on their way to other nodes at once: each has a connection of its own to hear the outcome."""
HOUSEKEEPING_S = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that accepts sockets. `stop` drains it; `run_server` returns then."""

    ocpp_url: str
    http_url: str
    version: str
    files_url: str | None = None
    stop: Callable[[], None]


class Server:
    """One node: everything between the sockets and Postgres."""

    def __init__(
        self, settings: Settings, dsn: str, pool: asyncpg.Pool[Any], files_pool: asyncpg.Pool[Any] | None
    ) -> None:
        """`files_pool`: where files are served, so that facts never wait behind files."""
        self._settings = settings
        self._dsn = dsn
        self._pool = pool
        self._stop = asyncio.Event()
        self._to_others = asyncio.Semaphore(TO_OTHERS_MAX)
        self.health = DatabaseHealth(dsn, patience_s=settings.database_patience_s)
        self.node = Node(pool, dsn, lease_s=settings.node_lease_s)
        self.sessions = Sessions(pool, settings, projected=self._projected, my_turn=self._sweeps_for_all)
        pace = BillingSettings(sweep_interval_s=settings.sweep_interval_s)
        self.billing = BillingService(pool, self.sessions, pace, on_bill=self._billed, on_stop_due=self._stop_due)
        mail = mail_settings(settings)
        attachments = ArchivedAttachments(settings.archive_directory)
        self.mail = None if mail is None else MailService(pool, mail, fetch=attachments)
        self.office = self._open_office()
        self.offers = Offers(pool) if settings.tell_prices else None
        self.user_prices = None if self.offers is None else UserPrices(pool, self.offers, self._send)
        self.default_prices = None if self.offers is None else DefaultPrices(pool, self.offers, self._send, self._held)
        self.ingest = Ingest(
            pool,
            committed=self.sessions.wake,
            choices=AnswerChoices(
                cost_in_updated_reply=settings.cost_in_updated_reply,
                sessions_per_token_max=settings.sessions_per_token_max,
                price=None if self.offers is None else self.offers.message,
            ),
        )
        self.writer: GroupCommit[Arrival, Decision] = GroupCommit(
            self.ingest.flush, patience_s=settings.database_patience_s, observer=self.health, rank=rank, owner=owner
        )
        self.frames = FrameLog(pool)
        self.security = SecurityLog(pool)
        self.certificates = Certificates(pool, settings, send=self._send, reload=self._reload_certificates)
        self.quirks = QuirkLog(pool)
        self.final_costs = FinalCosts(pool, self._bill_now, budget_s=settings.cost_commit_budget_s)
        self.reception = Reception(
            settings, pool, self.node, self.writer, self.frames, security=self.security, certificates=self.certificates, quirks=self.quirks, accepted=self._set_up,
            final_cost=self.final_costs.of, offers=self.offers, user_prices=self.user_prices,
        )  # fmt: skip
        self._password_key = load_password_key(settings.data_dir, settings.password_key)
        self.gateway = Gateway(settings, self.reception, self._password_key, self.health)
        self.display = Display(pool, self._send, node=self.node.id, sweep_interval_s=settings.sweep_interval_s)
        self.site_limits = SiteLimits(pool, settings, send=self._send)
        self.reception.attach(changed=self.site_limits.wake)
        self.inquiry = Inquiry(pool, settings, held=self._held, ask=self.gateway.command)
        self.cost_stops = CostStops(pool, settings, held=self._held, ask=self.gateway.command)
        self.files = None if files_pool is None else FileServer(settings, files_pool)
        self.http = HttpServer(build(ready=self._ready), host=settings.http_host, port=settings.http_port)
        self.node.attach(
            deliver=self._deliver, held=self._held, superseded=self._give_way, prices_changed=self._prices_changed
        )

    def stop(self) -> None:
        """Begin to drain."""
        self._stop.set()

    async def run(self, *, started: Callable[[Running], None]) -> None:
        """Serve until `stop`. What begins first ends last: sockets close before the writer, the writer before the pool."""
        async with self._pool.acquire() as connection:
            logs.name_tokens_by(self._password_key)
            await require_password_key(connection, self._password_key)
        await self.sessions.prepare()
        await self._keep_house()
        async with asyncio.TaskGroup() as inner:
            background = [
                inner.create_task(each)
                for each in (
                    self.health.run(), self.frames.run(), self.security.run(), self.certificates.run(), self.quirks.run(), self.sessions.run(),
                    self.billing.run(), tell_changes(self._pool, self.gateway.update, concerns=self.gateway.holds),
                    self.reception.run(), self.final_costs.run(), self.display.run(), self.inquiry.run(),
                    self._keep_house_regularly(), forget_regularly(self._pool),
                    self.site_limits.run(), *self._price_tellers(), self.cost_stops.run(), *self._senders(),
                )
            ]  # fmt: skip
            writer = inner.create_task(self.writer.run())
            try:
                await self._serve(started)
            finally:
                await self.writer.close()
                await asyncio.wait({writer}, timeout=self._settings.database_patience_s)
                for task in (writer, *background):
                    task.cancel()

    def _price_tellers(self) -> Iterator[Coroutine[Any, Any, None]]:
        for teller in (self.user_prices, self.default_prices):
            if teller is not None:
                yield teller.run()

    def _senders(self) -> Iterator[Coroutine[Any, Any, None]]:
        yield self.office.run()
        if self.mail is not None:
            yield self.mail.run()

    async def _serve(self, started: Callable[[Running], None]) -> None:
        async with asyncio.TaskGroup() as outer:
            gateway = outer.create_task(self.gateway.run())
            http = outer.create_task(self.http.serve())
            files_url = await self._serve_files(outer)
            port = await self.gateway.started()
            await self.http.listening()
            host = "127.0.0.1" if self._settings.ocpp_host in {"0.0.0.0", "::"} else self._settings.ocpp_host  # noqa: S104 - compared, not bound
            scheme = "ws" if self._settings.ocpp_plain else "wss"
            running = Running(
                ocpp_url=f"{scheme}://{host}:{port}/ocpp",
                http_url=self.http.url,
                version=version("csms"),
                files_url=files_url,
                stop=self.stop,
            )
            await self.node.enter(ocpp_url=running.ocpp_url, http_url=running.http_url)
            node = outer.create_task(self.node.run())
            runner = self._runner(files_url)
            rollouts = None if runner is None else outer.create_task(runner.run())
            started(running)
            await self._stop.wait()
            log.info("draining")
            if runner is not None:
                runner.stop()
            if self.files is not None:
                self.files.stop()
            self.node.stop_taking()
            await self.gateway.drain()
            await gateway
            await self.node.settled(within_s=self._settings.close_timeout_s)
            if rollouts is not None:
                await asyncio.wait({rollouts}, timeout=self._settings.close_timeout_s)
                rollouts.cancel()
            self.http.should_exit = True
            await http
            node.cancel()
        try:
            await self.node.leave()
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("lease_not_returned", error=str(error))

    async def _serve_files(self, tasks: asyncio.TaskGroup) -> str | None:
        """Where charge points reach files, from now on."""
        if self.files is None:
            return None
        tasks.create_task(self.files.run_until_stopped())
        await self.files.listening()
        return self.files.public_url

    def _runner(self, files_url: str | None) -> Runner | None:
        """Only nodes that hand out files can ask charge points to fetch or send some."""
        if files_url is None:
            return None
        return Runner(self._pool, self._settings, node=self.node.id, send=self._send, base=files_url)

    def _held(self) -> list[str]:
        return list(self.gateway.connected())

    def _ready(self) -> dict[str, bool]:
        return {"database": self.health.available, "accepting": not self._stop.is_set()}

    async def _sweeps_for_all(self) -> bool:
        return await self.node.take_turn("sessions", every=timedelta(seconds=self._settings.sweep_interval_s / 2))

    def _open_office(self) -> Office:
        connect = partial(connect_once, self._dsn, name="csms office")
        return Office(
            self._pool, _office_settings(self._settings), connect=connect, my_turn=self._my_turn, on_queued=self._mail_queued
        )  # fmt: skip

    async def _my_turn(self, work: str, every: timedelta) -> bool:
        return await self.node.take_turn(work, every=every)

    def _mail_queued(self) -> None:
        if self.mail is not None:
            self.mail.wake()

    def _projected(self) -> None:
        self.billing.wake()

    def _stop_due(self) -> None:
        self.cost_stops.wake()

    def _billed(self, bill: CommittedBill) -> None:
        self.display.show(bill.bill.session, bill.bill.seq)

    async def _bill_now(self, transactions: Collection[tuple[str, str]]) -> dict[tuple[str, str], Decimal]:
        """The final totals of those sessions that have ended and can be billed right now."""
        sessions = await self.sessions.project_now(transactions)
        bills = await self.billing.settle(sessions, datetime.now(UTC)) if sessions else []
        finals = [each for each in bills if each.bill.kind is BillKind.FINAL]
        return {sessions[each.bill.session]: each.rating.payable.decimal for each in finals}

    async def _set_up(self, socket: SocketInfo) -> None:
        charge_point = socket.charge_point.id

        async def send(command: Command) -> Outcome:
            return await self.gateway.command(charge_point, command)

        energy_only = Accommodation.ENERGY_REGISTER_ONLY in habits_of(socket.charge_point)
        await apply_template(self._pool, charge_point, socket.protocol, send, energy_only=energy_only)
        if self.default_prices is not None and socket.protocol is Protocol.V16:
            await self.default_prices.set_up(charge_point)

    async def _send(self, charge_point: str, command: Command) -> Outcome:
        """To the socket here, or through Postgres to the node that holds it."""
        if self.gateway.holds(charge_point):
            return await self.gateway.command(charge_point, command)
        timeout_s = self._settings.call_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._to_others.acquire()
        except TimeoutError:
            detail = "too many commands wait for their way to other nodes"
            return Outcome(accepted=False, status="offline", detail=detail, unsent=True)
        try:
            async with connect_once(self._dsn) as connection:
                return await ask(connection, charge_point, command, actor="system", timeout_s=timeout_s)
        finally:
            self._to_others.release()

    async def _deliver(self, charge_point: str, command: Command, timeout_s: float) -> Outcome:
        """A command from the database, on the socket here."""
        if isinstance(command, Disconnect):
            log.info("socket_closed_by_operator", charge_point=charge_point, reason=command.reason)
            await self.gateway.disconnect(charge_point, 1008, command.reason)
            return Outcome(accepted=True, status="Accepted")
        if isinstance(command, ChangePassword):
            return await give_password(
                self._pool, charge_point, command, partial(self.gateway.command, timeout_s=timeout_s),
                key=self._password_key,
            )  # fmt: skip
        return await self.gateway.command(charge_point, command, timeout_s)

    async def _give_way(self, charge_point: str, socket: str) -> None:
        """A newer socket of the charge point is on another node; it may have come back here since."""
        here = self.gateway.connected().get(charge_point)
        if here is not None and here.id == socket:
            await self.gateway.disconnect(charge_point, 1008, "replaced by a newer connection")

    def _prices_changed(self) -> None:
        if self.offers is not None:
            self.offers.forget()
        if self.default_prices is not None:
            self.default_prices.changed()

    def _reload_certificates(self) -> None:
        self.gateway.reload_certificates()

    async def _keep_house(self) -> None:
        async with connect_once(self._dsn, as_owner=True) as connection:
            days = self._settings.frame_retention_days
            await ensure_frame_partitions(connection)
            with suppress(asyncpg.LockNotAvailableError):  # a backup reads them: what has no month yet is stored beside
                await ensure_reading_partitions(connection)
            async with connection.transaction():
                await INTAKE.lock_housekeeping.execute(connection)
                await INTAKE.keep_frames.execute(connection, days=days)
                await QUIRKS.forget_proofs.execute(connection, days=days)
                await drop_frame_partitions(connection, days)

    async def _drop_readings(self) -> None:
        """Never at start: it looks at whole months."""
        months = self._settings.reading_retention_months
        if months is None:
            return
        async with connect_once(self._dsn, as_owner=True) as connection:
            gone = await drop_reading_partitions(connection, months)
        if gone:
            log.info("readings_dropped", months=gone)

    async def _keep_house_regularly(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            try:
                await self._keep_house()
                await self._drop_readings()
            except Exception as error:
                if not is_unavailable(error):
                    log.exception("housekeeping_failed")


def _office_settings(settings: Settings) -> OfficeSettings:
    at = settings.books_check_at
    return OfficeSettings(
        archive=settings.archive_directory,
        sends=settings.smtp_host is not None,
        sweep_interval_s=settings.sweep_interval_s,
        contracts_interval_s=settings.contracts_interval_s,
        books_check_at=None if at == "never" else time.fromisoformat(at),
    )


async def run_server(
    settings: Settings,
    dsn: str,
    *,
    started: Callable[[Running], None],
    handle_signals: bool = False,
    migrated: bool = False,
) -> None:
    """Migrate unless that was done, serve on the database of `dsn` until stopped, drain."""
    read_schemas()
    catalogue()
    if not migrated:
        await migrate(dsn)
    async with AsyncExitStack() as pools:
        pool = await pools.enter_async_context(_pool(dsn, settings.database_pool_size))
        files_pool = None
        if settings.files_are_served:
            files_pool = await pools.enter_async_context(_pool(dsn, FILES_POOL_SIZE))
        server = Server(settings, dsn, pool, files_pool)
        if handle_signals:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, server.stop)
        await server.run(started=started)


@asynccontextmanager
async def _pool(dsn: str, size: int) -> AsyncIterator[asyncpg.Pool[Any]]:
    pool = await open_pool(dsn, size=size)
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except TimeoutError:
            pool.terminate()
