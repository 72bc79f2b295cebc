"""A month of charging made up from one seed: sites in four zones, thirty tariffs, and what each charge point will see."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from billing.discounts.rule import Rule
from billing.rating.rating import Basis, ComponentName, Effect
from billing.tariffs.assignment import Scope
from billing.taxes.tax_rule import Category, TaxRule

SITES = (
    ("harbour", "Europe/Berlin", "EUR", "DE"),
    ("pier", "America/New_York", "USD", "US"),
    ("reef", "Australia/Lord_Howe", "AUD", "AU"),
    ("temple", "Asia/Tokyo", "JPY", "JP"),
)
TARIFFS = 30
CARDS = tuple(f"CARD-{number:04d}" for number in range(1, 41))
UNKNOWN_CARD = "LOST-0001"


def component(kind: str, price: object, vat: object = "19", step: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": kind, "price": price, "vat": vat, "step_size": step} | more


def element(*components: dict[str, Any], **restrictions: Any) -> dict[str, Any]:
    return {"price_components": list(components)} | ({"restrictions": restrictions} if restrictions else {})


KWH = component("ENERGY", "0.49")
SHAPES: tuple[tuple[str, list[dict[str, Any]], dict[str, Any]], ...] = (
    ("flat", [element(KWH)], {}),
    ("gross", [element(component("ENERGY", "0.59", "7.7"))], {"tax_included": "YES"}),
    ("taxless", [element(component("ENERGY", "0.333333", None), component("FLAT", "1", None))], {"tax_included": "N/A"}),
    (
        "day and night",
        [element(component("ENERGY", "0.59"), start_time="07:00", end_time="22:00"), element(component("ENERGY", "0.39"))],
        {},
    ),
    (
        "weekend",
        [element(component("ENERGY", "0.29"), day_of_week=["SATURDAY", "SUNDAY"]), element(KWH, component("TIME", "1.20"))],
        {},
    ),
    ("parked", [element(KWH, component("PARKING_TIME", "3.60", "22", 60), component("TIME", "0.90", "10", 300))], {}),
    ("steps", [element(component("ENERGY", "0.55", "19", 500), component("FLAT", "0.35", "7"))], {}),
    ("least and most", [element(KWH)], {"min_price": {"before_taxes": "3"}, "max_price": {"before_taxes": "11"}}),
    (
        "grows dearer",
        [element(component("ENERGY", "0.35"), max_kwh=10), element(component("ENERGY", "0.65"))],
        {},
    ),
    ("late", [element(KWH, component("TIME", "6", "19"), min_duration=7200), element(KWH)], {}),
    ("free", [element(component("ENERGY", "0"))], {}),
    ("whole stay", [element(KWH, component("X_OCCUPANCY", "1.5", "19", 60))], {}),
    (
        "idle fee",
        [
            element(
                KWH,
                component(
                    "PARKING_TIME", "6", "19", 60,
                    x_idle={"grace_s": 900, "cap": "5", "quiet_from": "22:00", "quiet_to": "06:30"},
                ),
            )
        ],
        {"tax_included": "YES"},
    ),
    (
        "volume",
        [element(component("ENERGY", "0.60", x_tiers=[{"from_kwh": 40, "price": "0.50"}, {"from_kwh": 90, "price": "0.40"}]))],
        {},
    ),
    ("spot", [element(component("ENERGY", "0.12", x_series={"name": "spot", "factor": "1.1", "fallback": "0.30"}))], {}),
)  # fmt: skip


def tariffs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Site, id and document of each: every shape twice, in the currencies of the sites by turns."""
    for number in range(TARIFFS):
        shape, elements, top = SHAPES[number % len(SHAPES)]
        site, _, currency, _ = SITES[number % len(SITES)]
        if shape == "spot":
            site, _, currency, _ = SITES[0]
        yield (
            site,
            f"T{number:02d}",
            {
                "id": f"T{number:02d}",
                "currency": currency,
                "tax_included": "NO",
                "elements": elements,
                "tariff_alt_text": [{"language": "en", "text": shape}],
                **top,
            },
        )


def tax_rules(changes_on: date) -> list[TaxRule]:
    """Of two countries of four; one changes its rate within the month."""
    rule = partial(TaxRule, category=Category.STANDARD, valid_from=date(2020, 1, 1))
    return [
        rule(id="DE-19", country="DE", rate=Decimal(19), valid_to=changes_on - timedelta(days=1)),
        rule(id="DE-16", country="DE", rate=Decimal(16), valid_from=changes_on),
        rule(id="AU-10", country="AU", rate=Decimal(10)),
        rule(id="AU-FEE", country="AU", rate=Decimal("12.5"), supply=ComponentName.FLAT),
    ]


def concessions(entered_at: datetime) -> list[Rule]:
    """Surcharge, discounts in a row, free kWh of a month, and what a third party pays."""
    rule = partial(Rule, turn=100, valid_from=entered_at, entered_at=entered_at)
    return [
        rule(id="night", label="Night service", effect=Effect.SURCHARGE, basis=Basis.FIXED, value=Decimal("0.35"),
             currency="USD", vat=Decimal(7), scope=Scope.SITE, target="pier"),
        rule(id="member", label="Members", effect=Effect.DISCOUNT, basis=Basis.PERCENT, value=Decimal("12.5"),
             token=CARDS[0]),
        rule(id="first kWh", label="Free each month", effect=Effect.DISCOUNT, basis=Basis.FREE_KWH, value=Decimal(60),
             token=CARDS[1], turn=50),
        rule(id="start", label="Off each session", effect=Effect.DISCOUNT, basis=Basis.FIXED, value=Decimal("1.00"),
             currency="EUR", turn=200, uses_each_max=3),
        rule(id="clean air", label="Clean air", effect=Effect.INCENTIVE, basis=Basis.PER_KWH, value=Decimal("0.05"),
             currency="AUD", party="City of Reef", scope=Scope.SITE, target="reef"),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One vehicle's stay. `fault` is what goes wrong with it; `is_watched`: its driver looks at the display midway."""

    start: datetime
    token: str
    energy_wh: Decimal
    charging: timedelta
    parking: timedelta
    fault: str | None
    is_watched: bool


FAULTS = (None,) * 44 + ("stop_lost", "unknown_card", "register_jumps", "repeated_stop", "nothing_flows", "offline")


def visits(charge_point: int, count: int, *, since: datetime, until: datetime) -> list[Visit]:
    """What comes to a charge point, in order and without overlap."""
    chance = random.Random(f"month:{charge_point}")
    slot = (until - since) / count
    found = []
    for number in range(count):
        start = since + slot * number + timedelta(seconds=chance.randrange(0, 900))
        room = int((slot - timedelta(minutes=25)).total_seconds())
        charging = chance.randrange(300, min(6 * 3600, room * 2 // 3))
        parking = chance.choice((0, 0, chance.randrange(60, min(3 * 3600, room // 3))))
        fault = chance.choice(FAULTS)
        power_w = chance.choice((3_700, 7_400, 11_000, 22_000)) - chance.randrange(0, 900)
        energy = Decimal(0) if fault == "nothing_flows" else Decimal(power_w) * charging / 3600
        found.append(
            Visit(
                start=start.replace(microsecond=0),
                token=UNKNOWN_CARD if fault == "unknown_card" else chance.choice(CARDS),
                energy_wh=energy.quantize(Decimal(1)),
                charging=timedelta(seconds=charging),
                parking=timedelta(seconds=parking),
                fault=fault,
                is_watched=number % 4 == charge_point % 4,
            )
        )
    return found
