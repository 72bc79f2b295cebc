"""Everything that a day brings to a contract: charges, days taken back, included kWh, reminders, and when to look again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from billing.contracts.accrual import Accrued, Hold, accrue
from billing.contracts.allowance import Allowed, allow
from billing.contracts.contract_charge import ContractCharge
from billing.contracts.one_time import items_due, milestones_due
from billing.contracts.pricing import IndexOn
from billing.contracts.reminding import Reminding, remind
from billing.contracts.standing import FallenDue, Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Dues:
    """What is to be stored of a contract. `next_on` None: nothing will fall due any more."""

    accrued: Accrued
    one_time: tuple[ContractCharge, ...]
    allowed: Allowed
    reminding: Reminding
    next_on: date | None

    @property
    def charges(self) -> list[ContractCharge]:
        """In the order in which they can be stored: what is taken back names what is there."""
        recurring = [each.charge for each in self.accrued.cells]
        return [*recurring, *self.one_time, *(each.charge for each in self.accrued.shrunk)]

    @property
    def holds(self) -> list[Hold]:
        return self.accrued.holds


def dues(contract: Standing, day: date, index_on: IndexOn) -> Dues:
    """What has fallen due up to a day, that day too."""
    accrued = accrue(contract, day, index_on)
    one_time = (*items_due(contract, day), *milestones_due(contract, day))
    allowed = allow(contract, day)
    new = (FallenDue(source=each.charge.source, due_on=each.charge.due_on) for each in accrued.cells)
    reminding = remind(replace(contract, fallen_due=(*contract.fallen_due, *new)), day)
    open_days = [item.due_on for item in contract.items]
    open_days += [each.due_on for each in contract.milestones if each.due_on is not None]
    looks = [accrued.next_on, allowed.next_on, reminding.next_on, *(each for each in open_days if each > day)]
    return Dues(
        accrued=accrued,
        one_time=one_time,
        allowed=allowed,
        reminding=reminding,
        next_on=min((each for each in looks if each is not None), default=None),
    )
