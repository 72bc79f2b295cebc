"""csms serve: the central system itself."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
from typing import Any

import click

from billing import CliError, ExitCode
from csms import logs
from csms.app import Running, run_server
from csms.cli.context import database
from csms.settings import Settings, load_settings


@click.command()
@click.option("--ocpp-port", type=click.IntRange(0, 65535), help="Charge points connect here; 9000 unless said.")
@click.option("--ocpp-host", help="Address to listen on for charge points; all of them unless said.")
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

    Prints one JSON line on stdout when it accepts sockets; logs go to stderr.
    """
    outer = context.find_object(Settings)
    assert outer is not None
    settings = load_settings(data_dir=outer.data_dir, **given)
    logs.configure(settings.log_level)
    _run(_serve(settings))


def _run(main: Any) -> None:
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def _require_port(host: str, port: int, option: str) -> None:
    """Say what stands in the way before anything is started.

    Raises:
        CliError: the port is in use, or may not be used by this account.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except PermissionError:
            raise CliError(
                f"this account may not listen on port {port}", f"choose one above 1023: {option}", ExitCode.PERMISSION
            ) from None
        except OSError as trouble:
            raise CliError(
                f"port {port} on {host} cannot be used: {trouble.strerror}",
                f"stop what uses it, or choose another one: {option}",
                ExitCode.CONFLICT,
            ) from None


async def _serve(settings: Settings) -> None:
    _require_port(settings.ocpp_host, settings.ocpp_port, "--ocpp-port")
    _require_port(settings.http_host, settings.http_port, "--http-port")
    async with database(settings, "own", may_create=True) as dsn:
        await run_server(settings, dsn, started=lambda running: _started(settings, running), handle_signals=True)


def _started(settings: Settings, running: Running) -> None:
    # What start-up made lives as long as the process: looking through it again and again would stop everybody for
    # some 60 ms each second.
    gc.collect()
    gc.freeze()
    _print_ready(settings, running)


def _print_ready(settings: Settings, running: Running) -> None:
    line = {
        "event": "ready",
        "ocpp_url": running.ocpp_url,
        "http_url": running.http_url,
        "data_dir": str(settings.data_dir),
        "version": running.version,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
