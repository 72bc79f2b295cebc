"""A site, a tariff, a token and as many charge points as the benchmark needs, all fictitious."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from billing.tariffs import service as tariffs
from billing.tariffs.assignment import Scope
from csms.charge_points import service as charge_points
from csms.charge_points.service import Choices
from csms.database.migrate import migrate
from csms.database.pool import connect_once
from csms.sites import service as sites
from csms.tokens import service as tokens
from tests.bench.messages import TOKEN

PASSWORD = "bench-password-0001"
TARIFF = {
    "country_code": "DE",
    "party_id": "EXA",
    "id": "BENCH",
    "currency": "EUR",
    "tax_included": "NO",
    "elements": [{"price_components": [{"type": "ENERGY", "price": "0.49", "vat": "19", "step_size": 1}]}],
    "last_updated": "2026-01-01T00:00:00Z",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    identity: str
    password: str


async def provision(dsn: str, data_dir: Path, count: int) -> list[Login]:
    """`count` charge points, accepted and without metering template: its calls are not what is measured."""
    await migrate(dsn)
    key = charge_points.load_password_key(data_dir)
    logins = [Login(identity=f"BENCH-{n:05}", password=PASSWORD) for n in range(count)]
    now = datetime.now(UTC)
    async with connect_once(dsn) as connection:
        await sites.create(connection, "bench", name="Bench", country="DE", time_zone="Europe/Berlin", currency="EUR")
        await tariffs.create(connection, json.dumps(TARIFF), now=now)
        await tariffs.assign(
            connection, "BENCH", scope=Scope("default"), target=None, now=now,
            valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        await tokens.issue(connection, TOKEN, group=None, expires_at=None, actor="bench")
        choices = Choices(site="bench", password=PASSWORD, template=False)
        async with connection.transaction():
            for login in logins:
                await charge_points.create(connection, login.identity, choices, key=key)
    return logins
