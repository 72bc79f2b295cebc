"""A whole installation for fault tests: the server in this process or in one of its own, and an operator who set it up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from billing import Scope, assign_tariff, create_tariff
from csms.app import Running, run_server
from csms.charge_points import service as charge_points
from csms.charge_points.service import Choices
from csms.database.pool import connect_once
from csms.settings import load_settings
from csms.sites import service as sites
from csms.tokens import service as tokens
from tests.databases import lay_cluster
from tests.ports import free_port
from tests.programs import Program, start_csms

LONG = os.environ.get("CSMS_TEST_LONG") == "1"
TOKEN = "CARD-0001"
RETRY_AFTER_S = 1
READY_S_MAX = 120.0
LOG_LINES_SHOWN = 40
NOT_JSON = "not json"
LOADED_BEFORE = "LD_PRELOAD"
"""What names a library that must be there before the program is."""
BUGS = frozenset({
    "closing_not_noted", "connection_failed", "cost_stop_failed", "cost_stops_failed", "follow_up_failed", "handshake_failed", "housekeeping_failed",
    "inquiry_failed", "item_not_committed", "mail_books_failed", "mail_not_made", "mail_not_sent", "mail_sweep_failed", "message_failed", "opening_not_noted", "projection_failed",
    "session_not_loaded", "session_not_rated", "sessions_not_loaded", "site_limit_not_planned", "site_limit_not_told",
})  # fmt: skip
"""Log events that only a bug of ours brings about: no fault that is injected here excuses them."""

KWH_PRICE = Decimal("0.49")
KWH_TAX = Decimal("0.19")
TARIFF = json.dumps(
    {
        "country_code": "DE",
        "party_id": "EXA",
        "id": "FAULTS-KWH",
        "currency": "EUR",
        "tax_included": "NO",
        "elements": [
            {
                "price_components": [
                    {"type": "ENERGY", "price": str(KWH_PRICE), "vat": str(KWH_TAX * 100), "step_size": 1}
                ]
            }
        ],
        "last_updated": "2026-01-01T00:00:00Z",
    }
)

DIVIDED: dict[str, Any] = {
    "ocpp_host": "127.0.0.1",
    "ocpp_port": 0,
    "http_port": 0,
    "retry_after_s": RETRY_AFTER_S,
    "call_timeout_s": 3.0,
    "close_timeout_s": 1.0,
    "drain_timeout_s": 2.0,
    "node_lease_s": 5.0,
    "projection_interval_s": 0.1,
    "sweep_interval_s": 0.3,
    "settle_delay_s": 0,
    "log_level": "info",
}


def rounds(short: int, long: int, *, of: str) -> int:
    """How often: `short`, or `long` with CSMS_TEST_LONG=1. Printed, so that a report says what was run."""
    count = long if LONG else short
    print(f"{of}: {count} rounds ({'full' if LONG else f'reduced; {long} with CSMS_TEST_LONG=1'})")  # noqa: T201 - said on purpose
    return count


async def until(holds: Callable[[], Awaitable[bool]], *, what: str, within_s: float = 90.0) -> None:
    """Wait for something that must come; how long it takes is not what is tested."""
    try:
        async with asyncio.timeout(within_s):
            while not await holds():  # noqa: ASYNC110 - what is awaited lies in another process
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"after {within_s:g} s still not: {what}") from None


# --- the operator ----------------------------------------------------------------------------------------------------


async def furnish(dsn: str) -> None:
    """A site, a tariff for everybody, a token."""
    now = datetime.now(UTC)
    async with connect_once(dsn) as connection:
        await sites.create(
            connection, "harbour", name="Harbour", country="DE", time_zone="Europe/Berlin", currency="EUR"
        )
        await create_tariff(connection, TARIFF, now=now)
        await assign_tariff(
            connection,
            "FAULTS-KWH",
            scope=Scope("default"),
            target=None,
            now=now,
            valid_from=datetime(2025, 1, 1, tzinfo=UTC),
        )
        await tokens.issue(connection, TOKEN, group=None, expires_at=None, actor="operator")


async def commission(dsn: str, data_dir: Path, identities: Iterable[str], **given: Any) -> dict[str, str]:
    """Charge points with their passwords; `given` are choices beside their site."""
    key = charge_points.load_password_key(data_dir)
    passwords = {}
    async with connect_once(dsn) as connection:
        for identity in identities:
            choices = Choices(site="harbour", **given)
            _, password = await charge_points.create(connection, identity, choices, key=key)
            assert password is not None
            passwords[identity] = password
    return passwords


# --- in this process -------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving(dsn: str, data_dir: Path, **given: Any) -> AsyncIterator[Running]:
    """A server that runs while the block does, and is drained then; its failure is the test's."""
    settings = load_settings({}, **{**DIVIDED, "data_dir": data_dir, **given})
    loop = asyncio.get_running_loop()
    started: asyncio.Future[Running] = loop.create_future()
    server = asyncio.create_task(run_server(settings, dsn, started=started.set_result))
    either: list[asyncio.Future[Any]] = [server, started]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED, timeout=READY_S_MAX)
    if not started.done():
        server.cancel()
        await server
    running = started.result()
    try:
        yield running
    finally:
        running.stop()
        async with asyncio.timeout(READY_S_MAX):
            await server


