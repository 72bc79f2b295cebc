"""S3 and A05 with the database behind it: a charge point goes from profile to profile, and never back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from csms.charge_points import service as charge_points
from csms.charge_points.service import Choices
from csms.credentials import service
from csms.database.pool import connect_once
from csms.protocol.vocabulary import Registration
from csms.quirks.service import LOOK_EVERY_S
from tests.faults.world import commission, furnish, serving, until
from tests.hostile.peers import charge_point
from tests.hostile.test_tls_of_the_whole_server import Pki, heard, pki, wss
from tests.ports import free_port

__all__ = ["pki"]


async def refused(opening: Any) -> int:
    with pytest.raises(InvalidStatus) as answer:
        async with opening:
            pass
    return answer.value.response.status_code


async def test_what_a_charge_point_has_reached_it_keeps(database: str, data_home: Path, pki: Pki) -> None:
    port, data_dir = free_port(), data_home / "data"
    given = {
        name: tuple(value.split(",")) if isinstance(value, str) else value for name, value in pki.settings().items()
    }
    async with (
        serving(database, data_dir, tls_port=port, **given) as running,
        connect_once(database) as connection,
    ):
        await furnish(database)
        password = (await commission(database, data_dir, ["CP-1"]))["CP-1"]

        async def profiles() -> tuple[int, int | None]:
            known = await charge_points.get(connection, "CP-1")
            return known.security_profile, known.security_profile_wanted

        await service.want_profile(connection, "CP-1", 2)
        async with charge_point(running.ocpp_url, "CP-1", password) as socket:
            assert await heard(socket, "plain")
        still = await profiles()
        async with wss(port, "CP-1", pki.charge_point(), password) as socket:
            assert await heard(socket, "encrypted")
        with_tls = await profiles()
        back = await refused(charge_point(running.ocpp_url, "CP-1", password))

        await service.want_profile(connection, "CP-1", 3)
        async with wss(port, "CP-1", pki.charge_point("CP-1")) as socket:
            assert await heard(socket, "certified")
        with_certificate = await profiles()
        again = await refused(wss(port, "CP-1", pki.charge_point(), password))

        async def told() -> bool:
            rows = await connection.fetch(
                "SELECT charge_point, type, critical, sum(count) FROM security_event GROUP BY 1, 2, 3"
            )
            return [tuple(row) for row in rows] == [("CP-1", "SecurityProfileRefused", True, 2)]

        await until(told, what="both attempts counted")
        key = charge_points.load_password_key(data_dir)
        lowered, _ = await charge_points.change(connection, "CP-1", Choices(security_profile=1), key=key)
        async with charge_point(running.ocpp_url, "CP-1", password) as socket:
            assert await heard(socket, "by the operator")

    assert still == (1, 2)
    assert (with_tls, with_certificate) == ((2, None), (3, None))
    assert (back, again) == (403, 403)
    assert lowered.security_profile == 1


async def test_an_operator_s_word_ends_the_open_socket(database: str, data_home: Path, pki: Pki) -> None:
    """A new password, a rejection: each through the database, as from any node."""
    port, data_dir = free_port(), data_home / "data"
    given = {
        name: tuple(value.split(",")) if isinstance(value, str) else value for name, value in pki.settings().items()
    }
    async with serving(database, data_dir, tls_port=port, **given) as running, connect_once(database) as connection:
        await furnish(database)
        password = (await commission(database, data_dir, ["CP-1"]))["CP-1"]
        key = charge_points.load_password_key(data_dir)

        async def ended(socket: Any) -> int:
            async with asyncio.timeout(20):
                await socket.wait_closed()
            assert socket.close_code is not None
            return int(socket.close_code)

        async with charge_point(running.ocpp_url, "CP-1", password) as socket:
            assert await heard(socket, "with the old password")
            await asyncio.sleep(LOOK_EVERY_S + 1)  # a node begins by looking what there is
            await charge_points.change(connection, "CP-1", Choices(password="another-one-of-16"), key=key)
            by_password = await ended(socket)
        async with charge_point(running.ocpp_url, "CP-1", "another-one-of-16") as socket:
            assert await heard(socket, "with the new one")
            await charge_points.change(connection, "CP-1", Choices(registration=Registration.REJECTED), key=key)
            rejected = await ended(socket)

    assert (by_password, rejected) == (1008, 1008)
