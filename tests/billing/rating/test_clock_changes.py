"""Nights with a change of the clock, and the ends of day, month and year (M12): fixed cases, each worked out by hand.

Every moment is judged by the wall clock it shows and billed by the seconds that really pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from billing.tariffs.price import PriceRefused, price_command

# Berlin 2026: 29 March 02:00 -> 03:00 and 25 October 03:00 -> 02:00, both at 01:00 UTC.
# Sydney 2026: 5 April 03:00 -> 02:00 (4 April 16:00 UTC) and 4 October 02:00 -> 03:00 (3 October 16:00 UTC).
# Lord Howe Island moves its clock by half an hour: 5 April 02:00 -> 01:30 (4 April 15:00 UTC).


def priced(kind: str, *rates: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "CLOCK",
        "currency": "EUR",
        "tax_included": "N/A",
        "elements": [
            {"price_components": [{"type": kind, "price": price, "step_size": 1}], "restrictions": restrictions}
            for price, restrictions in rates
        ],
    }


NIGHT_TIME = priced("TIME", ("0.60", {"start_time": "22:00", "end_time": "06:00"}), ("1.20", {}))
NIGHT_ENERGY = priced("ENERGY", ("0.30", {"start_time": "22:00", "end_time": "06:00"}), ("0.50", {}))
HALF_PAST_TWO = priced("TIME", ("0.60", {"end_time": "02:30"}), ("1.20", {}))
WEEKEND = priced("ENERGY", ("0.20", {"day_of_week": ["SATURDAY", "SUNDAY"]}), ("0.40", {}))
FEBRUARY = priced("ENERGY", ("0.30", {"end_date": "2026-02-01"}), ("0.35", {}))
NEW_YEAR = priced("TIME", ("1.00", {"end_date": "2027-01-01"}), ("2.00", {}))
LEAP_DAY = priced("ENERGY", ("0.10", {"start_date": "2028-02-29", "end_date": "2028-03-01"}), ("0.50", {}))
LAST_OF_FEBRUARY = priced("ENERGY", ("0.10", {"start_date": "2027-02-28", "end_date": "2027-03-01"}), ("0.50", {}))
SUNDAY = priced("TIME", ("1.00", {"day_of_week": ["SUNDAY"]}), ("9.00", {}))
THREE_HOURS = priced("TIME", ("1.00", {"max_duration": 10800}), ("2.00", {}))
SECONDS = priced("TIME", ("3600", {}))


@dataclass(frozen=True)
class Case:
    name: str
    tariff: dict[str, Any]
    zone: str
    start: str
    end: str
    total: str
    kwh: str = "0"


CASES = [
    # local 00:00-06:00 has 5 hours: 5 x 0.60
    Case("a spring night", NIGHT_TIME, "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T04:00", "3.00"),
    # local 00:00-06:00 has 7 hours: 7 x 0.60
    Case("an autumn night", NIGHT_TIME, "Europe/Berlin", "2026-10-24T22:00", "2026-10-25T05:00", "4.20"),
    # 01:30-02:00 cheap, 02:30 is skipped, 03:00-03:30 dear: 0.5 x 0.60 + 0.5 x 1.20
    Case("a boundary skipped", HALF_PAST_TWO, "Europe/Berlin", "2026-03-29T00:30", "2026-03-29T01:30", "0.90"),
    # 01:30-02:30 cheap, 02:30-03:00 dear, again 02:00-02:30 cheap, 02:30-03:30 dear: 1.5 x 0.60 + 1.5 x 1.20
    Case("a boundary passed twice", HALF_PAST_TWO, "Europe/Berlin", "2026-10-24T23:30", "2026-10-25T02:30", "2.70"),
    # 9 hours at 2 kWh: 2 x 0.50 before 22:00, 7 hours of night 14 x 0.30, 2 x 0.50 after 06:00
    Case("spring energy", NIGHT_ENERGY, "Europe/Berlin", "2026-03-28T20:00", "2026-03-29T05:00", "6.20", "18"),
    # 11 hours at 2 kWh: 2 x 0.50 before 22:00, 9 hours of night 18 x 0.30, 2 x 0.50 after 06:00
    Case("autumn energy", NIGHT_ENERGY, "Europe/Berlin", "2026-10-24T19:00", "2026-10-25T06:00", "7.40", "22"),
    # local 00:00-06:00 on 5 April has 7 hours: 7 x 0.60
    Case("autumn in the south", NIGHT_TIME, "Australia/Sydney", "2026-04-04T13:00", "2026-04-04T20:00", "4.20"),
    # local 00:00-06:00 on 4 October has 5 hours: 5 x 0.60
    Case("spring in the south", NIGHT_TIME, "Australia/Sydney", "2026-10-03T14:00", "2026-10-03T19:00", "3.00"),
    # as in Berlin: 0.5 x 0.60 + 0.5 x 1.20
    Case("skipped in the south", HALF_PAST_TWO, "Australia/Sydney", "2026-10-03T15:30", "2026-10-03T16:30", "0.90"),
    # as in Berlin: 1.5 x 0.60 + 1.5 x 1.20
    Case("twice in the south", HALF_PAST_TWO, "Australia/Sydney", "2026-04-04T14:30", "2026-04-04T17:30", "2.70"),
    # local 00:00-06:00 has 6.5 hours: 6.5 x 0.60
    Case("half an hour back", NIGHT_TIME, "Australia/Lord_Howe", "2026-04-04T13:00", "2026-04-04T19:30", "3.90"),
    # the whole local Sunday has 25 hours: 25 x 1.00
    Case("a day of 25 hours", SUNDAY, "Europe/Berlin", "2026-10-24T22:00", "2026-10-25T23:00", "25.00"),
    # the whole local Sunday has 23 hours: 23 x 1.00
    Case("a day of 23 hours", SUNDAY, "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00", "23.00"),
    # five real hours, although the clock moves four: 3 x 1.00 + 2 x 2.00
    Case("duration is real time", THREE_HOURS, "Europe/Berlin", "2026-10-24T23:00", "2026-10-25T04:00", "7.00"),
    # Friday 23:00 to Saturday 01:00: 5 x 0.40 + 5 x 0.20
    Case("Friday midnight", WEEKEND, "Europe/Berlin", "2026-01-16T22:00", "2026-01-17T00:00", "3.00", "10"),
    # Sunday 23:00 to Monday 01:00 in Sydney, all of it Sunday in UTC: 5 x 0.20 + 5 x 0.40
    Case(
        "a midnight that is not UTC's",
        WEEKEND,
        "Australia/Sydney",
        "2026-01-18T12:00",
        "2026-01-18T14:00",
        "3.00",
        "10",
    ),
    # 31 January 23:30 to 1 February 00:30: 2 x 0.30 + 2 x 0.35
    Case("month end", FEBRUARY, "Europe/Berlin", "2026-01-31T22:30", "2026-01-31T23:30", "1.30", "4"),
    # 23:00 to 01:00 in New York, all of it 2027 in UTC: 1 x 1.00 + 1 x 2.00
    Case("year end", NEW_YEAR, "America/New_York", "2027-01-01T04:00", "2027-01-01T06:00", "3.00"),
    # 23:00 to 24:00 in Berlin is the old year's: 1 x 1.00
    Case("the last hour of a year", NEW_YEAR, "Europe/Berlin", "2026-12-31T22:00", "2026-12-31T23:00", "1.00"),
    # 28 February 23:00 to 1 March 01:00, 26 hours at 1 kWh: 1 x 0.50 + 24 x 0.10 + 1 x 0.50
    Case("a leap day", LEAP_DAY, "Europe/Berlin", "2028-02-28T22:00", "2028-03-01T00:00", "3.40", "26"),
    # 27 February 23:00 to 1 March 01:00, 26 hours at 1 kWh: 1 x 0.50 + 24 x 0.10 + 1 x 0.50
    Case("no leap day", LAST_OF_FEBRUARY, "Europe/Berlin", "2027-02-27T22:00", "2027-03-01T00:00", "3.40", "26"),
    # a leap second came before 2017; timestamps do not count it: 2 seconds x 1.00
    Case("a leap second", SECONDS, "UTC", "2016-12-31T23:59:59", "2017-01-01T00:00:01", "2.00"),
]


def at(text: str) -> str:
    return f"{text}Z" if text.count(":") == 2 else f"{text}:00Z"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_night_with_a_change_costs_what_was_worked_out_by_hand(case: Case) -> None:
    session = {
        "time_zone": case.zone,
        "periods": [{"start": at(case.start), "end": at(case.end), "energy_kwh": case.kwh}],
    }

    shown = price_command(case.tariff, session)

    assert not isinstance(shown, PriceRefused)
    assert shown["total_incl_tax"] == case.total
