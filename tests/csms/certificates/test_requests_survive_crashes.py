"""A request that was answered is never lost: the server is killed while the authority is away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from certificates_room import OPERATOR
from est_server import PASSWORD, USER, est_server

from csms.database.pool import connect_once
from simulators.charge_point import Build, Credentials, ModelClock, ReconnectPolicy, SimulatedChargePoint
from simulators.charge_point.certificates import CHARGE_POINT
from tests.faults.world import commission, installation

PATIENCE_S = 60.0


async def test_a_killed_server_goes_on_where_it_was_and_the_charge_point_asks_only_once(
    database: str, data_home: Path, tmp_path: Path
) -> None:
    with est_server(tmp_path) as est:
        est.answers = [503] * 10_000
        given = {
            "est_url": est.url, "est_ca": est.ca_file, "est_user": USER, "est_password": PASSWORD,
            "certificate_sweep_interval_s": 0.2, "certificate_retry_s": 0.2, "tls_client_organisation": OPERATOR,
        }  # fmt: skip
        async with installation(data_home / "data", dsn=database, **given) as server:
            passwords = await commission(database, data_home / "data", ["CP-1"])
            credentials = Credentials(url=server.url, identity="CP-1", password=passwords["CP-1"])
            build = Build(protocol="ocpp2.0.1", reconnect=ReconnectPolicy(wait_s=0.1, range_s=0.1, doublings=1))
            async with SimulatedChargePoint(credentials, ModelClock(datetime.now(UTC)), build) as station:
                station.dialect.settings.entries["SecurityCtrlr.OrganizationName"].value = OPERATOR
                await station.boot()
                answer = await station.certificates.renew()
                await server.kill()
                before = dict(station.certificates.own)
                est.answers.clear()
                await server.start()
                async with asyncio.timeout(PATIENCE_S):
                    while CHARGE_POINT not in station.certificates.own:  # noqa: ASYNC110 - it lies in another process
                        await asyncio.sleep(0.1)
                number = station.certificates.own[CHARGE_POINT].leaf.serial_number
        async with connect_once(database) as connection:
            certificates = await connection.fetch("SELECT number FROM certificate")
            requests = await connection.fetchval("SELECT count(*) FROM certificate_request")
            alarms = await connection.fetch("SELECT kind FROM certificate_alarm")

    assert (answer, before) == ("Accepted", {})
    assert [row["number"] for row in certificates] == [f"{number:X}"]
    assert requests == 1
    assert {row["kind"] for row in alarms} <= {"authority_unreachable"}
