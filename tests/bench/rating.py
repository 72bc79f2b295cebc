"""How fast the engine rates, on one core and without a database: python -m tests.bench.rating.

Beside it, in the same run, a script that does nothing but price and add up the same samples as decimals: what of the
figure is the machine's is seen in the ratio.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from billing.rating.engine import rate
from billing.rating.policy import DEFAULT_POLICY
from billing.rating.rating import Rating
from billing.rating.running import advance
from billing.rating.terms import NO_TERMS
from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.tariff import Tariff, parse_tariff

START = datetime(2026, 3, 3, 6, 30, tzinfo=UTC)


def flat_tariff() -> Tariff:
    """One price per kWh, whatever the time."""
    return _tariff([{"price_components": [_energy("0.49")]}])


def two_hourly_tariff() -> Tariff:
    """Twelve elements: every two hours of the day have a price of their own."""
    return _tariff(
        [
            {
                "price_components": [_energy(f"0.{30 + hour}")],
                "restrictions": {"start_time": f"{hour:02}:00", "end_time": f"{(hour + 2) % 24:02}:00"},
            }
            for hour in range(0, 24, 2)
        ]
    )


def _energy(price: str) -> dict[str, Any]:
    return {"type": "ENERGY", "price": price, "vat": "19", "step_size": 1}


def _tariff(elements: list[dict[str, Any]]) -> Tariff:
    body = {"id": "BENCH", "currency": "EUR", "tax_included": "NO", "elements": elements}
    return parse_tariff(body, version=1)


def usage(samples: int, *, every: timedelta) -> Usage:
    """A session with so many readings of register and power, `every` so often."""
    return Usage(
        time_zone="Europe/Berlin",
        periods=tuple(
            Period(
                kind=PeriodKind.CHARGING,
                start=START + n * every,
                end=START + (n + 1) * every,
                energy_wh=Decimal(900 + n * 37 % 101) + Decimal(n % 10) / 10,
                power_w=Decimal(10_800 + n * 31 % 400),
                current_a=Decimal(16),
            )
            for n in range(samples)
        ),
    )


def per_s(work: Callable[[], object], *, seconds: float) -> float:
    """How often a second of CPU time of this process does `work`."""
    work()
    done, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < seconds:
        work()
        done += 1
    return done / spent


def _bare(used: Usage) -> Callable[[], object]:
    price = Decimal("0.49")

    def work() -> Decimal:
        return sum((period.energy_wh * price for period in used.periods if period.energy_wh), Decimal(0)) / 1000

    return work


def cases(*, seconds: float) -> dict[str, float]:
    """Ratings per second and core by name, and their ratio to the bare sum of the same samples."""
    short, long = usage(20, every=timedelta(minutes=5)), usage(200, every=timedelta(minutes=5))
    found: dict[str, float] = {}
    for name, used, tariff in (
        ("flat per kWh, 20 samples", short, flat_tariff()),
        ("12 elements by time, 200 samples", long, two_hourly_tariff()),
    ):
        rated = per_s(lambda used=used, tariff=tariff: rate(used, tariff, DEFAULT_POLICY, final=True), seconds=seconds)
        found[f"rating, {name}: per core s"] = rated
        found[f"rating, {name}: ratio to a bare sum"] = rated / per_s(_bare(used), seconds=seconds)
    long = usage(500, every=timedelta(minutes=5))
    for name, tariff in (("flat per kWh", flat_tariff()), ("12 elements by time", two_hourly_tariff())):
        costs = {samples: 1 / per_s(_interim(long, samples, tariff), seconds=seconds) for samples in (20, 500)}
        found[f"interim, {name}, 500th sample: us"] = costs[500] * 1_000_000
        found[f"interim, {name}, 500th sample to 20th"] = costs[500] / costs[20]
    return found


def _interim(used: Usage, samples: int, tariff: Tariff) -> Callable[[], object]:
    """The interim at one sample, when that at the sample before is there."""
    before = replace(used, periods=used.periods[: samples - 1])
    now = replace(used, periods=used.periods[:samples])
    running = advance(None, before, tariff, NO_TERMS)

    def work() -> Rating:
        following = advance(running, now, tariff, NO_TERMS)
        return rate(now, tariff, DEFAULT_POLICY, final=False, running=following)

    return work


if __name__ == "__main__":
    for name, figure in cases(seconds=3).items():
        sys.stdout.write(f"{name:64}{figure:12.4g}\n")
