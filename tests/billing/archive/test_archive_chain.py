"""The chain of entries, as pure values: a change of any field of any entry is found, and found where it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.archive.entry import NO_ENTRY, Action, Entry, Head, breaks, chained
from billing.archive.retention import RetentionClass, RetentionRule, default_rules, retain_until, years_of
from billing.archive.service import country_of
from billing.errors import Refused
from tests.examples import tried

PLAIN = Entry(
    id=0, at=datetime(2026, 11, 2, tzinfo=UTC), action=Action.STORED, actor="ada", subject="RE-1", account="K-1",
    sha256=b"s" * 32, size_bytes=3, media_type="application/pdf", kind="invoice_pdf", retention_class="voucher",
    retain_until=date(2034, 12, 31),
)  # fmt: skip
OTHERWISE: dict[str, Any] = {
    "at": datetime(2026, 11, 2, 0, 0, 0, 1, tzinfo=UTC), "action": Action.DELETED, "actor": "bob", "reason": "none",
    "about": 1, "subject": "RE-2", "account": None, "sha256": b"t" * 32, "size_bytes": 4, "media_type": "text/xml",
    "kind": "mail", "retention_class": "book", "retain_until": date(2033, 12, 31), "hash": b"h" * 32,
}  # fmt: skip


def of_length(length: int) -> list[Entry]:
    return chained([replace(PLAIN, subject=f"RE-{n}") for n in range(length)], NO_ENTRY)


def found(entries: list[Entry]) -> list[tuple[int, str]]:
    return [(each.id, each.what) for each in breaks(entries, NO_ENTRY)]


def test_a_chain_begins_behind_the_last_entry_and_has_no_gap() -> None:
    chain = of_length(3)
    more = chained([PLAIN], Head(3, chain[-1].hash))

    assert [each.id for each in [*chain, *more]] == [1, 2, 3, 4]
    assert found([*chain, *more]) == []


@pytest.mark.parametrize("name", sorted(OTHERWISE))
def test_a_change_of_any_field_is_found(name: str) -> None:
    chain = of_length(3)
    chain[1] = replace(chain[1], **{name: OTHERWISE[name]})

    told = found(chain)

    assert (2, "was changed") in told
    assert {id_ for id_, _ in told} <= {2, 3}
    assert set(OTHERWISE) | {"id", "hash_prev"} == set(Entry.__slots__)


def test_who_computes_the_hash_of_a_changed_entry_anew_breaks_the_one_behind_it() -> None:
    chain = of_length(3)
    forged = replace(chain[1], subject="RE-9")
    chain[1] = replace(forged, hash=forged.computed_hash())

    assert found(chain) == [(3, "does not follow from the entry before it")]


@given(st.integers(2, 12), st.data())
@tried(50)
def test_no_entry_can_be_taken_out_doubled_or_swapped(length: int, data: st.DataObject) -> None:
    chain = of_length(length)
    n = data.draw(st.integers(0, length - 2))
    without, doubled = chain[:n] + chain[n + 1 :], [*chain[: n + 1], *chain[n:]]
    swapped = [*chain[:n], chain[n + 1], chain[n], *chain[n + 2 :]]

    assert all(found(each) for each in (without, doubled, swapped))


def test_retention_begins_with_the_end_of_the_year() -> None:
    assert retain_until(date(2026, 1, 1), 8) == date(2034, 12, 31)
    assert retain_until(date(2028, 2, 29), 10) == date(2038, 12, 31)


def test_years_are_the_operators_own_then_the_countrys_then_everywheres() -> None:
    def own(country: str | None, years: int) -> RetentionRule:
        return RetentionRule(retention_class=RetentionClass.VOUCHER, country=country, years=years)

    voucher = RetentionClass.VOUCHER
    assert [years_of(voucher, country, []) for country in ("DE", "NL", "XX", None)] == [8, 7, 10, 10]
    assert years_of(voucher, "DE", [own("DE", 11), own(None, 12)]) == 11
    assert years_of(voucher, "NL", [own("DE", 11), own(None, 12)]) == 12
    assert years_of(RetentionClass.BOOK, "DE", [own("DE", 11)]) == 10
    assert {rule.retention_class for rule in default_rules() if rule.country is None} == set(RetentionClass)


def test_a_country_has_two_letters() -> None:
    assert (country_of("de"), country_of(None)) == ("DE", None)
    for wrong in ("", "D", "DEU", "D1", "ÄÖ"):
        with pytest.raises(Refused):
            country_of(wrong)
