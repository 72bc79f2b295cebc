"""OCPI's worked examples as inputs and figures: the tariffs in the fewest fields, the totals that the text states.

Amounts are at the precision that the text prints. Where its editions contradict each other, `why` says which figure
stands here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _part(kind: str, price: str, vat: str | None = None, step: int = 1) -> dict[str, Any]:
    part: dict[str, Any] = {"type": kind, "price": price, "step_size": step}
    return part if vat is None else part | {"vat": vat}


def _element(*parts: dict[str, Any], **restrictions: Any) -> dict[str, Any]:
    return {"price_components": list(parts)} | ({"restrictions": restrictions} if restrictions else {})


def tariff(*elements: dict[str, Any], currency: str = "EUR", tax: str = "NO", **more: Any) -> dict[str, Any]:
    return {"id": "EXAMPLE", "currency": currency, "tax_included": tax, "elements": list(elements)} | more


def as_2_2_1(body: dict[str, Any]) -> dict[str, Any]:
    """The same tariff in OCPI 2.2.1, where prices never hold tax and limits have other names."""
    old = {key: value for key, value in body.items() if key != "tax_included"}
    for key in ("min_price", "max_price"):
        if key in old:
            limit = old[key]
            old[key] = {"excl_vat": limit["before_taxes"]}
            if "after_taxes" in limit:
                old[key]["incl_vat"] = limit["after_taxes"]
    return old


def period(kind: str, start: str, end: str, **more: str) -> dict[str, str]:
    day = "" if "T" in start else "2024-01-15T"
    return {"kind": kind, "start": f"{day}{start}:00Z", "end": f"{day}{end}:00Z"} | more


@dataclass(frozen=True)
class Example:
    name: str
    tariff: dict[str, Any]
    periods: list[dict[str, str]]
    excl: str | None
    incl: str | None
    parts: dict[str, str] = field(default_factory=dict)
    billed: dict[str, str] = field(default_factory=dict)
    why: str = ""


_FLAT_50 = _part("FLAT", "0.50", "20")
_ENERGY_25 = _part("ENERGY", "0.25", "10")
_SESSION = _element(_FLAT_50, _ENERGY_25)
_TWENTY_KWH = period("charging", "10:00", "11:00", energy_kwh="20")
_HOURS_2_5 = period("charging", "10:00", "12:30")
_WEEKDAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"]

COMPLEX = tariff(
    _element(_part("FLAT", "2.50", "15")),
    _element(_part("TIME", "1.00", "20", 900), max_current="32"),
    _element(_part("TIME", "2.00", "20", 600), min_current="32", day_of_week=_WEEKDAYS),
    _element(_part("TIME", "1.25", "20", 600), min_current="32", day_of_week=["SATURDAY", "SUNDAY"]),
    _element(_part("PARKING_TIME", "5.00", "10", 300), start_time="09:00", end_time="18:00", day_of_week=_WEEKDAYS),
    _element(_part("PARKING_TIME", "6.00", "10", 300), start_time="10:00", end_time="17:00", day_of_week=["SATURDAY"]),
)
STEPS = tariff(
    _element(
        _part("TIME", "1.20", step=1800), _part("PARKING_TIME", "1.00", step=900), start_time="00:00", end_time="17:00"
    ),
    _element(
        _part("TIME", "2.40", step=900), _part("PARKING_TIME", "1.00", step=900), start_time="17:00", end_time="20:00"
    ),
    _element(_part("TIME", "2.40", step=900), start_time="20:00", end_time="00:00"),
)
EXPIRE_FEE = tariff(
    _element(_part("FLAT", "4.00", "20"), reservation="RESERVATION_EXPIRES"),
    _element(_part("TIME", "2.00", "20", 600), reservation="RESERVATION"),
    _SESSION,
)
EXPIRE_TIME = tariff(
    _element(_part("TIME", "6.00", "20", 600), reservation="RESERVATION_EXPIRES"),
    _element(_part("TIME", "3.00", "20", 600), reservation="RESERVATION"),
    _SESSION,
)
MIN_PRICE = tariff(_element(_ENERGY_25), min_price={"before_taxes": "0.50", "after_taxes": "0.55"})
MAX_PRICE = tariff(
    _SESSION, max_price={"before_taxes": "10.00", "after_taxes": "11.00"}, end_date_time="2019-06-30T23:59:59Z"
)
BY_POWER = tariff(
    _element(_part("ENERGY", "0.20", "20"), max_power="16"),
    _element(_part("ENERGY", "0.35", "20"), max_power="32"),
    _element(_part("ENERGY", "0.50", "20")),
)
BY_DURATION = tariff(
    _element(_part("ENERGY", "0.00", "20"), max_duration=1800),
    _element(_part("ENERGY", "0.25", "20"), max_duration=3600),
    _element(_part("ENERGY", "0.40", "20")),
)

SESSIONS = [
    Example("01 energy", tariff(_element(_ENERGY_25)), [_TWENTY_KWH], "5.00", "5.50"),
    Example("02 start and energy", tariff(_SESSION), [_TWENTY_KWH], "5.50", "6.10"),
    Example("03a min_price not reached", MIN_PRICE, [_TWENTY_KWH], "5.00", "5.50"),
    Example(
        "03b min_price applies", MIN_PRICE, [period("charging", "10:00", "11:00", energy_kwh="1.2")], "0.50", "0.55"
    ),
    Example(
        "04 parking and start",
        tariff(_element(_FLAT_50, _ENERGY_25, _part("PARKING_TIME", "2.00", "20", 900))),
        [_TWENTY_KWH, period("parking", "11:00", "11:40")],
        "7.00",
        "7.90",
        billed={"PARKING_TIME": "2700"},
    ),
    Example(
        "05a max_price applies",
        MAX_PRICE,
        [period("charging", "2019-06-03T10:00", "2019-06-03T12:00", energy_kwh="50")],
        "10.00",
        "11.00",
    ),
    Example(
        "05b max_price not reached",
        MAX_PRICE,
        [period("charging", "2019-06-03T10:00", "2019-06-03T12:00", energy_kwh="30")],
        "8.00",
        "8.85",
    ),
    Example("06 time", tariff(_element(_part("TIME", "2.00", "10", 60))), [_HOURS_2_5], "5.00", "5.50"),
    Example(
        "07 Canada, tax on top", tariff(_element(_part("TIME", "2.00")), currency="CAD"), [_HOURS_2_5], "5.00", None
    ),
    Example(
        "08 Canada, tax included",
        tariff(_element(_part("TIME", "2.10")), currency="CAD", tax="YES"),
        [_HOURS_2_5],
        None,
        "5.25",
    ),
    Example(
        "09 time and parking",
        tariff(_element(_part("TIME", "3.00", "10", 60), _part("PARKING_TIME", "5.00", "20", 300))),
        [_HOURS_2_5, period("parking", "12:30", "13:12")],
        "11.25",
        "12.75",
        billed={"PARKING_TIME": "2700"},
    ),
    Example("10 ad hoc", tariff(_element(_part("TIME", "1.90", "5.2", 300))), [_HOURS_2_5], "4.75", "5.00"),
    Example(
        "11 energy in steps",
        tariff(_element(_FLAT_50, _part("ENERGY", "0.25", "10", 100))),
        [period("charging", "10:00", "11:00", energy_kwh="20.45")],
        "5.63",
        "6.24",
        parts={"flat": "0.50", "energy": "5.13"},
        billed={"ENERGY": "20500"},
        why="a table of later editions ignores step_size (5.61 and 6.22); the prose and 2.2.1 do not",
    ),
    Example(
        "12a complex, Monday",
        COMPLEX,
        [period("charging", "09:30", "12:15", current_a="16"), period("parking", "12:15", "12:57")],
        "9.00",
        "10.30",
        parts={"flat": "2.50", "time": "2.75", "parking": "3.75"},
        billed={"PARKING_TIME": "2700"},
    ),
    Example(
        "12b complex, Saturday",
        COMPLEX,
        [
            period("charging", "2024-01-20T13:30", "2024-01-20T15:24", current_a="43"),
            period("parking", "2024-01-20T15:24", "2024-01-20T16:35"),
        ],
        "12.375",
        "13.975",
        billed={"PARKING_TIME": "4500"},
        why="later editions print 12.28 and 13.861: 114 minutes at 1.25 are 2.375, not 2.28",
    ),
    Example("13 free", tariff(_element(_part("FLAT", "0.00", step=0))), [_TWENTY_KWH], "0.00", None),
    Example(
        "18a steps, 17:00 passed while charging",
        STEPS,
        [period("charging", "16:55", "17:05"), period("parking", "17:05", "17:07")],
        "0.55",
        None,
        parts={"time": "0.30", "parking": "0.25"},
    ),
    Example(
        "18b steps, rounded once at the last price",
        STEPS,
        [period("charging", "16:35", "17:10")],
        "1.30",
        None,
        billed={"TIME": "2700"},
    ),
    Example(
        "18c steps, free parking from 20:00",
        STEPS,
        [period("charging", "19:40", "19:52"), period("parking", "19:52", "20:12")],
        "0.73",
        None,
        parts={"time": "0.48", "parking": "0.25"},
        why="older editions print 0.80",
    ),
    Example(
        "19 price by power",
        BY_POWER,
        [
            period("charging", "10:00", "10:10", energy_kwh="1", power_kw="6"),
            period("charging", "10:10", "11:00", energy_kwh="40", power_kw="48"),
            period("charging", "11:00", "11:08", energy_kwh="0.5", power_kw="4"),
        ],
        "20.30",
        None,
    ),
    Example(
        "20 price by duration",
        BY_DURATION,
        [
            period("charging", "10:00", "10:30", energy_kwh="5"),
            period("charging", "10:30", "10:40", energy_kwh="1.2"),
        ],
        "0.30",
        None,
    ),
    Example(
        "21 charge detail record",
        tariff(_element(_part("TIME", "2.00", "10", 300))),
        [{"start": "2024-12-05T17:39:09Z", "end": "2024-12-05T19:37:32Z", "energy_kwh": "15.342"}],
        "4.00",
        "4.40",
    ),
]

RESERVATIONS = [
    Example(
        "14 reservation time",
        tariff(_element(_part("TIME", "5.00", "20", 60), reservation="RESERVATION"), _SESSION),
        [period("reservation", "09:45", "10:00"), _TWENTY_KWH],
        "6.75",
        "7.60",
        parts={"flat": "0.50", "energy": "5.00", "reservation": "1.25"},
    ),
    Example(
        "15 reservation fee and time",
        tariff(
            _element(_part("FLAT", "2.00", "20"), _part("TIME", "5.00", "20", 300), reservation="RESERVATION"), _SESSION
        ),
        [period("reservation", "09:47", "10:00"), _TWENTY_KWH],
        "8.75",
        "10.00",
        parts={"flat": "0.50", "energy": "5.00", "reservation": "3.25"},
    ),
    Example(
        "16a expire fee, used",
        EXPIRE_FEE,
        [period("reservation", "09:38", "10:00"), _TWENTY_KWH],
        "6.50",
        "7.30",
        parts={"reservation": "1.00"},
        billed={"TIME": "1800"},
    ),
    Example(
        "16b expire fee, expired",
        EXPIRE_FEE,
        [period("reservation_expired", "09:00", "10:00")],
        "6.00",
        "7.20",
        parts={"reservation": "6.00"},
    ),
    Example(
        "17a expire time, used",
        EXPIRE_TIME,
        [period("reservation", "09:38", "10:00"), _TWENTY_KWH],
        "7.00",
        "7.90",
        parts={"reservation": "1.50"},
        billed={"TIME": "1800"},
    ),
    Example(
        "17b expire time, expired",
        EXPIRE_TIME,
        [period("reservation_expired", "09:00", "10:30")],
        "9.00",
        "10.80",
        parts={"reservation": "9.00"},
    ),
]


def _quantity(name: str, parts: list[dict[str, Any]], periods: list[dict[str, str]], **more: Any) -> Example:
    return Example(name, tariff(_element(*parts)), periods, more.pop("excl", None), None, **more)


def _wh(kwh: str) -> list[dict[str, str]]:
    return [period("charging", "10:00", "11:00", energy_kwh=kwh)]


def _changing(kind: str, before: str, after: str, step: int) -> dict[str, Any]:
    return tariff(
        _element(_part(kind, before, step=step), end_time="17:00"),
        _element(_part(kind, after, step=step), start_time="17:00"),
    )


QUANTITIES = [
    _quantity(
        "q1 time exact, parking in steps",
        [_part("TIME", "1.00", step=300), _part("PARKING_TIME", "1.00", step=300)],
        [period("charging", "10:00", "10:21"), period("parking", "10:21", "10:28")],
        billed={"TIME": "1260", "PARKING_TIME": "600"},
    ),
    Example(
        "q2 energy at two prices",
        _changing("ENERGY", "0.20", "0.27", 500),
        [
            period("charging", "16:00", "17:00", energy_kwh="4.3"),
            period("charging", "17:00", "18:00", energy_kwh="1.1"),
        ],
        # 4.3 x 0.20 + 1.2 x 0.27
        "1.184",
        None,
        billed={"ENERGY": "5500"},
    ),
    Example(
        "q3 time at two prices",
        _changing("TIME", "5.00", "7.00", 600),
        [period("charging", "16:54", "17:22")],
        # 6 minutes x 5 + 24 minutes x 7
        "3.30",
        None,
        billed={"TIME": "1800"},
    ),
    _quantity(
        "q4 time and parking, 10 minutes each",
        [_part("TIME", "1.00", step=600), _part("PARKING_TIME", "2.00", step=600)],
        [period("charging", "10:00", "10:21"), period("parking", "10:21", "10:37")],
        billed={"TIME": "1260", "PARKING_TIME": "1200"},
    ),
    _quantity("q5 step 1 Wh", [_part("ENERGY", "0.25")], _wh("0.1152"), excl="0.029", billed={"ENERGY": "116"}),
    _quantity("q6 step 25 Wh, low", [_part("ENERGY", "0.25", step=25)], _wh("0.101"), excl="0.031"),
    _quantity("q6 step 25 Wh, high", [_part("ENERGY", "0.25", step=25)], _wh("0.125"), excl="0.031"),
    _quantity("q7 step 500 Wh, low", [_part("ENERGY", "0.25", step=500)], _wh("0.001"), excl="0.125"),
    _quantity("q7 step 500 Wh, high", [_part("ENERGY", "0.25", step=500)], _wh("0.5"), excl="0.125"),
    _quantity(
        "q8 time step 300",
        [_part("TIME", "1.00", step=300)],
        [period("charging", "10:00", "10:06")],
        billed={"TIME": "600"},
    ),
    _quantity(
        "q9 parking step 300",
        [_part("PARKING_TIME", "1.00", step=300)],
        [period("parking", "10:00", "10:08")],
        billed={"PARKING_TIME": "600"},
    ),
]
