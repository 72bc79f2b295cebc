"""What measuring law has against a rating (RULES.md 23)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.bills.measuring import PRICE_CUT, TIME_UNPROVEN, Measured, Objection, objection
from billing.rating.engine import rate
from billing.rating.policy import RatingPolicy
from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.ocpi_json import load_json
from billing.tariffs.tariff import parse_tariff
from tests.world import tariff_document

START = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)
EIGHT = START + timedelta(hours=1)  # 20:00 in Berlin
END = START + timedelta(hours=2)


def _part(type_: str, price: str, **restrictions: Any) -> dict[str, Any]:
    part = {"price_components": [{"type": type_, "price": price, "vat": "19", "step_size": 1}]}
    return {**part, "restrictions": restrictions} if restrictions else part


ONE_PRICE = tariff_document("ONE", _part("ENERGY", "0.49"))
EVENING = tariff_document(
    "EVENING", _part("ENERGY", "0.39", start_time="20:00", end_time="23:00"), _part("ENERGY", "0.49")
)
BY_TIME = tariff_document("TIMED", _part("TIME", "6"), _part("ENERGY", "0.49"))


def _objection(document: dict[str, Any], measured: Measured | None, *, energy_wh: str = "10000") -> Objection | None:
    half = Decimal(energy_wh) / 2
    usage = Usage(
        time_zone="Europe/Berlin",
        periods=(
            Period(kind=PeriodKind.CHARGING, start=START, end=EIGHT, energy_wh=half),
            Period(kind=PeriodKind.CHARGING, start=EIGHT, end=END, energy_wh=half),
        ),
    )
    return objection(
        rate(
            usage,
            parse_tariff(load_json(json.dumps(document))),
            RatingPolicy(version=1, waive_below_wh=Decimal(100)),
            final=True,
        ),
        measured,
    )


def test_nothing_is_said_where_no_such_law_holds() -> None:
    assert _objection(EVENING, None) is None
    assert _objection(BY_TIME, None) is None


def test_one_price_needs_no_reading_between() -> None:
    assert _objection(ONE_PRICE, Measured(readings=(START, END))) is None


def test_a_price_that_changes_needs_a_signed_reading_then() -> None:
    against = _objection(EVENING, Measured(readings=(START, END)))

    assert against is not None
    assert against.reason == PRICE_CUT
    assert "from 0.49 to 0.39 at 2026-03-01T19:00:00+00:00" in against.why


@pytest.mark.parametrize(("seconds", "is_read"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_the_reading_must_be_of_that_second(seconds: int, is_read: bool) -> None:
    readings = (START, EIGHT + timedelta(seconds=seconds), END)

    assert (_objection(EVENING, Measured(readings=readings)) is None) is is_read


def test_time_is_sold_only_by_a_meter_for_time() -> None:
    against = _objection(BY_TIME, Measured(readings=(START, END)))

    assert against is not None
    assert against.reason == TIME_UNPROVEN
    assert _objection(BY_TIME, Measured(readings=(START, END), measures_time=True)) is None


def test_what_costs_nothing_needs_no_proof() -> None:
    assert _objection(BY_TIME, Measured(), energy_wh="50") is None
