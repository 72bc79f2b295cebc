"""Costs on the displays of OCPP 1.6: DataTransfer messages of the OCA paper on California's pricing requirements. Pure.

`data` is text that holds JSON. Charge points that show such costs say so by `CustomDisplayCostAndPrice`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from csms.protocol.json_number import json_number
from csms.protocol.times import print_time
from csms.protocol.vocabulary import SendVendorData

VENDOR = "org.openchargealliance.costmsg"
ANNOUNCED_BY = "CustomDisplayCostAndPrice"
MANY_LANGUAGES = "CustomMultiLanguageMessages"
"""Whether its display has texts in several languages."""
_PRICE_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesShown:
    """What applies now, tax included: per kWh, per hour of charging, once, and per hour of idling; None: nothing."""

    kwh: Decimal | None = None
    hour: Decimal | None = None
    flat: Decimal | None = None
    idle_hour: Decimal | None = None


def running_cost(
    transaction: int,
    *,
    at: datetime,
    meter_wh: Decimal,
    cost: Decimal,
    is_charging: bool,
    prices: PricesShown,
) -> SendVendorData:
    """RunningCost: what a session has cost up to `at`, tax included, and what applies from then on."""
    body: dict[str, object] = {
        "transactionId": transaction,
        "timestamp": print_time(at),
        "meterValue": int(meter_wh.quantize(Decimal(1), ROUND_HALF_UP)),
        "cost": json_number(cost),
        "state": "Charging" if is_charging else "Idle",
        "chargingPrice": charging_price(prices),
    }
    if prices.idle_hour is not None:
        body["idlePrice"] = {"hourPrice": _price(prices.idle_hour)}
    return _message("RunningCost", body)


def final_cost(transaction: int, *, cost: Decimal, text: str) -> SendVendorData:
    """FinalCost: what a session costs, tax included, with the lines of a receipt as text."""
    return _message("FinalCost", {"transactionId": transaction, "cost": json_number(cost), "priceText": text})


def set_user_price(token: str, *, text: str, texts: Mapping[str, str]) -> SendVendorData:
    """SetUserPrice: what a token that was just presented will pay. `texts`: the same in other languages."""
    body: dict[str, object] = {"idToken": token, "priceText": text}
    if texts:
        body["priceTextExtra"] = [
            {"format": "UTF8", "language": language, "content": content} for language, content in texts.items()
        ]
    return _message("SetUserPrice", body)


def charging_price(prices: PricesShown) -> dict[str, float]:
    """`chargingPrice`, with what the tariff has."""
    named = {"kWhPrice": prices.kwh, "hourPrice": prices.hour, "flatFee": prices.flat}
    return {name: _price(price) for name, price in named.items() if price is not None}


def _message(name: str, body: dict[str, object]) -> SendVendorData:
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return SendVendorData(vendor=VENDOR, message=name, data=text)


def _price(price: Decimal) -> float:
    return json_number(price.quantize(_PRICE_STEP, ROUND_HALF_UP).normalize())
