"""Taking back what an invoice charged: in whole, in part, line by line, any number of times (tariffs' invariant 14). Pure.

Each credit note is worked out from all that was credited so far: what the notes up to this one take back together is
rounded, and what the earlier ones took back is taken off. So nothing is ever lost or gained by a cent, in whatever order
and in however many parts: when all is credited, the notes add up to the invoice exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from billing.invoices.composition import ONE, PIECE, Amounts, Composed, base_of, rounding_lines, spread
from billing.invoices.document import BornePart, Document, DocumentKind, Line, LineKind, Tax, TaxGroup, TaxMode
from billing.money import round_units


class CannotBeCredited(ValueError):
    """This cannot be taken back: the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credited:
    """What earlier credit notes took back of an invoice.

    `lines`: of each line in the terms of the invoice's tax mode (with tax under KEEP_GROSS), `nets` of each its net;
    `groups`: net and tax of each tax group; `borne_minor`: of what third parties paid.
    """

    lines: Mapping[int, int] = field(default_factory=dict)
    nets: Mapping[int, int] = field(default_factory=dict)
    groups: Mapping[Tax, tuple[int, int]] = field(default_factory=dict)
    borne_minor: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """The figures of a credit note. `taken`: by position of the invoice's line, in the terms of its tax mode; `nets`: their nets."""

    composed: Composed
    taken: Mapping[int, int]
    nets: Mapping[int, int]
    borne: tuple[BornePart, ...] = ()


def remaining(invoice: Document, credited: Credited) -> dict[int, int]:
    """What of each line can still be credited, in the terms of the tax mode; without those that never were anything."""
    mode = invoice.tax_mode
    return {
        line.position: base_of(line, mode) - credited.lines.get(line.position, 0)
        for line in invoice.lines
        if line.kind is not LineKind.ROUNDING
    }


def credit(invoice: Document, credited: Credited, wanted: Mapping[int, int] | None = None) -> CreditNote:
    """Work out the next credit note: what is `wanted` of each line, or all that remains.

    Raises:
        CannotBeCredited: nothing remains, there is no such line, or it is more than remains of it.
    """
    if invoice.kind is not DocumentKind.INVOICE:
        raise CannotBeCredited(f"{invoice.number} is a credit note itself")
    left = remaining(invoice, credited)
    taken = dict(left) if wanted is None else _wanted(invoice, left, wanted)
    if not any(taken.values()):
        raise CannotBeCredited(f"nothing of {invoice.number} is left to credit")
    groups = _groups(invoice, credited, taken)
    if not groups:  # what lines still have, others give back
        raise CannotBeCredited(f"nothing of {invoice.number} is left to credit")
    whole = wanted is None and not any(credited.lines.values())
    shown = [line for line in invoice.lines if taken.get(line.position) or (whole and line.position in taken)]
    shown = [line for line in shown if any(line.tax == group.tax for group in groups)]
    nets = {line.position: _net(invoice, line, credited, taken) for line in shown}
    return CreditNote(
        composed=Composed(lines=tuple(_lines(invoice, shown, taken, nets, groups)), tax_groups=tuple(groups)),
        taken={line.position: taken[line.position] for line in shown if taken[line.position]},
        nets=nets,
        borne=_borne(invoice, credited, taken),
    )


def _wanted(invoice: Document, left: Mapping[int, int], wanted: Mapping[int, int]) -> dict[int, int]:
    for position, minor in wanted.items():
        if position not in left:
            raise CannotBeCredited(f"{invoice.number} has no line {position} that could be credited")
        if minor <= 0:
            raise CannotBeCredited(f"of line {position} an amount above zero is credited")
        if minor > left[position]:
            raise CannotBeCredited(
                f"of line {position} of {invoice.number} remain {invoice.money(left[position])}, not {invoice.money(minor)}"
            )
    return dict(wanted)


