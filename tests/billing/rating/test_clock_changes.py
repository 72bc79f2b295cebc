"""Nights with a change of the clock, and the ends of day, month and year (M12): fixed cases, each worked out by hand.

Every moment is judged by the wall clock it shows and billed by the seconds that really pass.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from billing.tariffs.price import PriceRefused, price_command

# Berlin 2026: 29 March 02:00 -> 03:00 and 25 October 03:00 -> 02:00, both at 01:00 UTC.
# Sydney 2026: 5 April 03:00 -> 02:00 (4 April 16:00 UTC) and 4 October 02:00 -> 03:00 (3 October 16:00 UTC).
# Lord Howe Island moves its clock by half an hour: 5 April 02:00 -> 01:30 (4 April 15:00 UTC) and 4 October 02:00 -> 02:30
# (3 October 15:30 UTC). New York: 8 March 02:00 -> 03:00 (07:00 UTC). Cairo changes at midnight: 24 April 00:00 -> 01:00
# (23 April 22:00 UTC) and 29 October 24:00 -> 23:00 (21:00 UTC). Dublin counts its winter as the deviation; 29 March
# 01:00 -> 02:00 (01:00 UTC). Kolkata (+5:30), Kathmandu (+5:45) and Kiritimati (+14) never change.


def priced(kind: str, *rates: tuple[str, dict[str, Any]], step: int = 1) -> dict[str, Any]:
    return {
        "id": "CLOCK",
        "currency": "EUR",
        "tax_included": "N/A",
        "elements": [
            {"price_components": [{"type": kind, "price": price, "step_size": step}], "restrictions": restrictions}
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
QUARTERS = priced("TIME", ("1.20", {}), step=900)
FRIDAY = priced("ENERGY", ("0.20", {"day_of_week": ["FRIDAY"]}), ("0.40", {}))
FRIDAY_NIGHT = priced(
    "TIME", ("0.60", {"start_time": "22:00", "end_time": "06:00", "day_of_week": ["FRIDAY"]}), ("1.20", {})
)
EVENING = priced("TIME", ("1.20", {"start_time": "18:00", "end_time": "00:00"}), ("0.60", {}))
FIRST_THREE = priced("ENERGY", ("0.30", {"max_kwh": "3"}), ("0.50", {}))
THREE_AT_TWO = priced("ENERGY", ("0.20", {"start_time": "02:00", "end_time": "03:00", "max_kwh": "3"}), ("0.60", {}))


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
    # local 00:00-06:00 has 5 hours (23:00 to 04:00 UTC): 5 x 0.60 = 3.00
    Case("a spring night", NIGHT_TIME, "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T04:00", "3.00"),
    # local 00:00-06:00 has 7 hours (22:00 to 05:00 UTC): 7 x 0.60 = 4.20
    Case("an autumn night", NIGHT_TIME, "Europe/Berlin", "2026-10-24T22:00", "2026-10-25T05:00", "4.20"),
    # 01:30-02:00 cheap, 02:30 is skipped, 03:00-03:30 dear: 0.5 x 0.60 + 0.5 x 1.20 = 0.90
    Case("a boundary skipped", HALF_PAST_TWO, "Europe/Berlin", "2026-03-29T00:30", "2026-03-29T01:30", "0.90"),
    # 01:30-02:30 cheap, 02:30-03:00 dear, again 02:00-02:30 cheap, 02:30-03:30 dear: 1.5 x 0.60 + 1.5 x 1.20 = 2.70
    Case("a boundary passed twice", HALF_PAST_TWO, "Europe/Berlin", "2026-10-24T23:30", "2026-10-25T02:30", "2.70"),
    # 9 hours at 2 kWh: 2 x 0.50 before 22:00, 7 hours of night 14 x 0.30, 2 x 0.50 after 06:00:
    # 1.00 + 4.20 + 1.00 = 6.20
    Case("spring energy", NIGHT_ENERGY, "Europe/Berlin", "2026-03-28T20:00", "2026-03-29T05:00", "6.20", "18"),
    # 11 hours at 2 kWh: 2 x 0.50 before 22:00, 9 hours of night 18 x 0.30, 2 x 0.50 after 06:00:
    # 1.00 + 5.40 + 1.00 = 7.40
    Case("autumn energy", NIGHT_ENERGY, "Europe/Berlin", "2026-10-24T19:00", "2026-10-25T06:00", "7.40", "22"),
    # local 00:00-06:00 on 5 April has 7 hours (13:00 to 20:00 UTC): 7 x 0.60 = 4.20
    Case("autumn in the south", NIGHT_TIME, "Australia/Sydney", "2026-04-04T13:00", "2026-04-04T20:00", "4.20"),
    # local 00:00-06:00 on 4 October has 5 hours (14:00 to 19:00 UTC): 5 x 0.60 = 3.00
    Case("spring in the south", NIGHT_TIME, "Australia/Sydney", "2026-10-03T14:00", "2026-10-03T19:00", "3.00"),
    # as in Berlin: 0.5 x 0.60 + 0.5 x 1.20 = 0.90
    Case("skipped in the south", HALF_PAST_TWO, "Australia/Sydney", "2026-10-03T15:30", "2026-10-03T16:30", "0.90"),
    # as in Berlin: 1.5 x 0.60 + 1.5 x 1.20 = 2.70
    Case("twice in the south", HALF_PAST_TWO, "Australia/Sydney", "2026-04-04T14:30", "2026-04-04T17:30", "2.70"),
    # local 00:00-06:00 has 6.5 hours (13:00 to 19:30 UTC): 6.5 x 0.60 = 3.90
    Case("half an hour back", NIGHT_TIME, "Australia/Lord_Howe", "2026-04-04T13:00", "2026-04-04T19:30", "3.90"),
    # the whole local Sunday has 25 hours (22:00 to 23:00 UTC of the next day): 25 x 1.00 = 25.00
    Case("a day of 25 hours", SUNDAY, "Europe/Berlin", "2026-10-24T22:00", "2026-10-25T23:00", "25.00"),
    # the whole local Sunday has 23 hours (23:00 to 22:00 UTC of the next day): 23 x 1.00 = 23.00
    Case("a day of 23 hours", SUNDAY, "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00", "23.00"),
    # five real hours, although the clock moves four: 3 x 1.00 + 2 x 2.00 = 7.00
    Case("duration is real time", THREE_HOURS, "Europe/Berlin", "2026-10-24T23:00", "2026-10-25T04:00", "7.00"),
    # Friday 23:00 to Saturday 01:00: 5 x 0.40 + 5 x 0.20 = 3.00
    Case("Friday midnight", WEEKEND, "Europe/Berlin", "2026-01-16T22:00", "2026-01-17T00:00", "3.00", "10"),
    # Sunday 23:00 to Monday 01:00 in Sydney, all of it Sunday in UTC: 5 x 0.20 + 5 x 0.40 = 3.00
    Case(
        "a midnight that is not UTC's",
        WEEKEND,
        "Australia/Sydney",
        "2026-01-18T12:00",
        "2026-01-18T14:00",
        "3.00",
        "10",
    ),
    # 31 January 23:30 to 1 February 00:30: 2 x 0.30 + 2 x 0.35 = 1.30
    Case("month end", FEBRUARY, "Europe/Berlin", "2026-01-31T22:30", "2026-01-31T23:30", "1.30", "4"),
    # 23:00 to 01:00 in New York, all of it 2027 in UTC: 1 x 1.00 + 1 x 2.00 = 3.00
    Case("year end", NEW_YEAR, "America/New_York", "2027-01-01T04:00", "2027-01-01T06:00", "3.00"),
    # 23:00 to 24:00 in Berlin is the old year's: 1 x 1.00 = 1.00
    Case("the last hour of a year", NEW_YEAR, "Europe/Berlin", "2026-12-31T22:00", "2026-12-31T23:00", "1.00"),
    # 28 February 23:00 to 1 March 01:00, 26 hours at 1 kWh: 1 x 0.50 + 24 x 0.10 + 1 x 0.50 = 3.40
    Case("a leap day", LEAP_DAY, "Europe/Berlin", "2028-02-28T22:00", "2028-03-01T00:00", "3.40", "26"),
    # 27 February 23:00 to 1 March 01:00, 26 hours at 1 kWh: 1 x 0.50 + 24 x 0.10 + 1 x 0.50 = 3.40
    Case("no leap day", LAST_OF_FEBRUARY, "Europe/Berlin", "2027-02-27T22:00", "2027-03-01T00:00", "3.40", "26"),
    # 00:00 (13:30 UTC) to 06:00 (19:00 UTC) is 5.5 hours: 5.5 x 0.60 = 3.30
    Case("half an hour forward", NIGHT_TIME, "Australia/Lord_Howe", "2026-10-03T13:30", "2026-10-03T19:00", "3.30"),
    # 00:00 EST (05:00 UTC) to 06:00 EDT (10:00 UTC), three weeks before Europe: 5 x 0.60 = 3.00
    Case("a change on another Sunday", NIGHT_TIME, "America/New_York", "2026-03-08T05:00", "2026-03-08T10:00", "3.00"),
    # 00:00 (00:00 UTC) to 06:00 (05:00 UTC): 5 x 0.60 = 3.00
    Case("summer as the usual time", NIGHT_TIME, "Europe/Dublin", "2026-03-29T00:00", "2026-03-29T05:00", "3.00"),
    # 20:00 to 08:00 has its 12 hours in the night of Berlin's change: 2 x 1.20 + 8 x 0.60 + 2 x 1.20 = 9.60
    Case("no change", NIGHT_TIME, "Asia/Kolkata", "2026-03-28T14:30", "2026-03-29T02:30", "9.60"),
    # 21:30 (15:45 UTC) to 22:30 (16:45 UTC): 0.5 x 1.20 + 0.5 x 0.60 = 0.90
    Case("three quarters of an hour", NIGHT_TIME, "Asia/Kathmandu", "2026-01-16T15:45", "2026-01-16T16:45", "0.90"),
    # Thursday 23:30 (21:30 UTC), and from 24:00 on it is Friday 01:00: 1 x 0.40 + 1 x 0.20 = 0.60
    Case("a midnight skipped", FRIDAY, "Africa/Cairo", "2026-04-23T21:30", "2026-04-23T22:30", "0.60", "2"),
    # Thursday 22:00 (19:00 UTC) to 24:00, once more 23:00 to 24:00, then Friday to 01:00 (23:00 UTC), 1 kWh an hour:
    # 3 x 0.40 + 1 x 0.20 = 1.40
    Case("a midnight put off", FRIDAY, "Africa/Cairo", "2026-10-29T19:00", "2026-10-29T23:00", "1.40", "4"),
    # from 00:00 (23:00 UTC) to 06:00 (04:00 UTC) the clock moves six hours, and five pass: 3 x 1.00 + 2 x 2.00 = 7.00
    Case("duration in spring", THREE_HOURS, "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T04:00", "7.00"),
    # 00:00 CEST to 03:00 CET is four hours at 1 kWh, the third kWh is full as the clock goes back: 3 x 0.30 + 1 x 0.50 = 1.40
    Case(
        "a limit of kWh at the change",
        FIRST_THREE,
        "Europe/Berlin",
        "2026-10-24T22:00",
        "2026-10-25T02:00",
        "1.40",
        "4",
    ),
    # the same four hours: kWh 1 and 2 before 02:00, the third in its first hour, the fourth, too many, in the second:
    # 2 x 0.60 + 1 x 0.20 + 1 x 0.60 = 2.00
    Case("an hour of kWh twice", THREE_AT_TWO, "Europe/Berlin", "2026-10-24T22:00", "2026-10-25T02:00", "2.00", "4"),
    # 01:30 (00:30 UTC) to 03:10 (01:10 UTC) is 40 minutes, billed as three quarters: 0.75 x 1.20 = 0.90
    Case("steps over the change", QUARTERS, "Europe/Berlin", "2026-03-29T00:30", "2026-03-29T01:10", "0.90"),
    # Friday 21:00 (20:00 UTC) to 22:00 dear, to 24:00 cheap, and the night's rest is Saturday's to 07:00 (06:00 UTC):
    # 1 x 1.20 + 2 x 0.60 + 7 x 1.20 = 10.80
    Case("past midnight by day", FRIDAY_NIGHT, "Europe/Berlin", "2026-01-16T20:00", "2026-01-17T06:00", "10.80"),
    # the Sunday of 25 hours, 23:00 (22:00 UTC), to Monday 01:00 (00:00 UTC): 1 x 1.20 + 1 x 0.60 = 1.80
    Case("a band to midnight", EVENING, "Europe/Berlin", "2026-10-25T22:00", "2026-10-26T00:00", "1.80"),
    # 31 December 23:00 (09:00 UTC) to 1 January 01:00 (11:00 UTC): 1 x 1.00 + 1 x 2.00 = 3.00
    Case("year end far ahead", NEW_YEAR, "Pacific/Kiritimati", "2026-12-31T09:00", "2026-12-31T11:00", "3.00"),
    # Friday 22:00 CEST (20:00 UTC) to Monday 06:00 CET (05:00 UTC), 57 hours: nights of 8, 9 and 8 hours, two days of 16:
    # 25 x 0.60 + 32 x 1.20 = 15.00 + 38.40 = 53.40
    Case("a weekend", NIGHT_TIME, "Europe/Berlin", "2026-10-23T20:00", "2026-10-26T05:00", "53.40"),
    # a leap second came before 2017; timestamps do not count it: 2 seconds x 1.00 = 2.00
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


@pytest.mark.parametrize("server", ["UTC", "America/New_York", "Australia/Lord_Howe"])
def test_the_zone_that_the_server_stands_in_prices_nothing(tmp_path: Path, server: str) -> None:
    case = next(each for each in CASES if each.name == "a boundary passed twice")
    session = {"time_zone": case.zone, "periods": [{"start": at(case.start), "end": at(case.end), "energy_kwh": "0"}]}
    files = tmp_path / "tariff.json", tmp_path / "session.json"
    for file, body in zip(files, (case.tariff, session), strict=True):
        file.write_text(json.dumps(body))

    command = [
        str(Path(sys.executable).with_name("csms")),
        "tariff",
        "price",
        files[0],
        "--session",
        files[1],
        "-o",
        "json",
    ]
    shown = subprocess.run(command, env={**os.environ, "TZ": server}, capture_output=True, check=True)  # noqa: S603 - ours

    assert json.loads(shown.stdout)["total_incl_tax"] == case.total
