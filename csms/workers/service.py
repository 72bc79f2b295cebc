"""`csms serve --workers N`: one server of several processes, which are nodes among equals like those of other machines."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import structlog

from billing import Refused
from csms import logs
from csms.api.health import HttpServer
from csms.app import Running
from csms.charge_points.service import load_password_key, require_password_key
from csms.database.migrate import migrate
from csms.database.pool import connect_once
from csms.nodes.service import SQL
from csms.settings import Settings
from csms.workers.division import connections_needed, of_each, pool_size
from csms.workers.http import build
from csms.workers.order import Ready, own_version
from csms.workers.supervisor import OWN, Supervisor, reserved

POOL_MIN = 2

log = structlog.get_logger()


async def serve_with_workers(settings: Settings, dsn: str, *, started: Callable[[Running], None]) -> str | None:
    """Migrate once, serve until SIGTERM or SIGINT, drain. Returns why it ended where nobody asked it to.

    Raises:
        Refused: the database cannot serve so many workers, or was made with another password key.
    """
    connections_max = await _prepare(settings, dsn)
    with reserved(_ports(settings)) as ports:
        each = of_each(settings, connections_max=connections_max, ports=ports)
        supervisor = Supervisor(each, dsn, count=settings.workers)
        http = HttpServer(
            build(own=OWN, urls=supervisor.urls, stopping=lambda: supervisor.stopping),
            host=settings.http_host,
            port=settings.http_port,
        )

        def all_ready(worker: Ready) -> None:
            running = Running(
                ocpp_url=worker.ocpp_url, http_url=http.url, version=own_version(), files_url=worker.files_url,
                stop=supervisor.stop,
            )  # fmt: skip
            started(running)

        _hear_signals(settings, supervisor)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(http.serve())
            await http.listening()
            await supervisor.run(started=all_ready)
            http.should_exit = True
    return supervisor.given_up


async def _prepare(settings: Settings, dsn: str) -> int:
    """What must happen once, before there are workers that would do it at the same time; how many connections may be."""
    await migrate(dsn)
    key = load_password_key(settings.data_dir, settings.password_key)
    logs.name_tokens_by(key)
    async with connect_once(dsn, name="csms serve") as connection:
        await require_password_key(connection, key)
        connections_max = int(await SQL.connections_allowed.fetchval(connection))
    size = pool_size(settings, connections_max=connections_max)
    if size < POOL_MIN:
        raise Refused(
            f"the database takes {connections_max} connections, {settings.workers} workers need "
            f"{connections_needed(settings)}",
            "raise max_connections of the database, or start fewer workers",
        )
    if size < settings.database_pool_size:
        log.warning(
            "pools_reduced",
            of_each_worker=size,
            connections_allowed=connections_max,
            connections_needed=connections_needed(settings),
            next_step="raise max_connections of the database",
        )
    return connections_max


def _ports(settings: Settings) -> dict[str, tuple[str, int]]:
    ports = {}
    if settings.ocpp_plain:
        ports["ocpp_port"] = (settings.ocpp_host, settings.ocpp_port)
    if settings.tls_cert:
        ports["tls_port"] = (settings.ocpp_host, settings.tls_port)
    if settings.files_are_served:
        ports["files_port"] = (settings.files_host, settings.files_port_served)
    return ports


def _hear_signals(settings: Settings, supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    if settings.tls_cert:
        loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
