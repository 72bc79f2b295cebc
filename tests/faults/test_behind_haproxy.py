"""Nodes behind HAProxy as its example configures it: addresses, TLS at either end, drains, and the whole cluster at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID
from websockets.exceptions import InvalidStatus

from csms.charge_points import service as charge_points
from csms.charge_points.service import Choices
from csms.database.pool import connect_once
from csms.nodes.routing import GRACE, ask
from csms.nodes.service import live_nodes
from csms.protocol.vocabulary import Outcome, SendVendorData
from simulators.charge_point import Build, Connection
from tests.faults.balancer import PROXY, Balancer, balanced, needs_haproxy
from tests.faults.books import assert_nothing_lost
from tests.faults.load import charging, usual_build
from tests.faults.wire import boot, wire
from tests.faults.world import ServerProcess, commission, furnish, rounds, until
from tests.ports import free_port

pytestmark = needs_haproxy

NODES = 3
HERE = "127.0.0.5"
"""Where a charge point comes from; the balancer comes to the nodes from 127.0.0.1."""
ASKED_AT_ONCE = 8
ASK_TIMEOUT_S = 8.0
SPARE_S = 10.0
"""Beyond its own timeout and the node's grace: how late an outcome may be told on a machine that has much else to do."""


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@contextlib.asynccontextmanager
async def cluster(
    database: str, directory: Path, authority: trustme.CA, **given: Any
) -> AsyncIterator[tuple[list[ServerProcess], Balancer]]:
    """Three servers on one Postgres behind HAProxy."""
    server = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key, both, ca = (directory / name for name in ("csms.pem", "csms.key", "both.pem", "ca.pem"))
    certificate.write_bytes(b"".join(each.bytes() for each in server.cert_chain_pems))
    key.write_bytes(server.private_key_pem.bytes())
    both.write_bytes(server.private_key_and_cert_chain_pem.bytes())
    authority.cert_pem.write_to_path(ca)
    tls = {"tls_cert": certificate, "tls_key": key, "tls_client_ca": ca, "proxy_protocol_from": PROXY}
    await furnish(database)
    nodes = [
        ServerProcess(data_dir=directory, dsn=database, given={**tls, "tls_port": free_port(), **given})
        for _ in range(NODES)
    ]
    try:
        await asyncio.gather(*(each.start() for each in nodes))
        async with balanced(directory, nodes, certificate=both) as balancer:
            yield nodes, balancer
    finally:
        await asyncio.gather(*(each.terminate() for each in nodes if each.runs))
        for each in nodes:
            print(each.log_tail())  # noqa: T201 - pytest shows it with a failure only
            each.log_path.unlink()


# --- one charge point ------------------------------------------------------------------------------------------------


async def test_each_end_of_tls_gives_a_charge_point_its_own_address_and_profile(
    database: str, tmp_path: Path, authority: trustme.CA
) -> None:
    async with cluster(database, tmp_path, authority) as (nodes, balancer), connect_once(database) as connection:
        key = charge_points.load_password_key(tmp_path)
        passwords = {}
        for profile in (1, 2, 3):
            choices = Choices(site="harbour", security_profile=profile)
            _, password = await charge_points.create(connection, f"CP-{profile}", choices, key=key)
            passwords[profile] = password or ""
        ends_here = f"wss://localhost:{balancer.tls_ends_here}/ocpp"
        passes_through = f"wss://localhost:{balancer.tls_passes_through}/ocpp"
        known, certified = _context(authority), _context(authority, tmp_path, "CP-3")

        async def status(url: str, profile: int, **options: Any) -> int:
            target: dict[str, Any] = {"local_addr": (HERE, 0), "host": "127.0.0.1", **options}
            try:
                async with wire(url, f"CP-{profile}", passwords[profile], **target) as station:
                    assert (await station.call("Heartbeat", {})).error is None
            except InvalidStatus as refused:
                return refused.response.status_code
            return 101

        assert await status(balancer.url, 1) == 101
        assert await status(balancer.url, 2) == 403
        assert await status(ends_here, 2, ssl=known) == 101
        assert await status(ends_here, 3, ssl=certified) == 403
        assert await status(passes_through, 2, ssl=known) == 101
        assert await status(passes_through, 3, ssl=known) == 403
        assert await status(passes_through, 3, ssl=certified) == 101
        remotes = {row["remote"] for row in await connection.fetch("SELECT DISTINCT remote FROM socket")}
        used = await connection.fetchval("SELECT count(DISTINCT node) FROM socket")
        lines = [line for node in nodes for line in node.log_lines()]

    assert remotes == {HERE}
    assert used == NODES
    assert {line["remote"] for line in lines if line["event"] == "handshake_refused"} == {HERE}


