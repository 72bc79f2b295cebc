"""The console script as operators use it: `csms` in processes of its own, against a `csms serve` in another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from csms.database.pool import connect_once
from csms.sessions import listing
from simulators.charge_point import Build, Credentials, ModelClock, ReconnectPolicy, SimulatedChargePoint
from tests.databases import lay_cluster
from tests.programs import Program, start_csms

CSMS = str(Path(sys.executable).with_name("csms"))
PATIENCE_S = 60.0
HOUR = timedelta(hours=1)
TWO_HOURS = timedelta(hours=2)
TOKEN = "CARD-0001"
BOTH = ("ocpp1.6", "ocpp2.0.1")
# Waits are fractions of the real ones (settings.py): no test speaks of how long they last.
DIVIDED = {
    "CSMS_SETTLE_DELAY_S": "0",
    "CSMS_PROJECTION_INTERVAL_S": "0.1",
    "CSMS_SWEEP_INTERVAL_S": "0.3",
    "CSMS_SITE_LIMIT_INTERVAL_S": "0.3",
    "CSMS_SITE_LIMIT_PACE_S": "0",
    "CSMS_DRAIN_TIMEOUT_S": "1",
    "CSMS_CLOSE_TIMEOUT_S": "1",
    "CSMS_CLUSTER_WAIT_S": "0.5",
}
QUICK = ReconnectPolicy(wait_s=0.05, range_s=0.05, doublings=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its data; only where it succeeded or says so on stdout."""
        assert self.out, self.err
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """Its complaint: exactly one JSON object on stderr, with a code, a message and what to do next."""
        body = json.loads(self.err)
        assert isinstance(body, dict)
        assert {"code", "message", "next"} <= set(body), body
        assert body["message"]
        assert body["next"]
        return body


