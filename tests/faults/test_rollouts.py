"""A roll-out of firmware outlives its server: killed in the middle, it goes on where it was, and nobody gets it twice."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trustme

from csms.database.pool import connect_once
from csms.firmware import images
from csms.rollouts import service
from csms.rollouts.plan import Plan, Share, waves
from csms.rollouts.service import Choice
from simulators.charge_point import Build, Credentials, ModelClock, ReconnectPolicy, SimulatedChargePoint
from tests.faults.world import ServerProcess, commission, furnish, installation, rounds, serving, until
from tests.ports import free_port

IMAGE = random.Random(3).randbytes(60_000)
VERSION = "4.0.0"
PATIENCE_S = 300.0
EAGER = ReconnectPolicy(wait_s=0.1, range_s=0.3, doublings=0, open_timeout_s=10.0, close_timeout_s=0.5)
PLAN = Plan(
    waves=waves("5,20%,100%"), stop_at=Share(100, is_percent=True), attempts_max=5, retry_wait_s=1, parallel=25,
    silence_s=15, offline_s=5, proof_s=1, transfer_retries=5, transfer_interval_s=1,
)  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """Settings of a file endpoint; its port stays the same when the server is started again."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "files.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "files.key")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return {
        "files_host": "127.0.0.1", "files_port": free_port(), "files_cert": tmp_path / "files.pem",
        "files_key": tmp_path / "files.key",
    }  # fmt: skip


@contextlib.asynccontextmanager
async def fleet(url: str, passwords: Mapping[str, str], trust: Path) -> AsyncIterator[list[SimulatedChargePoint]]:
    """Charge points of both versions that have booted and do what they are asked."""
    async with contextlib.AsyncExitStack() as stack:
        stations = []
        for number, (name, password) in enumerate(passwords.items()):
            build = Build(
                protocol=("ocpp1.6", "ocpp2.0.1")[number % 2], reconnect=EAGER, boot_wait_max_s=PATIENCE_S, trust=trust
            )
            credentials = Credentials(url=url, identity=name, password=password)
            station = SimulatedChargePoint(credentials, ModelClock(datetime.now(UTC)), build)
            stations.append(await stack.enter_async_context(station))
        await asyncio.gather(*(station.boot() for station in stations))
        yield stations


async def begin(dsn: str, plan: Plan) -> int:
    async with connect_once(dsn) as connection:
        image = await images.add(
            connection, io.BytesIO(IMAGE), name=f"pump-{VERSION}.bin", version=VERSION, vendor=None, model=None,
            signature=None, certificate=None, actor="operator",
        )  # fmt: skip
        chosen = await service.choose(connection, Choice(), plan, image=image["id"])
        return await service.create(connection, chosen, plan, image=image["id"], actor="operator")


async def done(dsn: str, at_least: int) -> bool:
    async with connect_once(dsn) as connection:
        return bool(
            await connection.fetchval("SELECT count(*) >= $1 FROM rollout_member WHERE state = 'done'", at_least)
        )


async def is_over(dsn: str) -> bool:
    async with connect_once(dsn) as connection:
        return bool(await connection.fetchval("SELECT state = 'done' FROM rollout"))


async def test_a_rollout_survives_its_server_being_killed_and_started_again(
    database: str, tmp_path: Path, files: dict[str, Any]
) -> None:
    number = rounds(24, 200, of="charge points in a roll-out")
    async with installation(tmp_path / "data", dsn=database, **files) as server:
        names = [f"CP-{n:03}" for n in range(number)]
        passwords = await commission(database, server.data_dir, names)
        async with fleet(server.url, passwords, tmp_path / "ca.pem") as stations:
            await begin(database, PLAN)
            for share in (4, 2):
                await until(partial(done, database, number // share), what="some have it", within_s=PATIENCE_S)
                await server.kill()
                await asyncio.sleep(1)
                await server.start()
            await until(partial(is_over, database), what="the roll-out is over", within_s=PATIENCE_S)
            versions = {station.transfers.version for station in stations}
            contents = {bytes(station.transfers.downloads[-1].content) for station in stations}
        assert not server.bugs()

    assert versions == {VERSION}
    assert contents == {IMAGE}
    await nobody_was_asked_too_often(database, stations)


async def nobody_was_asked_too_often(dsn: str, stations: list[SimulatedChargePoint]) -> None:
    """Everybody has it, was asked for a reason each time, and not any more once it was done."""
    async with connect_once(dsn) as connection:
        members = await connection.fetch("SELECT charge_point, state, asked, failures FROM rollout_member")
        events = await connection.fetch("SELECT charge_point, kind, attempt FROM rollout_event ORDER BY id")
    assert {row["state"] for row in members} == {"done"}
    asked = {row["charge_point"]: row["asked"] for row in members}
    for station in stations:
        steps = [row["kind"] for row in events if row["charge_point"] == station.identity]
        assert steps.count("asked") == asked[station.identity]
        assert len(station.transfers.downloads) <= asked[station.identity]
        assert steps[-1] == "done"
        again = [before for before, each in pairwise(steps) if each == "asked"]
        assert set(again) <= {"attempt_failed", "not_reached", "waits"}


async def test_two_nodes_share_a_rollout_and_the_death_of_one_does_not_end_it(
    database: str, tmp_path: Path, files: dict[str, Any]
) -> None:
    """Charge points at the living node are asked by either of the two, and once."""
    given = {**files, "files_cert": (files["files_cert"],), "files_key": (files["files_key"],), "node_lease_s": 2.0}
    async with serving(database, tmp_path, **given) as living:
        await furnish(database)
        other = ServerProcess(data_dir=tmp_path, dsn=database, given={**files, "files_port": free_port()})
        await other.start()
        try:
            passwords = await commission(database, tmp_path, [f"CP-{n}" for n in range(8)])
            async with fleet(living.ocpp_url, passwords, tmp_path / "ca.pem") as stations:
                await begin(database, PLAN)
                await until(partial(done, database, 1), what="one has it", within_s=PATIENCE_S)
                await other.kill()
                await until(partial(is_over, database), what="the roll-out is over", within_s=PATIENCE_S)
        finally:
            if other.runs:
                await other.kill()
            other.log_path.unlink(missing_ok=True)
    await nobody_was_asked_too_often(database, stations)
