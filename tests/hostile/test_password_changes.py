"""S6: a charge point is given another password, and what becomes of it: accepted, refused, no answer, a lost connection."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from csms.charge_points import service as charge_points
from csms.credentials import service
from csms.database.pool import connect_once
from csms.nodes.routing import ask
from csms.protocol.vocabulary import Outcome
from simulators.charge_point import Build, Credentials, ModelClock, ReconnectPolicy, SimulatedChargePoint
from tests.faults.world import commission, furnish, serving, until

BOTH = ("ocpp1.6", "ocpp2.0.1")
SETTING = {"ocpp1.6": "AuthorizationKey", "ocpp2.0.1": "SecurityCtrlr.BasicAuthPassword"}
QUICK = ReconnectPolicy(wait_s=0.05, range_s=0.05, doublings=1, retry_refused=True)
CP = "CP-1"


@dataclass
class Room:
    """A server, its operator, and a charge point with a password."""

    url: str
    connection: Any
    key: bytes
    protocol: str
    password: str

    async def change(self, password: str, *, timeout_s: float = 10) -> Outcome:
        command = await service.begin(
            self.connection, CP, password, key=self.key, actor="operator", timeout_s=timeout_s
        )
        return await ask(self.connection, CP, command, actor="operator", timeout_s=timeout_s)

    async def states(self) -> list[str]:
        """Of all changes, in the order in which they were made."""
        return [row["state"] for row in reversed(await service.changes(self.connection, charge_point=CP, most=10))]

    async def opens(self, password: str | bytes) -> bool:
        """Whether a handshake with it is let in; what it shows counts, as any handshake does."""
        raw = password if isinstance(password, bytes) else password.encode()
        token = base64.b64encode(CP.encode() + b":" + raw).decode()
        try:
            async with connect(
                f"{self.url}/{CP}", subprotocols=[Subprotocol(self.protocol)],
                additional_headers={"Authorization": f"Basic {token}"}, proxy=None,
            ) as socket:  # fmt: skip
                await socket.send('[2, "1", "Heartbeat", {}]')
                async with asyncio.timeout(10):
                    await socket.recv()  # by now the server has drawn its conclusions
                return True
        except InvalidStatus as refused:
            return refused.response.status_code != HTTPStatus.UNAUTHORIZED

    @contextlib.asynccontextmanager
    async def station(self) -> AsyncIterator[SimulatedChargePoint]:
        credentials = Credentials(url=self.url, identity=CP, password=self.password)
        build = Build(protocol=self.protocol, reconnect=QUICK, boot_wait_max_s=20.0)
        async with SimulatedChargePoint(credentials, ModelClock(datetime.now(UTC)), build) as made:
            await made.boot()
            yield made

    async def online(self) -> bool:
        [row] = await service.fleet(self.connection, id_=CP)
        return row["protocol"] is not None


@pytest.fixture(params=BOTH)
async def room(request: pytest.FixtureRequest, database: str, data_home: Path) -> AsyncIterator[Room]:
    data_dir = data_home / "data"
    async with serving(database, data_dir) as running, connect_once(database) as connection:
        await furnish(database)
        passwords = await commission(database, data_dir, [CP])
        key = charge_points.load_password_key(data_dir)
        yield Room(running.ocpp_url, connection, key, request.param, passwords[CP])


async def test_after_accepted_the_former_password_is_over_with_the_next_handshake(room: Room) -> None:
    new = service.new_password()
    async with room.station() as station:
        outcome = await room.change(new)
        still_online = await room.online()
        await station.offline()
        before = await room.opens(room.password)
        await station.online_again()

    assert (outcome.status, await room.states()) == ("Accepted", ["in_use"])
    assert still_online
    assert not before
    assert not await room.opens(room.password)
    assert await room.opens(new)
    assert await room.opens(bytes.fromhex(new)) == await room.opens(new.upper())


async def test_after_rejected_the_former_password_stays_and_the_new_one_opens_nothing(room: Room) -> None:
    new = service.new_password()
    async with room.station() as station:
        station.secrets.rejects = True
        outcome = await room.change(new)
        await station.offline()
        await station.online_again()

    assert (outcome.status, await room.states()) == ("Rejected", ["refused"])
    assert not await room.opens(new)
    assert await room.opens(room.password)


async def test_a_connection_lost_after_the_change_brings_the_charge_point_back_with_the_new_one(room: Room) -> None:
    new = service.new_password()
    async with room.station() as station:
        station.secrets.loses = "the answer"
        outcome = await room.change(new)

        async def is_back() -> bool:
            return await room.states() == ["in_use"]

        await until(is_back, what="it has come back")

    assert not outcome.accepted
    assert not await room.opens(room.password)
    assert await room.opens(new)


async def test_a_connection_lost_before_the_change_brings_it_back_with_the_former_one(room: Room) -> None:
    new = service.new_password()
    async with room.station() as station:
        station.secrets.loses = "the change"
        await room.change(new)

        async def is_back() -> bool:
            return await room.states() == ["not_taken"]

        await until(is_back, what="it has come back")

    assert not await room.opens(new)
    assert await room.opens(room.password)


@pytest.mark.parametrize("holds_new", [True, False])
async def test_without_an_answer_both_open_the_door_until_it_comes_with_one(room: Room, holds_new: bool) -> None:
    new = service.new_password()
    token = base64.b64encode(f"{CP}:{room.password}".encode()).decode()
    async with connect(
        f"{room.url}/{CP}", subprotocols=[Subprotocol(room.protocol)],
        additional_headers={"Authorization": f"Basic {token}"}, proxy=None,
    ):  # fmt: skip
        outcome = await room.change(new, timeout_s=1)
    known = await charge_points.get(room.connection, CP)
    shown, other = (new, room.password) if holds_new else (room.password, new)

    assert (outcome.status, await room.states()) == ("timeout", ["unknown"])
    assert len(known.passwords_waiting) == 1
    assert await room.opens(shown)
    assert not await room.opens(other)
    assert await room.opens(shown)
    assert await room.states() == ["in_use" if holds_new else "not_taken"]


async def test_one_that_takes_effect_after_a_restart_leaves_the_former_one_until_then(room: Room) -> None:
    new = service.new_password()
    async with room.station() as station:
        station.dialect.settings.entries[SETTING[room.protocol]].reboot_required = True
        outcome = await room.change(new)
        await station.offline()
        await station.online_again()
        before = await room.states()
        await station.reboot()
        after = await room.states()

    assert (outcome.status, before, after) == ("RebootRequired", ["after_restart"], ["in_use"])
    assert not await room.opens(room.password)
    assert await room.opens(new)


async def test_the_password_is_in_clear_nowhere_on_its_way(room: Room) -> None:
    new = service.new_password()
    async with room.station():
        await room.change(new)
    rows = [
        str(dict(row))
        for table in ("command", "password_change", "frame", "charge_point")
        for row in await room.connection.fetch(f"SELECT * FROM {table}")
    ]
    [kept] = [row for row in rows if "ChangePassword" in row]

    assert [row for row in rows if new in row] == []
    assert "'body': None" in kept
    assert "(hidden)" in kept


@pytest.mark.parametrize("protocol", BOTH)
async def test_a_charge_point_that_reaches_a_higher_profile_stays_there(
    database: str, data_home: Path, protocol: str
) -> None:
    """A05 over plain sockets, from no password to one; S3 has the profiles with TLS."""
    data_dir = data_home / "data"
    async with serving(database, data_dir) as running, connect_once(database) as connection:
        await furnish(database)
        key = charge_points.load_password_key(data_dir)
        await charge_points.create(connection, CP, charge_points.Choices(site="harbour", security_profile=0), key=key)
        room = Room(running.ocpp_url, connection, key, protocol, "")
        async with room.station() as station:
            new = service.new_password()
            await room.change(new)
            await service.want_profile(connection, CP, 1)
            await station.offline()
            undecided = await charge_points.get(connection, CP)
            await station.online_again()
            reached = await charge_points.get(connection, CP)
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{room.url}/{CP}", subprotocols=[Subprotocol(protocol)], proxy=None):
                pass

    assert (undecided.security_profile, undecided.security_profile_wanted) == (0, 1)
    assert (reached.security_profile, reached.security_profile_wanted) == (1, None)
    assert refused.value.response.status_code == 401
