"""The demo's fictitious operator: two sites, their tariffs and tokens, and what each charge point is about to do."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing import Scope, assign_tariff, create_tariff, open_demo_books
from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import Current
from csms.charge_points.service import Choices
from csms.protocol.vocabulary import Protocol
from csms.sessions.policy import ReviewPolicy
from csms.sessions.store import SQL as SESSIONS
from csms.sites import service as sites
from csms.tokens import service as tokens

ACTOR = "csms demo"
TOKENS = ("CARD-0001", "CARD-0002", "CARD-0003")
PRIVATE, FLEET = "C-1001", "C-2001"
CARDS = {TOKENS[0]: PRIVATE, TOKENS[1]: FLEET}
"""Whose they are. Nobody's account pays for the third: who charges with it gets receipts."""
STRANGER = "GHOST-0404"  # never issued
HARBOUR, HILLTOP = "demo-harbour", "demo-hilltop"
SESSION_S_MAX = Decimal(90 * 24 * 3600)
"""The stories are told weeks after their days: seen running today, none of them is too long for that alone."""


def _tariff(id_: str, text: str, *components: tuple[str, str, int]) -> str:
    prices = [{"type": kind, "price": price, "vat": "19.0", "step_size": step} for kind, price, step in components]
    return json.dumps(
        {
            "country_code": "DE",
            "party_id": "EXA",
            "id": id_,
            "currency": "EUR",
            "type": "REGULAR",
            "tariff_alt_text": [{"language": "en", "text": text}],
            "elements": [{"price_components": prices}],
            "tax_included": "NO",
            "last_updated": "2026-01-01T00:00:00Z",
        }
    )


HARBOUR_TARIFF = _tariff("DEMO-KWH", "EUR 0.49 per kWh", ("ENERGY", "0.49", 1))
HILLTOP_TARIFF = _tariff(
    "DEMO-KWH-PARKING",
    "EUR 1.00 per session, 0.39 per kWh, 2.00 per hour of parking",
    ("FLAT", "1.00", 1),
    ("ENERGY", "0.39", 1),
    ("PARKING_TIME", "2.00", 60),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must become of one session: its exact total (None: held), the reasons that must hold it, its bill's notes."""

    energy_wh: int
    total_incl_tax: Decimal | None = None
    holds: frozenset[str] = frozenset()
    notes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One charge point and its story. `expected` is worked out by hand, session by session."""

    charge_point: str
    site: str
    protocol: Protocol
    scenario: str
    story: str
    expected: tuple[Expected, ...]
    token: str = TOKENS[0]


def _held(energy_wh: int, *holds: str) -> Expected:
    return Expected(energy_wh=energy_wh, holds=frozenset(holds))


def _billed(energy_wh: int, total: str, *notes: str) -> Expected:
    return Expected(energy_wh=energy_wh, total_incl_tax=Decimal(total), notes=frozenset(notes))


# 10 kWh x 0.49 x 1.19 = 5.831; (1.00 + 10 x 0.39 + 0.5 h x 2.00) x 1.19 = 7.021; 5.5 x 0.49 x 1.19 = 3.20705;
# 2 x 0.49 x 1.19 = 1.1662. Each is rounded half up once, at the session's total.
ACTS = (
    Act(charge_point="DEMO-01", site=HARBOUR, protocol=Protocol.V16, scenario="normal",
        story="an ordinary hour", expected=(_billed(10_000, "5.83"),)),
    Act(charge_point="DEMO-02", site=HARBOUR, protocol=Protocol.V201, scenario="normal",
        story="an ordinary hour", expected=(_billed(10_000, "5.83"),)),
    Act(charge_point="DEMO-03", site=HILLTOP, protocol=Protocol.V201, scenario="normal",
        story="stays on with a full battery", expected=(_billed(10_000, "7.02"),), token=TOKENS[1]),
    Act(charge_point="DEMO-04", site=HARBOUR, protocol=Protocol.V16, scenario="offline_replay",
        story="loses the network, tells it later", expected=(_billed(10_000, "5.83"),), token=TOKENS[1]),
    Act(charge_point="DEMO-05", site=HARBOUR, protocol=Protocol.V201, scenario="offline_replay",
        story="loses the network, tells it later", expected=(_billed(10_000, "5.83"),)),
    Act(charge_point="DEMO-06", site=HARBOUR, protocol=Protocol.V16, scenario="repeated_start",
        story="repeats its StartTransaction", expected=(_billed(5_500, "3.21"),), token=TOKENS[2]),
    Act(charge_point="DEMO-07", site=HARBOUR, protocol=Protocol.V16, scenario="lost_stop",
        story="loses a StopTransaction", expected=(_held(7_000, "no_stop"), _billed(2_000, "1.17")), token=TOKENS[2]),
    Act(charge_point="DEMO-08", site=HARBOUR, protocol=Protocol.V201, scenario="register_jump",
        story="its meter jumps by 939 kWh",
        expected=(_held(949_000, "energy_over_limit", "energy_over_power", "register_jump", "unit_suspect"),)),
    Act(charge_point="DEMO-09", site=HARBOUR, protocol=Protocol.V16, scenario="unknown_token",
        story="charges an unknown card offline", expected=(_held(3_000, "token_unknown"),), token=STRANGER),
    Act(charge_point="DEMO-10", site=HARBOUR, protocol=Protocol.V16, scenario="zero_baseline",
        story="starts at register 0, means 909 MWh", expected=(_held(83, "zero_baseline_jump"),)),
    Act(charge_point="DEMO-11", site=HARBOUR, protocol=Protocol.V201, scenario="zero_energy",
        story="plugs in, nothing flows", expected=(_billed(0, "0.00", "waived"),)),
)  # fmt: skip


async def build(connection: Any, *, key: bytes, since: datetime) -> dict[str, str]:
    """Create it all, in force from `since` on; the passwords by charge point."""
    policy = replace(ReviewPolicy(), duration_s_max_ac=SESSION_S_MAX)
    await SESSIONS.insert_policy.execute(connection, version=2, body=policy.to_dict())
    await sites.create(
        connection, HARBOUR, name="Example Harbour", country="DE", time_zone="Europe/Berlin", currency="EUR"
    )
    await sites.create(
        connection, HILLTOP, name="Example Hilltop", country="DE", time_zone="Europe/Berlin", currency="EUR"
    )
    for token in TOKENS:
        await tokens.issue(connection, token, group="EXAMPLE", expires_at=None, actor=ACTOR)
    now = datetime.now(UTC)
    for document, scope, target in (
        (HARBOUR_TARIFF, Scope.DEFAULT, None),
        (HILLTOP_TARIFF, Scope.SITE, HILLTOP),
    ):
        tariff = await create_tariff(connection, document, now=now)
        await assign_tariff(connection, tariff.id, scope=scope, target=target, now=now, valid_from=since)
    await open_demo_books(connection, sites=(HARBOUR, HILLTOP), cards=CARDS, since=since, now=now)
    passwords: dict[str, str] = {}
    for act in ACTS:
        _, password = await charge_points.create(
            connection,
            act.charge_point,
            Choices(site=act.site, protocol=act.protocol, current=Current.AC, max_power_w=Decimal(22_000)),
            key=key,
        )
        assert password is not None
        passwords[act.charge_point] = password
    return passwords
