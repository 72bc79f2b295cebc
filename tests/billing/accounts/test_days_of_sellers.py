"""By whose days a seller dates what it issues."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import click
import pytest

from billing.accounts.seller import Seller, SellerDetails, mistakes_in_seller, today_of, zone_of
from billing.invoices.cli_words import day_of_issue
from billing.invoices.document import Address, Party
from billing.invoices.run_cli import last_day_that_counts

MARCH_31 = date(2026, 3, 31)
APRIL_1 = date(2026, 4, 1)
EVENING_THERE = datetime(2026, 4, 1, 0, 30, tzinfo=UTC)
"""Half past five in the afternoon of 31 March in Los Angeles."""


def seller(country: str, time_zone: str | None = None) -> Seller:
    address = Address(street="Main St 1", city="Example", country=country)
    return Seller(
        id="north", details=SellerDetails(party=Party(name="N", address=address, tax_number="1"), time_zone=time_zone)
    )


LOS_ANGELES = seller("US", "America/Los_Angeles")
HAMBURG = seller("DE")


@pytest.mark.parametrize(
    ("whose", "now", "day"),
    [
        (LOS_ANGELES, EVENING_THERE, MARCH_31),
        (HAMBURG, datetime(2026, 3, 31, 22, 30, tzinfo=UTC), APRIL_1),
        (HAMBURG, datetime(2026, 3, 31, 21, 30, tzinfo=UTC), MARCH_31),
        (seller("US"), EVENING_THERE, APRIL_1),
    ],
)
def test_a_document_is_issued_on_the_day_where_its_seller_is(whose: Seller, now: datetime, day: date) -> None:
    assert today_of(whose, now) == day == day_of_issue(whose, None, now=now)


def test_a_day_that_is_still_to_come_where_the_seller_is_cannot_be_said() -> None:
    assert day_of_issue(LOS_ANGELES, MARCH_31, now=EVENING_THERE) == MARCH_31
    with pytest.raises(click.UsageError, match="2026-04-01 is still to come: where seller north is, it is 2026-03-31"):
        day_of_issue(LOS_ANGELES, APRIL_1, now=EVENING_THERE)


def test_a_period_is_run_once_it_has_ended_where_the_seller_is() -> None:
    midnight = datetime(2026, 4, 1, 7, tzinfo=UTC)

    with pytest.raises(click.UsageError, match="2026-03-31 has not ended yet"):
        last_day_that_counts(LOS_ANGELES, MARCH_31, None, now=EVENING_THERE)
    assert last_day_that_counts(LOS_ANGELES, MARCH_31, None, now=midnight) == MARCH_31
    assert last_day_that_counts(LOS_ANGELES, None, MARCH_31, now=EVENING_THERE) == MARCH_31, "by name any day goes"


def test_the_zone_of_a_seller_is_what_was_said_else_that_of_its_country() -> None:
    known = replace(HAMBURG, details=replace(HAMBURG.details, time_zone="Europe/Vienna"))

    assert [zone_of(each) for each in (known, HAMBURG, seller("US"))] == ["Europe/Vienna", "Europe/Berlin", "UTC"]
    assert mistakes_in_seller(LOS_ANGELES) == []
    assert mistakes_in_seller(seller("US", "America/Nowhere")) == [
        "'America/Nowhere' is no time zone: use an IANA name such as Europe/Berlin"
    ]
