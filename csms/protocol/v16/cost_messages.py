"""Costs on the displays of OCPP 1.6: DataTransfer messages of the OCA paper on California's pricing requirements. Pure.

`data` is text that holds JSON. Charge points that show such costs say so by `CustomDisplayCostAndPrice`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from csms.protocol.json_number import json_number
from csms.protocol.times import print_time
from csms.protocol.vocabulary import SendVendorData

VENDOR = "org.openchargealliance.costmsg"
ANNOUNCED_BY = "CustomDisplayCostAndPrice"
UNPLUGGED = "ConnectorUnplugged"
"""Told by charge points with `CustomIdleFeeAfterStop`: the vehicle has left after its transaction."""
MANY_LANGUAGES = "CustomMultiLanguageMessages"
"""Whether its display has texts in several languages."""
_TOLD_LENGTH_MAX = 10_000
_PRICE_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesShown:
    """What applies, tax included: per kWh, per hour of charging, once, and per hour of idling; None: nothing.

    `grace_minutes`: so long idling is free yet.
    """

    kwh: Decimal | None = None
    hour: Decimal | None = None
    flat: Decimal | None = None
    idle_hour: Decimal | None = None
    grace_minutes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesAhead:
    """`prices` apply from `at` on. The meter is wanted then, at these figures of its register and power, and at pauses."""

    at: datetime | None = None
    prices: PricesShown | None = None
    at_kwh: Decimal | None = None
    at_kw: Decimal | None = None
    at_pause: bool = False


NOTHING_AHEAD = PricesAhead()
_PAUSES = ("Charging", "SuspendedEV", "SuspendedEVSE")
"""Statuses with which the price of time begins to be another."""


def running_cost(
    transaction: int,
    *,
    at: datetime,
    meter_wh: Decimal,
    cost: Decimal,
    is_charging: bool,
    prices: PricesShown,
    ahead: PricesAhead = NOTHING_AHEAD,
) -> SendVendorData:
    """RunningCost: what a session has cost up to `at`, tax included, what applies from then on, and what comes next."""
    body: dict[str, object] = {
        "transactionId": transaction,
        "timestamp": print_time(at),
        "meterValue": int(meter_wh.quantize(Decimal(1), ROUND_HALF_UP)),
        "cost": json_number(cost),
        "state": "Charging" if is_charging else "Idle",
        "chargingPrice": charging_price(prices),
    }
    body |= _idle_price(prices)
    if ahead.at is not None and ahead.prices is not None:
        next_ = {"atTime": print_time(ahead.at), "chargingPrice": charging_price(ahead.prices)}
        body["nextPeriod"] = next_ | _idle_price(ahead.prices)
    trigger = _trigger(ahead)
    if trigger:
        body["triggerMeterValue"] = trigger
    return _message("RunningCost", body)


def _idle_price(prices: PricesShown) -> dict[str, object]:
    """`idlePrice`, where idling has a price."""
    if prices.idle_hour is None:
        return {}
    grace = {"graceMinutes": prices.grace_minutes} if prices.grace_minutes else {}
    return {"idlePrice": {**grace, "hourPrice": _price(prices.idle_hour)}}


def _trigger(ahead: PricesAhead) -> dict[str, object]:
    """When the charge point shall send its meter values, so that the figure is right where the price turns."""
    wanted: dict[str, object] = {}
    if ahead.at is not None:
        wanted["atTime"] = print_time(ahead.at)
    if ahead.at_kwh is not None:
        wanted["atEnergykWh"] = _price(ahead.at_kwh)
    if ahead.at_kw is not None:
        wanted["atPowerkW"] = _price(ahead.at_kw)
    if ahead.at_pause:
        wanted["atCPStatus"] = list(_PAUSES)
    return wanted


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


def told(data: object) -> dict[str, object]:
    """What a charge point's own message holds: JSON as text, or, from some, as it is. Empty where it is neither."""
    if isinstance(data, str) and len(data) <= _TOLD_LENGTH_MAX:
        with suppress(ValueError, RecursionError):
            data = json.loads(data)
    return data if isinstance(data, dict) else {}


def charging_price(prices: PricesShown) -> dict[str, float]:
    """`chargingPrice`, with what the tariff has."""
    named = {"kWhPrice": prices.kwh, "hourPrice": prices.hour, "flatFee": prices.flat}
    return {name: _price(price) for name, price in named.items() if price is not None}


def _message(name: str, body: dict[str, object]) -> SendVendorData:
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return SendVendorData(vendor=VENDOR, message=name, data=text)


def _price(price: Decimal) -> float:
    return json_number(price.quantize(_PRICE_STEP, ROUND_HALF_UP).normalize())