# --- in a process of its own -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class ServerProcess:
    """`csms serve` as operators run it. Without `dsn` it owns an embedded Postgres in `data_dir`."""

    data_dir: Path
    dsn: str | None = None
    port: int = field(default_factory=free_port)
    given: dict[str, Any] = field(default_factory=dict)
    open_files_max: int | None = None
    """How many files the kernel lets it have open; None: as many as us."""
    environment: dict[str, str] = field(default_factory=dict)
    """Beyond that of the tests and what makes its settings."""
    ready: dict[str, Any] = field(default_factory=dict)
    """What it printed when it was ready."""
    _process: Program | asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    @property
    def log_path(self) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}-{self.port}.log"

    @property
    def pid(self) -> int:
        assert self._process is not None, "start() comes first"
        return self._process.pid

    async def start(self) -> None:
        """Accepts sockets when this returns."""
        settings = {**DIVIDED, "data_dir": self.data_dir, "ocpp_port": self.port, **self.given}
        if self.dsn is not None:
            settings["database_url"] = self.dsn
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CSMS_")}
        environment |= {f"CSMS_{name.upper()}": str(value) for name, value in settings.items()} | self.environment
        self._process = await self._run(environment)
        assert self._process.stdout is not None
        async with asyncio.timeout(READY_S_MAX):
            line = await self._process.stdout.readline()
        assert line, f"csms serve ended before it was ready:\n{self.log_tail()}"
        self.ready = json.loads(line)
        assert self.ready["event"] == "ready"

    async def _run(self, environment: dict[str, str]) -> Program | asyncio.subprocess.Process:
        with self.log_path.open("ab") as log:
            if self.open_files_max is None and LOADED_BEFORE not in environment:
                return await start_csms("serve", env=environment, stderr=log.fileno())
            program = [str(Path(sys.executable).with_name("csms")), "serve"]
            if self.open_files_max is not None:
                program = ["sh", "-c", f'ulimit -n {self.open_files_max} && exec "$0" "$@"', *program]
            return await asyncio.create_subprocess_exec(
                *program, stdout=asyncio.subprocess.PIPE, stderr=log, env=environment
            )

    async def kill(self) -> None:
        """kill -9: no good-bye to anybody."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """SIGTERM; the exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None, "start() comes first"
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(READY_S_MAX):
            return await self._process.wait()

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def log_lines(self) -> list[dict[str, Any]]:
        """Its log so far; what is no JSON is a line of its own kind."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        return [_log_line(line) for line in lines]

    def bugs(self) -> list[dict[str, Any]]:
        """Lines of its log that no injected fault excuses; also what came out other than through the log.

        A full disk tears lines: what begins as JSON came through the log.
        """
        return [line for line in self.log_lines() if line["event"] in BUGS or not line.get("line", "{").startswith("{")]

    def log_tail(self) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])


def _log_line(line: str) -> dict[str, Any]:
    try:
        read = json.loads(line)
    except ValueError:
        return {"event": NOT_JSON, "line": line}
    return read if isinstance(read, dict) else {"event": NOT_JSON, "line": line}


@contextlib.asynccontextmanager
async def installation(
    data_dir: Path,
    *,
    dsn: str | None = None,
    open_files_max: int | None = None,
    environment: Mapping[str, str] | None = None,
    **given: Any,
) -> AsyncIterator[ServerProcess]:
    """A running server process, furnished; its log is shown where the test fails."""
    if dsn is None:
        lay_cluster(data_dir)
    process = ServerProcess(
        data_dir=data_dir, dsn=dsn, given=given, open_files_max=open_files_max, environment=dict(environment or {})
    )
    try:
        await process.start()
        await furnish(process.dsn or embedded_dsn(data_dir))
        yield process
    finally:
        if process.runs:  # in good order also after a failure: its Postgres must be gone before its files are
            await process.terminate()
        if process.log_path.exists():
            print(process.log_tail())  # noqa: T201 - pytest shows it with a failure only
            process.log_path.unlink()


# --- its Postgres ----------------------------------------------------------------------------------------------------


def embedded_dsn(data_dir: Path) -> str:
    """How commands attach to the Postgres of a server in `data_dir`."""
    owner = json.loads((data_dir / "cluster.lock").read_text())
    return str(owner["dsn"])


def postmaster_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def postgres_pids(data_dir: Path) -> list[int]:
    """The postmaster and everything that it has started."""
    parent = postmaster_pid(data_dir)
    found = [parent]
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(status.parent.name))
    return found


def freeze(data_dir: Path) -> list[int]:
    """SIGSTOP: Postgres refuses nothing, and never answers. The pids, for `thaw`."""
    pids = postgres_pids(data_dir)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    return pids


def thaw(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