def environment(data_dir: Path | None, **given: str) -> dict[str, str]:
    """Ours without what a developer may have set for csms, and with the divided waits."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CSMS_")}
    where = {} if data_dir is None else {"CSMS_DATA_DIR": str(data_dir)}
    return {**clean, "NO_COLOR": "1", **DIVIDED, **where, **given}


async def run(env: Mapping[str, str], *arguments: object, stdin: bytes = b"") -> Said:
    """One command from start to end."""
    process = await start_csms(*arguments, env=env)
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate(stdin)
    assert b"Traceback" not in err, err.decode()
    return Said(code=await process.wait(), out=out.decode(), err=err.decode())


@dataclass(slots=True)
class Installation:
    """A data directory with a `csms serve` on it, and its operator."""

    data_dir: Path
    given: dict[str, str] = field(default_factory=dict)
    ready: dict[str, Any] = field(default_factory=dict)
    pid: int = 0

    @property
    def env(self) -> dict[str, str]:
        return environment(self.data_dir, **self.given)

    @property
    def url(self) -> str:
        return str(self.ready["ocpp_url"])

    async def csms(self, *arguments: object, stdin: bytes = b"") -> Said:
        return await run(self.env, *arguments, stdin=stdin)

    async def data(self, *arguments: object, stdin: bytes = b"") -> Any:
        """What a command that must succeed prints with -o json."""
        said = await self.csms(*arguments, "-o", "json", stdin=stdin)
        assert said.code == 0, f"{said.err}\nthe server's log ends with\n{self.log_path.read_text()[-4000:]}"
        return said.json

    async def trace(self, identity: str, wanted: str) -> Said:
        """The kept frames of a charge point, once they hold what is wanted: they are stored a moment after the answer."""

        async def look() -> Said | None:
            said = await self.csms("cp", "trace", identity, "--last", 1000, "-o", "jsonl")
            return said if wanted in said.out else None

        found: Said = await until(look)
        return found

    @property
    def log_path(self) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    def start(self) -> subprocess.Popen[bytes]:
        """`csms serve` on free ports; ready when this returns."""
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - ours
                [CSMS, "serve", "--ocpp-port", "0", "--http-port", "0"],
                stdout=subprocess.PIPE, stderr=log, env=self.env,
            )  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, self.log_path.read_text()
        self.ready = json.loads(line)
        self.pid = process.pid
        return process

    async def furnish(self) -> None:
        """A site, a tariff of 0.49 EUR/kWh plus 19 % VAT for everybody, and a token."""
        await self.csms(
            "site", "create", "harbour", "--name", "Harbour Car Park", "--country", "DE",
            "--time-zone", "Europe/Berlin", "--currency", "EUR",
        )  # fmt: skip
        await self.csms("tariff", "create", "-", stdin=json.dumps(tariff_document("PLAIN")).encode())
        await self.csms("tariff", "assign", "PLAIN", "--default", "--from", "2020-01-01")
        said = await self.csms("token", "issue", TOKEN)
        assert said.code == 0, said.err

    async def charge_point(self, identity: str, *options: object, site: str = "harbour") -> str:
        """A new one, at the harbour unless said; its password."""
        made = await self.data("cp", "create", identity, "--site", site, *options)
        return str(made["password"])

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """To look often without a process each time; what is claimed is what commands print."""
        dsn = json.loads((self.data_dir / "cluster.lock").read_text())["dsn"]
        async with connect_once(dsn) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def simulated(
        self, identity: str, protocol: str, *, at: datetime | None = None, site: str = "harbour", **build: Any
    ) -> AsyncIterator[SimulatedChargePoint]:
        """A simulated charge point that has booted; its clock starts at `at`, else now, and stands still."""
        password = await self.charge_point(identity, "--protocol", protocol, site=site)
        credentials = Credentials(url=self.url, identity=identity, password=password)
        made = Build(**{"protocol": protocol, "evses": 2, "reconnect": QUICK, "boot_wait_max_s": 20.0, **build})
        async with SimulatedChargePoint(credentials, ModelClock(at or datetime.now(UTC)), made) as station:
            await station.boot()
            yield station

    async def sessions(self, *filters: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.data("session", "list", *filters)
        return found

    async def await_session(self, identity: str, state: str) -> dict[str, Any]:
        """The only session of a charge point, once it is in a state."""
        async with self.connection() as connection:
            await until(lambda: listing.list_sessions(connection, charge_point=identity, state=state))
        [found] = await self.sessions("--cp", identity, "--state", state)
        return found

    async def held_session(self, identity: str, *, wh: int = 5000) -> dict[str, Any]:
        """A session that the gate holds: an unknown card has charged while the charge point was offline."""
        begin = datetime.now(UTC).replace(microsecond=0) - TWO_HOURS
        async with self.simulated(identity, "ocpp1.6", at=begin, evses=1, stop_on_invalid=False) as station:
            await station.offline()
            await station.plug()
            await station.start(token=f"STRANGER-{identity}")
            await station.charge(energy_wh=Decimal(wh), duration=HOUR)
            await station.stop()
            await station.unplug()
            await station.online_again()
        return await self.await_session(identity, "held")

    async def rated_session(
        self, identity: str, protocol: str = "ocpp1.6", *, token: str = TOKEN, wh: int = 10_000
    ) -> dict[str, Any]:
        """An ordinary session of an hour with its final bill."""
        begin = datetime.now(UTC).replace(microsecond=0) - TWO_HOURS
        async with self.simulated(identity, protocol, at=begin, evses=1) as station:
            await station.plug()
            await station.start(token=token)
            await station.charge(energy_wh=Decimal(wh), duration=HOUR)
            await station.stop()
            await station.unplug()
        return await self.await_session(identity, "rated")


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What `look` finds, as soon as it finds something."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await look()):  # noqa: ASYNC110 - what is awaited lies in another process
            await asyncio.sleep(0.1)
    return found


@contextlib.contextmanager
def serving(data_dir: Path, **given: str) -> Iterator[Installation]:
    """A server that runs while the block does and ends in good order then."""
    if "CSMS_DATABASE_URL" not in given:
        lay_cluster(data_dir)
    shop = Installation(data_dir, given)
    process = shop.start()
    try:
        yield shop
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, rest) == (0, b""), shop.log_path.read_text()[-4000:]


@contextlib.asynccontextmanager
async def following(shop: Installation, *arguments: str) -> AsyncIterator[Program]:
    """A command that goes on until it is interrupted."""
    process = await start_csms(*arguments, env=shop.env)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def line_of(process: Program) -> dict[str, Any]:
    """The next line of a stream of jsonl."""
    async with asyncio.timeout(PATIENCE_S):
        line = await process.stdout.readline()
    assert line, "the stream has ended"
    told = json.loads(line)
    assert isinstance(told, dict)
    return told


async def interrupted(process: Program) -> tuple[int, str]:
    """Ctrl-C: the exit status, and what went to stderr."""
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(PATIENCE_S):
        _, err = await process.communicate()
    return await process.wait(), err.decode()


def tariff_document(id_: str, *, price: str = "0.49", currency: str = "EUR") -> dict[str, Any]:
    """An OCPI tariff of so much a kWh plus 19 % VAT."""
    return {
        "country_code": "DE",
        "party_id": "EXA",
        "id": id_,
        "currency": currency,
        "tax_included": "NO",
        "elements": [{"price_components": [{"type": "ENERGY", "price": price, "vat": "19", "step_size": 1}]}],
        "last_updated": "2026-01-01T00:00:00Z",
    }
