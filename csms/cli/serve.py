"""csms serve: the central system itself."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import structlog

from billing import CliError, ExitCode
from csms import logs
from csms.app import Running, run_server
from csms.cli.context import database
from csms.event_loop import Collector, run
from csms.files.server import require_tls_files
from csms.gateway.tls import TlsFilesInvalid, load_tls
from csms.settings import Settings, load_settings
from csms.watchdog import Watchdog
from csms.workers.service import serve_with_workers

FAREWELL_S = 5.0
"""Beyond what workers have to answer whom they hold, for what they do after it."""
PORT_LOOK_S = 0.1

log = structlog.get_logger()

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--ocpp-port", type=click.IntRange(0, 65535), help="Charge points connect here; 9000 unless said.")
@click.option("--ocpp-host", help="Address to listen on for charge points; all of them unless said.")
@click.option(
    "--plain/--no-plain", "ocpp_plain", default=None, help="Whether there is a port without TLS; there is, unless said."
)
@click.option("--tls-port", type=click.IntRange(0, 65535), help="Charge points connect here by wss; 9443 unless said.")
@click.option("--tls-cert", type=_FILE, multiple=True, help="Certificate and chain, PEM; one RSA, one ECDSA, or both.")
@click.option("--tls-key", type=_FILE, multiple=True, help="Its key; give as many as certificates, in their order.")
@click.option("--tls-client-ca", type=_FILE, help="Who signs charge points' certificates (security profile 3).")
@click.option("--tls-client-crl", type=_FILE, help="Lists of revoked certificates of charge points, by those issuers.")
@click.option("--tls-client-organisation", metavar="O", help="What O in charge points' certificates must be.")
@click.option("--files-url", metavar="URL", help="Hand out firmware and take in logs there, as charge points see it.")
@click.option("--files-port", type=click.IntRange(0, 65535), help="Of the files; 9444 unless said.")
@click.option("--files-host", help="Address to listen on for files; all of them unless said.")
@click.option("--files-cert", type=_FILE, multiple=True, help="Its certificates, if other than those of --tls-cert.")
@click.option("--files-key", type=_FILE, multiple=True, help="Their keys, in their order.")
@click.option("--files-plain", is_flag=True, default=None, help="Files by http: readable to all who are in between.")
@click.option(
    "--proxy-protocol-from",
    multiple=True,
    metavar="CIDR",
    help="Address or network of a proxy in front: its sockets begin with a PROXY header. See csms node haproxy-example.",
)
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Processes that share the ports; 1 unless said. Linux only."
)
@click.option("--http-port", type=click.IntRange(0, 65535), help="/metrics, /healthz, /readyz; 9080 unless said.")
@click.option("--http-host", help="127.0.0.1 unless said: nothing there asks for a password.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.pass_context
def serve(context: click.Context, /, **given: Any) -> None:
    """Run the central system until SIGTERM or Ctrl-C.

    \b
    Examples:
      csms serve
      csms serve --data-dir ./data --ocpp-port 9000 --http-port 9080
      CSMS_DATABASE_URL=postgresql://csms@db/csms csms serve
      csms serve --tls-cert rsa.pem --tls-key rsa.key --tls-cert ec.pem --tls-key ec.key --tls-client-ca ca.pem
      csms serve --tls-cert rsa.pem --tls-key rsa.key --files-url https://files.example:9444

    --workers 4 uses four cores: the kernel divides the sockets among four processes, which one parent starts again when
    they die. Each takes a pool of connections of its own from the database.

    Prints one JSON line on stdout when it accepts sockets; logs go to stderr. SIGHUP reads the files of TLS again:
    sockets that are open stay open.
    """
    given = {name: None if value == () else value for name, value in given.items()}
    outer = context.find_object(Settings)
    assert outer is not None
    settings = load_settings(data_dir=outer.data_dir, **given)
    logs.configure(settings.log_level)
    run(_serve(settings))


class _Ports:
    """What is to be listened on. Workers whose supervisor was killed keep theirs until they have answered everybody, so a
    supervisor that is started again waits for as long; nobody else has anything to wait for.
    """

    def __init__(self, settings: Settings) -> None:
        patience_s = settings.drain_timeout_s + settings.close_timeout_s + FAREWELL_S if settings.workers > 1 else 0
        self._give_up_at = time.monotonic() + patience_s
        self._is_awaited = False

    async def require(self, host: str, port: int, option: str) -> None:
        """Say what stands in the way before anything is started.

        Raises:
            CliError: the port is in use, or may not be used by this account.
        """
        while (trouble := _trouble_with(host, port)) is not None:
            if isinstance(trouble, PermissionError):
                raise CliError(
                    f"this account may not listen on port {port}",
                    f"choose one above 1023: {option}",
                    ExitCode.PERMISSION,
                )
            if trouble.errno != errno.EADDRINUSE or time.monotonic() >= self._give_up_at:
                raise CliError(
                    f"port {port} on {host} cannot be used: {trouble.strerror}",
                    f"stop what uses it, or choose another one: {option}",
                    ExitCode.CONFLICT,
                )
            if not self._is_awaited:
                self._is_awaited = True
                left_s = round(self._give_up_at - time.monotonic())
                next_step = (
                    "workers of a server that was killed let go of it by themselves; stop anything else that uses it"
                )
                log.warning("port_awaited", host=host, port=port, at_most_s=left_s, next_step=next_step)
            await asyncio.sleep(PORT_LOOK_S)


def _trouble_with(host: str, port: int) -> OSError | None:
    with socket.socket(_family(host)) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as trouble:
            return trouble
    return None


def _require_tls_files(settings: Settings) -> None:
    """Say what is wrong with a certificate before anything is started.

    Raises:
        CliError: naming the file, and what to do.
    """
    try:
        load_tls(settings, now=datetime.now(UTC))
        require_tls_files(settings)
    except TlsFilesInvalid as invalid:
        raise CliError(str(invalid), invalid.next_step, ExitCode.USAGE) from None


def _with_tls_port(settings: Settings) -> Settings:
    """Settings with a port that is free, where 0 asked for any."""
    if not settings.tls_cert or settings.tls_port:
        return settings
    with socket.create_server((settings.ocpp_host, 0), family=_family(settings.ocpp_host)) as free:
        return settings.model_copy(update={"tls_port": free.getsockname()[1]})


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


async def _serve(settings: Settings) -> None:
    if settings.workers > 1 and sys.platform != "linux":
        raise CliError("workers share ports as only Linux lets them", "leave out --workers", ExitCode.USAGE)
    _require_tls_files(settings)
    ports = _Ports(settings)
    if settings.ocpp_plain:
        await ports.require(settings.ocpp_host, settings.ocpp_port, "--ocpp-port")
    if settings.tls_cert:
        await ports.require(settings.ocpp_host, settings.tls_port, "--tls-port")
    settings = _with_tls_port(settings)
    if settings.files_are_served:
        await ports.require(settings.files_host, settings.files_port_served, "--files-port")
    await ports.require(settings.http_host, settings.http_port, "--http-port")
    async with database(settings, "own", may_create=True) as dsn:
        if settings.workers == 1:
            with Watchdog() as watchdog:
                await run_server(
                    settings, dsn, started=lambda running: _started(settings, running, watchdog), handle_signals=True
                )
            return
        ended = await serve_with_workers(settings, dsn, started=lambda running: _print_ready(settings, running))
    if ended is not None:
        raise CliError(ended, "its log lines, further up, say why")


def _started(settings: Settings, running: Running, watchdog: Watchdog) -> None:
    Collector().start()
    watchdog.start()
    _print_ready(settings, running)


def _tls_url(settings: Settings) -> str:
    """For a charge point on this machine; others use the name that stands in the certificate."""
    host = "127.0.0.1" if settings.ocpp_host in {"0.0.0.0", "::"} else settings.ocpp_host  # noqa: S104 - compared, not bound
    return f"wss://{f'[{host}]' if ':' in host else host}:{settings.tls_port}/ocpp"


def _print_ready(settings: Settings, running: Running) -> None:
    line = {
        "event": "ready",
        **({"ocpp_url": running.ocpp_url} if settings.ocpp_plain else {}),
        **({"ocpps_url": _tls_url(settings)} if settings.tls_cert else {}),
        "http_url": running.http_url,
        **({} if running.files_url is None else {"files_url": running.files_url}),
        **({"workers": settings.workers} if settings.workers > 1 else {}),
        "data_dir": str(settings.data_dir),
        "version": running.version,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