def _context(authority: trustme.CA, directory: Path | None = None, common_name: str = "") -> ssl.SSLContext:
    """What a charge point uses; with a certificate of its own where a name is given."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if directory is None:
        return context
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signer = load_pem_private_key(authority.private_key_pem.bytes(), password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .sign(signer, hashes.SHA256())
    )
    certificate, private = directory / "leaf.pem", directory / "leaf.key"
    certificate.write_bytes(leaf.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context.load_cert_chain(certificate, private)
    return context


async def test_a_node_that_drains_or_is_not_ready_costs_no_charge_point_a_failed_attempt(
    database: str, tmp_path: Path, authority: trustme.CA
) -> None:
    attempts = 12
    async with cluster(database, tmp_path, authority) as (nodes, balancer), connect_once(database) as connection:
        passwords = await commission(database, tmp_path, [f"CP-{n}" for n in range(attempts)])
        first = [f"CP-{n}" for n in range(attempts // 2)]
        async with contextlib.AsyncExitStack() as stack:
            stations = []
            for name in first:
                station = await stack.enter_async_context(wire(balancer.url, name, passwords[name]))
                await boot(station)
                stations.append(station)
            spread = {each["charge_points"] for each in await live_nodes(connection)}
            ended = await nodes[0].terminate()
            assert sorted(each.socket.close_code or 0 for each in stations if each.socket.close_code) == [1012, 1012]
            for name in sorted(set(passwords) - set(first)):  # at once, before any check can have failed
                station = await stack.enter_async_context(wire(balancer.url, name, passwords[name]))
                assert (await boot(station)).error is None

    assert ended == 0
    assert spread == {2}  # leastconn


# --- all of them -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Asked:
    """What an operator heard of each command, by what was unique in it."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    arrived: Counter[str] = field(default_factory=Counter)

    def build(self, index: int) -> Build:
        return usual_build(index, wrap=partial(_Heard, self))

    def problems(self) -> list[str]:
        found = []
        for name, outcome in self.outcomes.items():
            times = self.arrived[name]
            answered = outcome.status not in {"offline", "timeout"}
            if self.took_s[name] > ASK_TIMEOUT_S + GRACE.total_seconds() + SPARE_S:
                found.append(f"{name} was told after {self.took_s[name]:.1f} s: {outcome}")
            if not answered and not outcome.detail:
                found.append(f"{name} failed without a reason: {outcome}")
            if times > 1 or (answered and times != 1) or (outcome.status == "offline" and times):
                found.append(f"{name} arrived {times} times: {outcome}")
        return found


@dataclass(slots=True)
class _Heard:
    """A websocket of a charge point that notes which commands came over it."""

    asked: Asked
    connection: Connection

    async def send(self, message: str) -> None:
        await self.connection.send(message)

    async def recv(self) -> Any:
        message = await self.connection.recv()
        frame = json.loads(message)
        if frame[0] == 2 and frame[2] == "DataTransfer":
            self.asked.arrived[frame[3]["data"]] += 1
        return message


@contextlib.asynccontextmanager
async def asking(dsn: str, names: Sequence[str], asked: Asked) -> AsyncIterator[None]:
    """Operators who never stop asking while the block runs; their last question is answered too."""
    ending = asyncio.Event()
    numbers = itertools.count(1)
    chance = random.Random(1)

    async def ask_on() -> None:
        loop = asyncio.get_running_loop()
        async with connect_once(dsn) as connection:
            while not ending.is_set():
                unique = f"question-{next(numbers)}"
                command = SendVendorData(vendor="com.example", message="Question", data=unique)
                begin = loop.time()
                asked.outcomes[unique] = await ask(
                    connection, chance.choice(names), command, actor="operator", timeout_s=ASK_TIMEOUT_S
                )
                asked.took_s[unique] = loop.time() - begin

    async with asyncio.TaskGroup() as tasks:
        for _ in range(ASKED_AT_ONCE):
            tasks.create_task(ask_on())
        try:
            yield
        finally:
            ending.set()


async def test_a_cluster_loses_nothing_while_one_node_is_killed_and_one_drained(
    database: str, tmp_path: Path, authority: trustme.CA
) -> None:
    """One node is left, with all charge points; every session is billed once, every command answered or failed."""
    count = rounds(24, 500, of="charge points behind HAProxy")
    busy = rounds(12, 200, of="sessions at once behind HAProxy")
    asked = Asked()
    async with cluster(database, tmp_path, authority) as (nodes, balancer), connect_once(database) as connection:
        passwords = await commission(database, tmp_path, [f"CP-{n}" for n in range(count)])
        async with charging(balancer.url, passwords, busy=busy, samples=20, pace_s=0.3, build=asked.build) as fleet:
            await until(partial(_held, connection, count), what="all charge points are there", within_s=120)
            await until(partial(_running, connection, busy), what="all sessions run", within_s=120)
            spread = [each["charge_points"] for each in await live_nodes(connection)]
            async with asking(database, sorted(passwords), asked):
                await fleet.heard(3 * busy)
                await nodes[0].kill()
                await fleet.heard(3 * busy)
                ended = await nodes[1].terminate()
                await fleet.heard(3 * busy)
                await until(partial(_all_at_one, connection, count), what="all charge points are back", within_s=120)
                await fleet.heard(3 * busy)
            assert len(fleet.connected()) == count
        summary = await assert_nothing_lost(database, fleet.truths)
        bugs = [line for node in nodes for line in node.bugs()]

    statuses = Counter(outcome.status for outcome in asked.outcomes.values())
    print(f"{summary}; commands: {dict(statuses)}")  # noqa: T201 - what was run
    assert len(spread) == NODES
    assert max(spread) - min(spread) <= count // 4  # leastconn, counted while some come
    assert ended == 0
    assert summary.sessions == summary.billed >= busy
    assert not asked.problems()
    assert statuses["UnknownVendorId"] > 0
    assert not bugs


async def _held(connection: asyncpg.Connection[Any], count: int) -> bool:
    open_ = await connection.fetchval("SELECT count(DISTINCT charge_point) FROM socket WHERE closed_at IS NULL")
    return bool(open_ == count)


async def _running(connection: asyncpg.Connection[Any], count: int) -> bool:
    return bool(await connection.fetchval("SELECT count(*) FROM session WHERE ended_at IS NULL") >= count)


async def _all_at_one(connection: asyncpg.Connection[Any], count: int) -> bool:
    nodes = await live_nodes(connection)
    return len(nodes) == 1 and nodes[0]["charge_points"] == count and await _held(connection, count)
