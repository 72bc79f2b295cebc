"""What a bill stores is enough to rate it again, to the byte, for any session under any tariff (M6, P10)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from billing.bills.bill import BillInputs, canonical_json, whole_wh
from billing.rating.engine import rate
from billing.rating.explanation import recompute
from billing.rating.policy import DEFAULT_POLICY, RatingPolicy
from billing.rating.rating_json import rating_from_json, rating_to_json
from billing.rating.usage import Usage
from billing.tariffs.ocpi_json import dump_json, load_json
from billing.tariffs.store import canonical_body, sha256_of
from billing.tariffs.tariff import Tariff, parse_tariff
from tests.billing.rating.worlds import bodies, tariffs, usages
from tests.examples import tried


def stored(value: Any) -> Any:
    """Through the text that Postgres keeps; a float anywhere in it is refused."""

    def refuse(number: str) -> None:
        raise AssertionError(f"float {number} near money; write it as text")

    return json.loads(canonical_json(value), parse_float=refuse)


def inputs_of(usage: Usage, *, final: bool) -> BillInputs:
    energy_wh = sum((period.energy_wh or Decimal(0) for period in usage.periods), Decimal(0))
    return BillInputs(usage=usage, energy_wh=energy_wh, final=final, facts=b"\x01\xff")


@tried(300)
@given(usages(), tariffs())
def test_a_bill_follows_from_its_stored_inputs_to_the_byte(usage: Usage, tariff: Tariff) -> None:
    for final in (False, True):
        inputs = inputs_of(usage, final=final)
        rating = rate(usage, tariff, DEFAULT_POLICY, final=final)
        detail = stored(rating_to_json(rating))

        read = BillInputs.from_dict(stored(inputs.to_dict()))
        tariff_read = parse_tariff(load_json(canonical_body(tariff)))
        policy_read = RatingPolicy.from_dict(load_json(dump_json(DEFAULT_POLICY.to_dict())))
        again = rate(read.usage, tariff_read, policy_read, final=read.final)

        assert (read, read.hash) == (inputs, inputs.hash)
        assert canonical_json(rating_to_json(again)) == canonical_json(detail)


@tried(300)
@given(usages(), tariffs())
def test_lines_tax_and_totals_of_a_stored_bill_agree_to_the_cent(usage: Usage, tariff: Tariff) -> None:
    rating = rating_from_json(stored(rating_to_json(rate(usage, tariff, DEFAULT_POLICY, final=True))))
    again = recompute(rating)

    assert (again.total_excl, again.total_incl) == (rating.total_excl, rating.total_incl)
    assert rating.total_excl + rating.total_tax == rating.total_incl
    assert sum(part.excl_tax.minor for part in rating.components) == rating.total_excl.minor
    assert sum(group.net.minor for group in rating.tax_groups) == rating.total_excl.minor
    assert sum(group.tax.minor for group in rating.tax_groups) == rating.total_tax.minor


@given(bodies())
def test_a_tariff_has_one_hash_whatever_the_order_of_its_file(body: dict[str, Any]) -> None:
    reversed_body = dict(reversed(list(body.items())))

    first, second = (canonical_body(parse_tariff(each)) for each in (body, reversed_body))

    assert sha256_of(first) == sha256_of(second)
    assert canonical_body(parse_tariff(load_json(first))) == first


@given(usages())
def test_the_hash_is_of_what_is_priced_and_of_nothing_else(usage: Usage) -> None:
    inputs = inputs_of(usage, final=True)

    other_facts = BillInputs(usage=usage, energy_wh=inputs.energy_wh, final=True, facts=b"")
    other_energy = BillInputs(usage=usage, energy_wh=inputs.energy_wh + 1, final=True, facts=inputs.facts)

    assert other_facts.hash == inputs.hash
    assert other_energy.hash != inputs.hash
    assert inputs_of(usage, final=False).hash != inputs.hash


@pytest.mark.parametrize(("energy_wh", "shown"), [("0.499", 0), ("0.5", 1), ("1.5", 2), ("2.5", 3), ("82.999", 83)])
def test_energy_in_lists_is_rounded_half_up(energy_wh: str, shown: int) -> None:
    assert whole_wh(Decimal(energy_wh)) == shown
