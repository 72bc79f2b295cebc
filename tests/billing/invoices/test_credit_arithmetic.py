"""Credit notes never take back more than there is, and all of it when all is credited (invariant 14)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from billing.invoices.composition import CannotBeInvoiced, Discount, base_of, compose
from billing.invoices.credit import CannotBeCredited, Credited, CreditNote, credit, remaining
from billing.invoices.document import BornePart, Document, LineKind, Tax, TaxMode
from tests.billing.invoices.charges import (
    CURRENCIES,
    billed,
    charges_with_refunds,
    document_of,
    part_of_gross,
    part_of_net,
)
from tests.examples import tried


def after(before: Credited, note: CreditNote) -> Credited:
    lines = dict(before.lines)
    for position, minor in note.taken.items():
        lines[position] = lines.get(position, 0) + minor
    groups = dict(before.groups)
    for group in note.composed.tax_groups:
        net, tax = groups.get(group.tax, (0, 0))
        groups[group.tax] = (net + group.net_minor, tax + group.tax_minor)
    borne = dict(before.borne_minor)
    for part in note.borne:
        key = f"{part.party}:{part.label}"
        borne[key] = borne.get(key, 0) + part.amount_minor
    return Credited(lines=lines, groups=groups, borne_minor=borne)


@st.composite
def invoices(draw: st.DrawFn) -> Document:
    currency = draw(st.sampled_from(CURRENCIES))
    mode = draw(st.sampled_from(TaxMode))
    off = [Discount(name="off", amount_minor=draw(st.integers(0, 3000)))] if draw(st.booleans()) else []
    charges = draw(charges_with_refunds(currency))
    try:
        composed = compose(charges, mode=mode, currency=currency, discounts=off)
    except CannotBeInvoiced:
        reject()
    borne = ()
    if composed.gross_minor > 10:
        borne = (BornePart(party="City", label="grant", amount_minor=draw(st.integers(1, composed.gross_minor))),)
    return document_of(composed, mode, currency, borne=borne)


@tried(300)
@given(data=st.data(), invoice=invoices())
def test_any_parts_in_any_order_never_exceed_the_invoice_and_add_up_to_it(
    data: st.DataObject, invoice: Document
) -> None:
    credited = Credited()
    for _ in range(data.draw(st.integers(0, 8))):
        left = {position: minor for position, minor in remaining(invoice, credited).items() if minor > 0}
        if not left:
            break
        chosen = data.draw(st.lists(st.sampled_from(sorted(left)), min_size=1, unique=True))
        wanted = {position: data.draw(st.integers(1, left[position])) for position in chosen}
        try:
            note = credit(invoice, credited, wanted)
        except CannotBeCredited:  # a line gives back what is left of its tax group
            continue
        require_sound(invoice, note)
        credited = after(credited, note)
        require_within(invoice, credited.groups)
    with suppress(CannotBeCredited):
        note = credit(invoice, credited)
        require_sound(invoice, note)
        credited = after(credited, note)

    for group in invoice.tax_groups:
        assert credited.groups.get(group.tax, (0, 0)) == (group.net_minor, group.tax_minor)
    if invoice.gross_minor:
        assert sum(credited.borne_minor.values()) == invoice.borne_minor
    with pytest.raises(CannotBeCredited, match=r"nothing of R-1 is left"):
        credit(invoice, credited)


def require_sound(invoice: Document, note: CreditNote) -> None:
    """A credit note adds up as a document, and takes back nothing below zero."""
    for group in note.composed.tax_groups:
        mine = [line for line in note.composed.lines if line.tax == group.tax]
        assert group.net_minor >= 0
        assert group.tax_minor >= 0
        assert sum(line.net_minor for line in mine) == group.net_minor
        assert sum(line.tax_minor for line in mine) == group.tax_minor
        assert all(line.net_minor + line.tax_minor == line.gross_minor for line in mine)
    assert sum(note.taken.values()) == sum(base_of(line, invoice.tax_mode) for line in note.composed.lines)


def require_within(invoice: Document, groups: Mapping[Tax, tuple[int, int]]) -> None:
    for group in invoice.tax_groups:
        net, tax = groups.get(group.tax, (0, 0))
        assert 0 <= net <= group.net_minor
        assert 0 <= tax <= group.tax_minor


def test_four_parts_of_an_invoice_are_the_invoice_to_the_cent() -> None:
    # 335.00 with 19 % is 281.51 net; a quarter of it four times would be 281.52
    composed = compose([billed(1, part_of_gross(33500))], mode=TaxMode.KEEP_GROSS, currency="EUR")
    invoice, credited, nets = document_of(composed, TaxMode.KEEP_GROSS), Credited(), []
    for _ in range(4):
        note = credit(invoice, credited, {1: 8375})
        nets.append(note.composed.tax_groups[0].net_minor)
        credited = after(credited, note)

    assert composed.tax_groups[0].net_minor == 28151
    assert nets == [7038, 7038, 7037, 7038]


def test_a_whole_credit_shows_every_line_and_no_rounding_line() -> None:
    composed = compose([billed(n, part_of_gross(10)) for n in range(4)], mode=TaxMode.KEEP_GROSS, currency="EUR")
    note = credit(document_of(composed, TaxMode.KEEP_GROSS), Credited())

    assert [line.kind for line in composed.lines][-1] is LineKind.ROUNDING
    assert [line.source for line in note.composed.lines] == [f"credit:R-1:{n}" for n in (1, 2, 3, 4)]
    assert (note.composed.tax_groups[0].net_minor, note.composed.gross_minor) == (34, 40)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({9: 1}, r"has no line 9"),
        ({1: 0}, r"an amount above zero"),
        ({1: 101}, r"of line 1 of R-1 remain 1.00 EUR, not 1.01 EUR"),
    ],
)
def test_what_is_not_there_cannot_be_credited(wanted: dict[int, int], told: str) -> None:
    composed = compose([billed(1, part_of_net(100), with_tax=False)], mode=TaxMode.SUM_THEN_ROUND, currency="EUR")

    with pytest.raises(CannotBeCredited, match=told):
        credit(document_of(composed, TaxMode.SUM_THEN_ROUND), Credited(), wanted)
