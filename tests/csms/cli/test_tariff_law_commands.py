"""`csms tariff lint`, `jurisdictions` and `show --display`: what the law says of a price, and how it orders it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.csms.cli.cli_room import Installation

FEE = {
    "id": "FEE",
    "currency": "EUR",
    "tax_included": "NO",
    "elements": [
        {
            "price_components": [
                {"type": "FLAT", "price": 1, "vat": 19, "step_size": 1},
                {"type": "ENERGY", "price": 0.50, "vat": 19, "step_size": 1},
                {"type": "TIME", "price": 3, "vat": 19, "step_size": 1},
            ]
        }
    ],
}


async def create(shop: Installation, document: dict[str, Any]) -> None:
    await shop.data("tariff", "create", "-", stdin=json.dumps(document).encode())


async def test_a_fee_is_against_the_law_at_60_kw_and_not_at_22_kw(shop: Installation) -> None:
    await create(shop, FEE | {"id": "FEE-LAW"})
    law = ("--jurisdiction", "eu-afir", "--ad-hoc", "--fail-on", "error")
    fast, slow, contract = await asyncio.gather(
        shop.csms("tariff", "lint", "FEE-LAW", *law, "--power-kw", "60", "-o", "json"),
        shop.csms("tariff", "lint", "FEE-LAW", *law, "--power-kw", "22", "-o", "json"),
        shop.csms(
            "tariff", "lint", "FEE-LAW", "--jurisdiction", "eu-afir", "--power-kw", "60", "--contract", "-o", "json"
        ),
    )

    [found] = [each for each in fast.json if each["code"] == "afir_session_fee"]
    assert (fast.code, slow.code, contract.code) == (6, 0, 0)
    assert found["jurisdiction"] == "eu-afir"
    assert found["source"] == "Regulation (EU) 2023/1804, Article 5(4)"
    assert found["path"] == "$.elements[0].price_components[0]"
    assert {each["jurisdiction"] for each in [*slow.json, *contract.json]} <= {None}


async def test_a_file_is_held_against_several_laws_without_a_database(shop: Installation, tmp_path: Any) -> None:
    file = tmp_path / "fee.json"
    file.write_text(json.dumps(FEE))
    said = await shop.data("tariff", "lint", file, "--jurisdiction", "uk-pcpr", "--jurisdiction", "de-eichrecht")
    given = await shop.data("tariff", "lint", file, "--jurisdiction", "de-eichrecht", "--given", "time-meter")

    assert [each["code"] for each in said if each["jurisdiction"]] == [
        "pcpr_currency",
        "pcpr_total_price",
        "pcpr_total_price",
        "eichrecht_time",
    ]
    assert [each for each in given if each["jurisdiction"]] == []


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("lint", "NO-SUCH-TARIFF"), 3),
        (("lint", "no/such/file"), 2),
        (("lint", "-", "--version", "1"), 2),
        (("lint", "-", "--power-kw", "-5"), 2),
        (("lint", "-", "--jurisdiction", "atlantis"), 2),
        (("show", "FEE-SHOWN", "--country", "DE"), 2),
        (("show", "FEE-SHOWN", "--display", "--country", "DE", "--site", "harbour"), 2),
        (("show", "FEE-SHOWN", "--display", "--site", "no-such-site"), 3),
        (("show", "FEE-SHOWN", "--display", "--country", "JP"), 5),
    ],
)
async def test_what_cannot_be_asked_ends_with_its_status(
    shop: Installation, arguments: tuple[str, ...], status: int
) -> None:
    await create(shop, FEE | {"id": "FEE-SHOWN"})

    said = await shop.csms("tariff", *arguments, stdin=json.dumps(FEE).encode())

    assert said.code == status, said.err
    assert said.error["next"]


async def test_the_price_is_shown_as_the_law_of_the_site_orders_it(shop: Installation) -> None:
    await create(shop, FEE | {"id": "FEE-ORDER"})
    table, body = await asyncio.gather(
        shop.csms("tariff", "show", "FEE-ORDER", "--display", "--site", "harbour"),
        shop.data("tariff", "show", "FEE-ORDER", "--display", "--site", "harbour"),
    )

    assert table.out.splitlines() == [
        "what\tprice",
        "per kWh\t0.595 EUR",
        "per minute of charging\t0.0595 EUR",
        "per session\t1.19 EUR",
        "tax\tincl. 19 % VAT",
    ]
    assert body["jurisdiction"] == "eu-afir"
    assert [line["charge"] for line in body["lines"]] == ["energy", "time", "session"]
    assert body["text"].splitlines()[0] == "per kWh: 0.595 EUR"


async def test_a_maximum_per_kwh_is_shown_for_sessions_of_a_size(shop: Installation) -> None:
    await create(shop, FEE | {"id": "FEE-GB", "currency": "GBP"})
    form = ("tariff", "show", "FEE-GB", "--display", "--country", "GB")
    without, sized = await asyncio.gather(shop.data(*form), shop.data(*form, "--from-kwh", "10", "--up-to-hours", "2"))

    assert without["maximum_per_kwh"] is None
    # 10 kWh at 0.595, 1.19 once and 2 h at 3.57: 14.28 for 10 kWh
    assert sized["maximum_per_kwh"] == "1.428"


async def test_every_law_is_listed_with_its_rules_and_sources(shop: Installation) -> None:
    everything, one = await asyncio.gather(
        shop.data("tariff", "jurisdictions"), shop.data("tariff", "jurisdictions", "eu-afir")
    )

    assert {each["jurisdiction"] for each in everything} == {"eu-afir", "uk-pcpr", "us-nevi", "us-ca", "de-eichrecht"}
    assert one == [each for each in everything if each["jurisdiction"] == "eu-afir"]
    assert all(each["source"] and each["says"] and each["when"] for each in everything)
