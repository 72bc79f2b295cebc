"""The catalogue names every deviation that is ever found, by whoever finds it, and nothing that nobody finds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import csms
from csms.protocol.quirks import Accommodation, Quirk, Seen
from csms.protocol.quirks.catalogue import Finder, Kind, Make, Move, accommodations, catalogue, known_for
from csms.protocol.validation import Fault
from csms.sessions.review import FLAGS, HOLDS

CSMS = Path(csms.__file__).parent
NOT_OF_THE_CHARGE_POINT = {
    "clock_uncertain", "currency_mismatch", "evidence_differs", "evidence_gap", "evidence_invalid", "evidence_missing", "evidence_no_key",
    "evidence_price_cut", "evidence_time",
    "energy_over_limit", "energy_over_power", "late", "late_fact", "limit_not_obeyed", "no_tariff", "not_ratable",
    "overlap", "power_unknown", "price_outlier", "quarantined", "rating_failed", "reservation_unused", "tax_undecided", "token_unknown", "too_long", "unpriced",
    "zero_energy",
}  # fmt: skip
"""Holds and flags that tell of prices, tokens, policy or drivers."""


def names(by: Finder) -> set[str]:
    return {entry.name for entry in catalogue().values() if entry.by is by}


def test_what_translators_repair_is_what_the_catalogue_says() -> None:
    assert names(Finder.TRANSLATOR) == set(Quirk)
    assert all(catalogue()[quirk].kind is Kind.REPAIR for quirk in Quirk)


def test_what_the_gateway_sees_is_what_the_catalogue_says() -> None:
    assert names(Finder.GATEWAY) == set(Seen)


def test_every_rule_of_the_review_that_tells_of_a_charge_point_is_in_the_catalogue() -> None:
    told = names(Finder.SESSION) | names(Finder.DOCTOR)

    assert names(Finder.SESSION) <= set(HOLDS) | set(FLAGS)
    assert (set(HOLDS) | set(FLAGS)) - told == NOT_OF_THE_CHARGE_POINT


def test_every_work_around_is_one_that_code_knows() -> None:
    assert names(Finder.PROFILE) == set(Accommodation)
    assert all(catalogue()[each].kind is Kind.WORK_AROUND for each in Accommodation)


@pytest.mark.parametrize("found", [Quirk, Seen], ids=lambda found: found.__name__)
def test_every_name_is_used_by_some_code(found: type[Quirk | Seen]) -> None:
    text = "".join(path.read_text() for path in CSMS.rglob("*.py") if path.name != "names.py")

    assert {name.name for name in found} == set(re.findall(rf"\b{found.__name__}\.([A-Z_]+)\b", text))


def test_entries_say_what_an_operator_must_know() -> None:
    for entry in catalogue().values():
        assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", entry.name), entry.name
        assert all((entry.says, entry.ours, entry.billing)), entry.name
        assert "\n" not in entry.says + entry.ours + entry.billing, entry.name
        assert set(entry.versions) <= {"1.6", "2.0.1"}, entry.name
        assert entry.fault is None or entry.fault == "handshake" or entry.fault.upper() in Fault.__members__, entry.name
        assert all(
            re.fullmatch(r"https://github\.com/[^/]+/[^/]+(/(issues|pull)/\d+)?", each) for each in entry.sources
        )
        assert all(1 <= each.count("/") <= 2 for each in entry.models), entry.name
        assert entry.next or entry.move is Move.NOBODY, entry.name


def test_no_two_entries_say_the_same() -> None:
    said = [entry.says for entry in catalogue().values()]

    assert len(set(said)) == len(said)


def test_a_make_is_known_by_its_pattern_in_any_case() -> None:
    named = {entry.name for entry in known_for(Make("ABB", "Terra AC W22", "1.6.6"))}

    assert {"energy_register_only", "start_repeated", "null_as_text"} <= named
    assert "calls_wait_for_boot" not in named
    assert known_for(Make(None, None, None)) == known_for(Make("", "", "")) == ()


def test_an_operator_has_the_last_word_on_work_arounds() -> None:
    make, name = Make("Wall Box Chargers", "Pulsar", None), Accommodation.CALLS_WAIT_FOR_BOOT

    assert name in accommodations(make)
    assert name not in accommodations(make, frozenset(), frozenset({name}))
    assert name in accommodations(Make("Other", "Thing", None), frozenset({name}))
