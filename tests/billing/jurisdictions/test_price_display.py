"""The price as drivers read it: the parts in the order of the law, exact, with tax."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given

from billing.jurisdictions.bound import Sizes
from billing.jurisdictions.display import display_json, display_price
from billing.jurisdictions.profile import profiles
from billing.tariffs.price_list import Charge
from billing.tariffs.tariff import Tariff
from tests.billing.jurisdictions.samples import part, plain, tariff
from tests.billing.rating.test_rating_invariants import FEW
from tests.billing.rating.worlds import tariffs

EVERYTHING = tariff(
    ([part("FLAT", "1.00")], {"reservation": "RESERVATION"}),
    ([part(price="0.39")], {"start_time": "22:00", "end_time": "06:00"}),
    ([part("PARKING_TIME", "12.00")], {"min_duration": 14400}),
    ([part("FLAT", "0.50"), part("TIME", "3.00"), part(price="0.59")], {}),
    max_price={"before_taxes": 50},
)


def shown(priced: Tariff, name: str | None, sizes: Sizes = Sizes()) -> list[str]:  # noqa: B008 - frozen
    return display_price(priced, None if name is None else profiles()[name], sizes=sizes).text.splitlines()


def test_in_the_eu_kwh_come_before_minutes_before_the_session_before_the_rest() -> None:
    assert shown(EVERYTHING, "eu-afir") == [
        "per kWh: 0.39 EUR 22:00-06:00, else 0.59 EUR",
        "per minute of charging: 0.05 EUR",
        "idle per minute: 0.20 EUR after 240 min",
        "per session: 0.50 EUR",
        "per reservation: 1.00 EUR",
        "at most: 60.00 EUR",
        "incl. 20 % VAT",
        "where a line has several prices, the first whose condition holds counts at each moment",
    ]


def test_without_a_profile_it_is_as_in_the_eu() -> None:
    assert shown(EVERYTHING, None) == shown(EVERYTHING, "eu-afir")


def test_in_the_uk_the_total_stands_first_in_pence() -> None:
    bands = tariff(
        ([part(price="0.49")], {"start_time": "22:00", "end_time": "06:00"}), ([part(price="0.79")], {}), currency="GBP"
    )

    assert shown(bands, "uk-pcpr")[:3] == [
        "total per kWh: at most 79p",
        "per kWh: 49p 22:00-06:00, else 79p",
        "incl. 20 % VAT",
    ]


def test_in_the_uk_a_fee_leaves_no_maximum_but_for_sessions_of_a_size() -> None:
    fee = plain(part("FLAT", "0.35"), currency="GBP")

    assert shown(fee, "uk-pcpr")[0] == "total per kWh: no maximum"
    assert shown(fee, "uk-pcpr")[-1] == "no maximum per kWh because of the price per session"
    assert shown(fee, "uk-pcpr", Sizes(energy_kwh_min=Decimal(7)))[0] == (
        "total per kWh: at most 55p in sessions from 7 kWh on"
    )


def test_a_maximum_without_an_end_as_a_decimal_is_shown_rounded_up() -> None:
    """0.35 over 3 kWh is 0.11666...; with 0.50 it is at most 0.6167."""
    fee = plain(part("FLAT", "0.35"), currency="GBP")

    assert shown(fee, "uk-pcpr", Sizes(energy_kwh_min=Decimal(3)))[0] == (
        "total per kWh: at most 61.67p in sessions from 3 kWh on"
    )


def test_in_the_us_dollars_per_kwh_come_first_and_each_fee_is_explained() -> None:
    priced = tariff(
        ([part(vat=None), part("FLAT", "1.00", vat=None), part("PARKING_TIME", "24.00", vat=None)], {}),
        currency="USD",
        tax_included="NO",
    )

    assert shown(priced, "us-nevi") == [
        "per kWh: $0.50 (the electricity that the vehicle takes)",
        "per session: $1.00 (once, for plugging in)",
        "idle per minute: $0.40 (time in which the vehicle is connected and takes no power)",
        "plus tax",
    ]
    assert shown(priced, "us-ca") == shown(priced, "us-nevi")


def test_another_currency_than_the_forms_is_written_as_its_code() -> None:
    assert shown(plain(), "us-nevi")[0].startswith("per kWh: 0.50 EUR")
    assert shown(plain(), "uk-pcpr")[0] == "total per kWh: at most 0.50 EUR"


def test_two_rates_of_tax_are_said_with_each_price() -> None:
    assert shown(plain(part("FLAT", "1.00", vat="7")), "eu-afir") == [
        "per kWh: 0.50 EUR incl. 20 % VAT",
        "per session: 1.00 EUR incl. 7 % VAT",
    ]


def test_the_days_of_a_tariff_are_said() -> None:
    limited = plain(start_date_time="2026-03-01T00:00:00Z", end_date_time="2026-04-01T00:00:00Z")

    assert shown(limited, None)[-2:] == ["from 2026-03-01 00:00Z", "until 2026-04-01 00:00Z"]


def test_as_json_amounts_are_exact_text() -> None:
    body = display_json(display_price(plain(part("FLAT", "0.35"), currency="GBP"), profiles()["uk-pcpr"]), "uk-pcpr")

    assert (body["jurisdiction"], body["currency"], body["maximum_per_kwh"]) == ("uk-pcpr", "GBP", None)
    assert [(line["charge"], line["prices"][0]["amount"]) for line in body["lines"]] == [
        ("energy", "0.5"),
        ("session", "0.35"),
    ]
    assert body["tax"] == "incl. 20 % VAT"


@FEW
@given(priced=tariffs())
def test_every_form_shows_every_line_once(priced: Tariff) -> None:
    lines = {
        name: sorted(line.prices.charge for line in display_price(priced, profile).lines if line.prices is not None)
        for name, profile in profiles().items()
    }

    assert len({tuple(each) for each in lines.values()}) == 1
    assert all(len(set(each)) == len(each) for each in lines.values())
    assert all(display_price(priced, profiles()[name]).lines for name in lines)
    assert Charge.ENERGY in lines["eu-afir"]
