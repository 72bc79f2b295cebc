"""Cost messages of OCPP 1.6 have the fields that the OCA's paper names, and nothing where there is nothing to say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from csms.protocol.v16.cost_messages import (
    PricesAhead,
    PricesShown,
    final_cost,
    running_cost,
    set_user_price,
    told,
)
from csms.protocol.v16.price_settings import VALUE_LENGTH_MAX, default_price, default_price_text, languages_of
from csms.protocol.vocabulary import SendVendorData

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PRICES = PricesShown(
    kwh=Decimal("0.123"), hour=Decimal(2), flat=Decimal("42.42"), idle_hour=Decimal(1), grace_minutes=30
)


def _body(command: SendVendorData) -> Any:
    assert command.vendor == "org.openchargealliance.costmsg"
    assert isinstance(command.data, str)
    return json.loads(command.data, parse_float=Decimal)


def test_a_running_cost_with_everything_in_it() -> None:
    ahead = PricesAhead(
        at=NOON, prices=PricesShown(kwh=Decimal("0.1"), idle_hour=Decimal("0.5")), at_kwh=Decimal(5), at_kw=Decimal(8),
        at_pause=True,
    )  # fmt: skip
    command = running_cost(
        1, at=NOON, meter_wh=Decimal("1234000.4"), cost=Decimal("1.345"), is_charging=True, prices=PRICES, ahead=ahead
    )

    assert command.message == "RunningCost"
    assert _body(command) == {
        "transactionId": 1,
        "timestamp": "2026-03-02T12:00:00.000Z",
        "meterValue": 1234000,
        "cost": Decimal("1.345"),
        "state": "Charging",
        "chargingPrice": {"kWhPrice": Decimal("0.123"), "hourPrice": 2, "flatFee": Decimal("42.42")},
        "idlePrice": {"graceMinutes": 30, "hourPrice": 1},
        "nextPeriod": {
            "atTime": "2026-03-02T12:00:00.000Z",
            "chargingPrice": {"kWhPrice": Decimal("0.1")},
            "idlePrice": {"hourPrice": Decimal("0.5")},
        },
        "triggerMeterValue": {
            "atTime": "2026-03-02T12:00:00.000Z",
            "atEnergykWh": 5,
            "atPowerkW": 8,
            "atCPStatus": ["Charging", "SuspendedEV", "SuspendedEVSE"],
        },
    }


def test_a_running_cost_under_a_price_per_kwh_alone() -> None:
    prices = PricesShown(kwh=Decimal("0.5"))
    body = _body(running_cost(1, at=NOON, meter_wh=Decimal(0), cost=Decimal(0), is_charging=False, prices=prices))

    assert sorted(body) == ["chargingPrice", "cost", "meterValue", "state", "timestamp", "transactionId"]
    assert (body["state"], body["chargingPrice"]) == ("Idle", {"kWhPrice": Decimal("0.5")})


def test_a_price_of_a_token_and_the_final_cost() -> None:
    price = _body(set_user_price("CARD", text="per kWh: 0.50 EUR", texts={"de": "50 Cent je kWh"}))

    assert price == {
        "idToken": "CARD",
        "priceText": "per kWh: 0.50 EUR",
        "priceTextExtra": [{"format": "UTF8", "language": "de", "content": "50 Cent je kWh"}],
    }
    assert "priceTextExtra" not in _body(set_user_price("CARD", text="free", texts={}))
    assert _body(final_cost(7, cost=Decimal("3.31"), text="3.31 EUR"))["cost"] == Decimal("3.31")


def test_a_default_price_always_has_room() -> None:
    prices = PricesShown(kwh=Decimal("0.123456"), hour=Decimal("12.345678"), flat=Decimal("42.424242"))

    assert len(default_price("x" * 170, prices)) <= VALUE_LENGTH_MAX
    assert default_price_text("x" * VALUE_LENGTH_MAX) is None
    assert json.loads(default_price_text("gratis") or "")["priceTextOffline"] == "gratis"


def test_languages_are_those_that_the_display_names() -> None:
    assert languages_of({"CustomMultiLanguageMessages": "true", "SupportedLanguages": "en, de"}) == {"en", "de"}
    assert languages_of({"CustomMultiLanguageMessages": "false", "SupportedLanguages": "en"}) == frozenset()
    assert languages_of({}) == frozenset()


def test_what_a_charge_point_says_is_read_as_text_or_as_it_is() -> None:
    assert told('{"transactionId": 1}') == {"transactionId": 1}
    assert told({"transactionId": 1}) == {"transactionId": 1}
    assert told("[" * 5_000) == told("nonsense") == told(None) == told("x" * 20_000) == {}
