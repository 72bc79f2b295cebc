"""What has fallen due of one-time items and of sums that are paid in parts. Pure."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

from billing.contracts.contract_charge import ONE, PIECE, ContractCharge
from billing.contracts.discount import Line, on_item
from billing.contracts.standing import OpenItem, OpenMilestone, Standing
from billing.invoices.document import LineKind
from billing.money import Money


def items_due(contract: Standing, until: date) -> list[ContractCharge]:
    """The items that are due by a day, each once; discounts on items are shared by those that were not due before."""
    waiting = sorted(contract.items, key=lambda item: (item.due_on, item.id))
    given = dict(contract.given)
    charges = []
    while waiting and waiting[0].due_on <= until:
        charge = _of_item(contract, waiting, given)
        for each in charge.discounts:
            given[each.discount] = given.get(each.discount, 0) + each.minor
        charges.append(charge)
        waiting.pop(0)
    return charges


def _of_item(contract: Standing, waiting: list[OpenItem], given: dict[int, int]) -> ContractCharge:
    item = waiting[0]
    lines = [_line(contract, each) for each in waiting]
    return ContractCharge(
        source=f"item:{item.id}",
        kind=LineKind.ITEM,
        contract=contract.id,
        item=item.id,
        name=item.name,
        description=item.description,
        quantity=item.quantity,
        unit=item.unit,
        unit_price=item.unit_price,
        currency=contract.currency,
        price_with_tax=item.price_with_tax,
        supply=item.supply,
        country=item.country or contract.country,
        tax_point=item.due_on,
        due_on=item.due_on,
        discounts=tuple(on_item(contract.discounts, lines[0], lines, item.due_on, given)),
    )


def _line(contract: Standing, item: OpenItem) -> Line:
    gross = Money.round_from(Fraction(item.quantity) * Fraction(item.unit_price), contract.currency)
    return Line(key=str(item.id), name=item.supply, gross_minor=gross.minor, begins=item.due_on)


def milestones_due(contract: Standing, until: date) -> list[ContractCharge]:
    """The parts of sums whose day has come, or that were declared reached."""
    return [
        _of_milestone(contract, each, each.due_on)
        for each in sorted(contract.milestones, key=lambda each: each.id)
        if each.due_on is not None and each.due_on <= until
    ]


def _of_milestone(contract: Standing, milestone: OpenMilestone, due_on: date) -> ContractCharge:
    total = Money(milestone.total_minor, contract.currency)
    return ContractCharge(
        source=f"milestone:{milestone.id}",
        kind=LineKind.MILESTONE,
        contract=contract.id,
        milestone=milestone.id,
        name=f"{milestone.split}: {milestone.name}",
        description=f"{_plain(milestone.percent)} % x {total.text}",
        quantity=ONE,
        unit=PIECE,
        unit_price=Money(milestone.amount_minor, contract.currency).decimal,
        currency=contract.currency,
        price_with_tax=milestone.price_with_tax,
        supply=milestone.supply,
        country=milestone.country or contract.country,
        tax_point=due_on,
        due_on=due_on,
    )


def _plain(percent: Decimal) -> str:
    return f"{percent.normalize():f}"