def _groups(invoice: Document, credited: Credited, taken: Mapping[int, int]) -> list[TaxGroup]:
    bases: dict[Tax, int] = {}
    before: dict[Tax, int] = {}
    now: dict[Tax, int] = {}
    for line in invoice.lines:
        if line.kind is LineKind.ROUNDING:
            continue
        bases[line.tax] = bases.get(line.tax, 0) + base_of(line, invoice.tax_mode)
        before[line.tax] = before.get(line.tax, 0) + credited.lines.get(line.position, 0)
        now[line.tax] = now.get(line.tax, 0) + taken.get(line.position, 0)
    found = []
    for group in invoice.tax_groups:
        if not now.get(group.tax):
            continue
        so_far = before[group.tax] + now[group.tax]
        if so_far > bases[group.tax]:
            raise CannotBeCredited(
                f"of what {invoice.number} charges under {group.tax.category} {group.tax.rate} % remain"
                f" {invoice.money(bases[group.tax] - before[group.tax])}, not {invoice.money(now[group.tax])}"
            )
        net_before, tax_before = credited.groups.get(group.tax, (0, 0))
        share = Fraction(so_far, bases[group.tax])
        if invoice.tax_mode is TaxMode.KEEP_GROSS:
            net = round_units(group.net_minor * share) - net_before
            tax = now[group.tax] - net
        else:
            net = now[group.tax]
            tax = round_units(group.tax_minor * share) - tax_before
        assert net >= 0, "a credit note takes back, it never charges"
        assert tax >= 0, "a credit note takes back, it never charges"
        found.append(TaxGroup(tax=group.tax, net_minor=net, tax_minor=tax))
    return found


def _net(invoice: Document, line: Line, credited: Credited, taken: Mapping[int, int]) -> int:
    """The net of what is taken of a line: all of it together is the line's own."""
    minor = taken[line.position]
    if invoice.tax_mode is not TaxMode.KEEP_GROSS:
        return minor
    if not line.gross_minor:
        return 0
    share = Fraction(credited.lines.get(line.position, 0) + minor, line.gross_minor)
    return round_units(line.net_minor * share) - credited.nets.get(line.position, 0)


def _lines(
    invoice: Document,
    shown: Sequence[Line],
    taken: Mapping[int, int],
    nets: Mapping[int, int],
    groups: Sequence[TaxGroup],
) -> list[Line]:
    """The lines that are taken back, and for each tax group the cents by which their nets differ from its own."""
    lines: list[Line] = []
    for group in groups:
        members = [line for line in shown if line.tax == group.tax]
        weights = [taken[line.position] for line in members]
        if invoice.tax_mode is TaxMode.KEEP_GROSS:
            taxes = [weight - nets[line.position] for line, weight in zip(members, weights, strict=True)]
        else:
            taxes = spread(group.tax_minor, weights)
        for line, tax in zip(members, taxes, strict=True):
            full = taken[line.position] == base_of(line, invoice.tax_mode)
            lines.append(_line(invoice, line, nets[line.position], tax, full=full))
    lines.sort(key=lambda line: line.position)
    lines += [line for group in groups for line in rounding_lines(lines, group)]
    return [replace(line, position=n) for n, line in enumerate(lines, start=1)]


def _line(invoice: Document, line: Line, net: int, tax: int, *, full: bool) -> Line:
    amounts: Amounts = {"net_minor": net, "tax_minor": tax, "gross_minor": net + tax}
    source = f"credit:{invoice.number}:{line.position}"
    if full:
        return replace(line, source=source, **amounts)
    return replace(
        line, source=source, quantity=ONE, unit=PIECE, unit_price=None, discount_minor=0, discount_name=None, session=None,
        **amounts,
    )  # fmt: skip


def _borne(invoice: Document, credited: Credited, taken: Mapping[int, int]) -> tuple[BornePart, ...]:
    """Third parties get back as much of their part as the customer of the whole."""
    whole = sum(base_of(line, invoice.tax_mode) for line in invoice.lines if line.kind is not LineKind.ROUNDING)
    if not invoice.borne or not whole:
        return ()
    share = Fraction(sum(credited.lines.values()) + sum(taken.values()), whole)
    parts = []
    for part in invoice.borne:
        back = round_units(part.amount_minor * share) - credited.borne_minor.get(f"{part.party}:{part.label}", 0)
        if back:
            parts.append(replace(part, amount_minor=back))
    return tuple(parts)
