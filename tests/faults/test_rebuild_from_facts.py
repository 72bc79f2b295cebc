"""M11: after a day on which everything failed, the sessions folded from their facts anew are the ones that are stored."""

from __future__ import annotations

from pathlib import Path

from csms.database.pool import connect_once
from csms.site_limits import service
from simulators.grid import GridConnection
from tests.faults.books import assert_follows_from_facts
from tests.faults.site_day import bay
from tests.faults.test_site_limit import CALL_TIMEOUT_S, COUNT, GIVEN, LIMIT, SPEED, TIMING, pass_the_day
from tests.faults.world import commission, furnish, rounds, serving

STAYS_MIN = 20


async def test_a_day_of_failures_rebuilt_from_its_facts_is_the_day_that_is_stored(
    database: str, tmp_path: Path
) -> None:
    """M11, while the last vehicles still stand there and after the charge points have gone."""
    hours = rounds(4, 24, of="hours of a day at a site")
    async with serving(database, tmp_path, **GIVEN) as running:
        await furnish(database)
        passwords = await commission(database, tmp_path, [f"CP-{n:02}" for n in range(COUNT)])
        async with connect_once(database) as connection:
            await service.set_limit(connection, "harbour", LIMIT, TIMING, actor="test")
        bays = [
            bay(
                running.ocpp_url, name, password, grid=GridConnection(), n=n, speed=SPEED, hours=hours,
                too_late_s=CALL_TIMEOUT_S * 1.5,
            )
            for n, (name, password) in enumerate(passwords.items())
        ]  # fmt: skip
        await pass_the_day(bays, database)
        report = await assert_follows_from_facts(database)

    assert {what for each in bays for what in each.befell} >= {"offline", "reboot"}
    assert report.sessions >= STAYS_MIN
    assert report.bills >= STAYS_MIN
    assert (await assert_follows_from_facts(database)).sessions == report.sessions
