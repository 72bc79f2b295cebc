"""What signed values prove: each fault with its stated consequence (RULES.md 23)."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signed_story import judged, meter_key, rules, shown, signed, told

from csms.evidence.judgement import GAP, INVALID, MISSING, NO_KEY, Evidence, Verdict, judge
from csms.evidence.obis import Register
from csms.evidence.signed_value import unwrap
from simulators.charge_point.signing import Signing, SigningMeter, private_key, signed_text

BEGIN = signed(shown("B", "1000.0"), page=5)
SAMPLE = signed(shown("C", "1500.0", 30), page=6)
END = signed(shown("E", "2234.5", 60), page=7)


def _whys(evidence: Evidence) -> str:
    return " | ".join(problem.why for problem in evidence.problems)


def test_begin_and_end_that_the_meter_signed_are_whole() -> None:
    evidence = judged(BEGIN, SAMPLE, END)

    assert evidence.is_whole
    assert evidence.energy_wh == Decimal("1234.5")
    assert (evidence.meter, evidence.register) == ("M-1", "1-0:1.8.0")
    assert [value.verdict for value in evidence.values] == [Verdict.VALID] * 3
    assert [mark.wh for mark in evidence.marks] == [1000, 1500, Decimal("2234.5")]


def test_one_record_with_both_is_as_good() -> None:
    evidence = judged(signed(shown("B", "1000"), shown("L", "2000", 60)))

    assert evidence.is_whole
    assert evidence.energy_wh == 1000


def test_a_begin_that_is_told_again_beside_the_end_counts_once() -> None:
    again = signed(shown("B", "1000.0"), shown("E", "2234.5", 60), page=6)

    assert judged(BEGIN, BEGIN, again).energy_wh == Decimal("1234.5")


@pytest.mark.parametrize("spoilt", [BEGIN, SAMPLE, END])
def test_a_changed_value_is_invalid(spoilt: str) -> None:
    changed = spoilt.replace('"ID":"CARD-0001"', '"ID":"CARD-0002"')
    evidence = judged(*(changed if each == spoilt else each for each in (BEGIN, SAMPLE, END)))

    assert rules(evidence) == [INVALID]
    assert evidence.energy_wh is None
    assert [value.verdict for value in evidence.values].count(Verdict.INVALID) == 1


def test_a_wrong_key_makes_all_of_it_invalid() -> None:
    evidence = judged(BEGIN, END, keys=[meter_key(of="M-2")])

    assert INVALID in rules(evidence)
    assert {value.verdict for value in evidence.values} == {Verdict.INVALID}
    assert not evidence.is_whole


def test_without_a_key_nothing_is_said_but_that() -> None:
    for keys in ([], [meter_key("M-2")]):
        evidence = judged(BEGIN, END, keys=keys)

        assert rules(evidence) == [NO_KEY]
        assert "no key is registered for meter M-1" in _whys(evidence)


def test_a_key_for_this_meter_and_one_for_another_are_told_apart() -> None:
    keys = [meter_key("M-2", id_=1, of="M-2"), meter_key("M-1", id_=2)]

    assert judged(BEGIN, SAMPLE, END, keys=keys).is_whole
    assert {value.key.id for value in judged(BEGIN, SAMPLE, END, keys=keys).values if value.key} == {2}


@pytest.mark.parametrize(("texts", "word"), [([END], "begin"), ([BEGIN], "end"), ([SAMPLE], "begin")])
def test_a_missing_begin_or_end_is_missing(texts: list[str], word: str) -> None:
    evidence = judged(*texts)

    assert rules(evidence) == [MISSING]
    assert f"no signed {word}" in _whys(evidence)


def test_no_signed_values_at_all_are_missing_once_it_has_ended() -> None:
    assert rules(judged()) == [MISSING]
    assert judged(is_closed=False).problems == ()


def test_a_missing_page_is_a_gap() -> None:
    evidence = judged(BEGIN, END)

    assert rules(evidence) == [GAP]
    assert "T6 missing between T5 and T7" in _whys(evidence)
    assert "T6 to T8" in _whys(judged(BEGIN, signed(shown("E", "2000", 60), page=9)))


def test_while_it_runs_nothing_is_missing_yet_but_what_is_wrong_is_wrong() -> None:
    assert judged(BEGIN, is_closed=False).problems == ()
    assert rules(judged(BEGIN.replace("1.0000", "1.1000"), is_closed=False)) == [INVALID]
    assert rules(judged(BEGIN, keys=[], is_closed=False)) == [NO_KEY]


def test_a_record_without_a_number_is_a_gap() -> None:
    assert GAP in rules(judged(signed(shown("B", "1"), shown("E", "2", 9), page=None)))


def test_two_records_of_one_number_are_invalid() -> None:
    other = signed(shown("C", "1600.0", 31), page=6)

    assert INVALID in rules(judged(BEGIN, SAMPLE, other, END))


def test_another_meter_within_a_session_is_invalid() -> None:
    other = signed(shown("E", "2234.5", 60), page=6, serial="M-9", by="M-1")
    evidence = judged(BEGIN, other)

    assert INVALID in rules(evidence)
    assert "the meter changed: M-1, M-9" in _whys(evidence)


@pytest.mark.parametrize(
    ("end", "word"),
    [
        (signed(shown("E", "999", 60), page=6), "999"),
        (signed(shown("E", "2000", -60), page=6), "is before"),
        (signed(shown("X", "1500", 10), shown("E", "2000", 60), page=6), "cannot be used"),
    ],
)
def test_readings_that_contradict_each_other_are_invalid(end: str, word: str) -> None:
    evidence = judged(BEGIN, end)

    assert rules(evidence) == [INVALID]
    assert word in _whys(evidence)


@pytest.mark.parametrize(("was", "now"), [('"EF":""', '"EF":"Et"'), ('"ST":"G"', '"ST":"M"'), (',"ST":"G"', "")])
def test_what_the_meter_itself_calls_unusable_is_invalid(was: str, now: str) -> None:
    payload = END.split("|")[1].replace(was, now).replace("T7", "T6")
    evidence = judged(BEGIN, signed_text(payload, private_key("M-1", "secp256r1"), "secp256r1"))

    assert rules(evidence) == [INVALID]


def test_what_is_no_ocmf_is_unreadable_and_not_billed_by() -> None:
    evidence = judged(BEGIN, SAMPLE, END, "1B1B1B1B0101010176")

    assert rules(evidence) == [INVALID]
    assert evidence.values[-1].verdict is Verdict.UNREADABLE


def test_the_billed_register_is_the_one_that_the_key_names() -> None:
    session_energy = Register.read("01-00:B2.08.00")
    assert session_energy is not None
    both = signed(shown("B", "0"), shown("E", "700", 60), register="01-00:B2.08.00*FF")

    assert judged(both, keys=[meter_key(register=session_energy)]).energy_wh == 700
    assert rules(judged(both)) == [MISSING]
    assert "01-00:B2.08.00*FF" in _whys(judged(both))


def test_two_registers_that_both_fit_are_not_chosen_between() -> None:
    one = signed(shown("B", "0"), shown("E", "700", 60), register="1-0:1.8.0", page=1)
    other = signed(shown("B", "0"), shown("E", "900", 60), register="1-b:1.8.0", page=2)
    chosen = Register.read("1-0:1.8.0")
    assert chosen is not None

    assert INVALID in rules(judged(one, other))
    assert judged(one, other, keys=[meter_key(register=chosen)]).energy_wh == 700


def test_fiscal_readings_belong_to_no_transaction() -> None:
    fiscal = signed(shown("C", "1700", 40), page=90, PG="F90")

    assert judged(BEGIN, SAMPLE, END, fiscal).energy_wh == Decimal("1234.5")


def test_a_key_that_a_charge_point_sends_itself_is_not_trusted() -> None:
    meter = SigningMeter("M-1", Signing(wrapped="object"))
    evidence = judged(meter.in_16(BEGIN), meter.in_16(SAMPLE), meter.in_16(END), keys=[])

    assert rules(evidence) == [NO_KEY]
    assert unwrap(meter.in_16(BEGIN)).sent_key is not None
    assert all(value.sent_key is not None for value in evidence.values)


@given(st.permutations([BEGIN, SAMPLE, END, BEGIN]))
def test_the_order_in_which_values_come_changes_nothing(texts: list[str]) -> None:
    evidence = judge(told(*texts), [meter_key()], evse=1, is_closed=True)

    assert evidence.energy_wh == Decimal("1234.5")


def test_every_order_of_faults_is_judged_alike() -> None:
    texts = [BEGIN, END, END.replace("2.2345", "9.2345"), "no ocmf"]

    assert len({tuple(judged(*order).problems) for order in permutations(texts)}) == 1
