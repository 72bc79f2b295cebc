"""Settings of OCPP 1.6 displays that show prices: the OCA paper on California's pricing requirements. Pure.

Charge points that show prices say so by `CustomDisplayCostAndPrice`; they show `DefaultPrice` to whoever has not
presented a token, and go on showing it while they are offline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from csms.protocol.times import print_time
from csms.protocol.v16.cost_messages import MANY_LANGUAGES, PricesShown, charging_price

DEFAULT_PRICE = "DefaultPrice"
DEFAULT_PRICE_TEXT = "DefaultPriceText"
"""With a comma and a language: the same in that language."""
IDLE_FEE_AFTER_STOP = "CustomIdleFeeAfterStop"
"""While it is true the charge point says when a vehicle has left (ConnectorUnplugged)."""
TIME_OFFSET = "TimeOffset"
NEXT_OFFSET_AT = "NextTimeOffsetTransitionDateTime"
NEXT_OFFSET = "TimeOffsetNextTransition"
LANGUAGES = "SupportedLanguages"
READ = (
    DEFAULT_PRICE, IDLE_FEE_AFTER_STOP, TIME_OFFSET, NEXT_OFFSET_AT, NEXT_OFFSET, MANY_LANGUAGES, LANGUAGES,
)  # fmt: skip
VALUE_LENGTH_MAX = 500
"""ChangeConfiguration.req value (CiString500Type)."""
TEXT_LENGTH_MAX = 170
"""Of each of the two texts of a default price, so that both and the figures have room."""


def default_price(text: str, prices: PricesShown) -> str:
    """What everybody pays, online and offline."""
    body = {"priceText": text, "priceTextOffline": text, "chargingPrice": charging_price(prices)}
    return _json(body)


def default_price_text(text: str) -> str | None:
    """The words alone in another language; None where the operator's text is too long for it."""
    value = _json({"priceText": text, "priceTextOffline": text})
    return value if len(value) <= VALUE_LENGTH_MAX else None


def time_offset(offset: timedelta) -> str:
    """A time zone's distance from UTC."""
    sign = "-" if offset < timedelta() else "+"
    minutes = abs(offset) // timedelta(minutes=1)
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def offset_at(at: datetime) -> str:
    """When the distance changes next."""
    return print_time(at)


def languages_of(settings: Mapping[str, str | None]) -> frozenset[str]:
    """In which it has texts beside its own language."""
    if (settings.get(MANY_LANGUAGES) or "").lower() != "true":
        return frozenset()
    return frozenset(each.strip() for each in (settings.get(LANGUAGES) or "").split(",") if each.strip())


def same_value(present: str | None, wanted: str) -> bool:
    """Charge points write JSON in their own layout."""
    if present is None:
        return False
    if not wanted.startswith("{"):
        return present.strip().casefold() == wanted.casefold()
    try:
        return bool(json.loads(present) == json.loads(wanted))
    except ValueError:
        return False


def _json(body: Mapping[str, object]) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
