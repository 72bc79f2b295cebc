"""What `csms close run` does towards the end of a month, in this order, any number of times. It issues no document.

A document has a day and a reason, and stands once it is out: who issues says both (csms invoice run). What has to be
invoiced, billed or released before the month is locked is told by the checklist, with the command for it.
"""

from __future__ import annotations

from typing import Final

from billing.contracts.accruing import accrue
from billing.invoices.service import Finding, verify
from billing.ledger.check import check
from billing.ledger.close import CloseStep, Closing, Outcome
from billing.ledger.month import is_over, last_day, month_of
from billing.ledger.unbilled import unbilled_values
from billing.money import Money

NAMED_MAX: Final = 3
"""Things that a line names."""


async def charge_what_is_due(closing: Closing) -> Outcome:
    """Of a month that has not ended: what is due by now. The contracts of other sellers are charged as well."""
    until = last_day(closing.month) if is_over(closing.month, closing.now) else None
    done = await accrue(closing.connection, now=closing.now, until=until, dry_run=closing.dry_run)
    waits = [f"{contract}: {hold.why}" for contract, hold in done.holds]
    waits += [f"{contract}: others are changing it" for contract in done.busy]
    return Outcome(
        count=len(done.charges), open=len(waits), note="; ".join(waits[:NAMED_MAX]),
        next_step="csms contract show CONTRACT tells what it waits for",
    )  # fmt: skip


async def follow_documents(closing: Closing) -> Outcome:
    """The numbers, hashes and chain of what was issued in the month."""
    looked, wrong = 0, []
    days = (month_of(closing.month), last_day(closing.month))
    async for each in verify(closing.connection, closing.seller, days=days):
        if isinstance(each, Finding):
            wrong.append(f"{each.number}: {each.problem}")
        else:
            looked += each
    return Outcome(
        count=looked, open=len(wrong), note="; ".join(wrong[:NAMED_MAX]), next_step="csms invoice verify lists them all"
    )


async def check_ledger(closing: Closing) -> Outcome:
    """What `csms ledger check` looks at, as far as it is of the month."""
    found = await check(closing.connection, closing.seller, month=closing.month)
    return Outcome(
        count=len(found), open=len(found), note="; ".join(f"{each.subject}: {each.message}" for each in found[:NAMED_MAX]),
        next_step="csms ledger check lists them all",
    )  # fmt: skip


async def value_what_is_open(closing: Closing) -> Outcome:
    """Of all months: what the seller has delivered and no document shows."""
    values = await unbilled_values(closing.connection, closing.seller)
    sums: dict[str, int] = {}
    for each in values:
        sums[each.incl.currency] = sums.get(each.incl.currency, 0) + each.incl.minor
    told = ", ".join(str(Money(minor, currency)) for currency, minor in sorted(sums.items()))
    return Outcome(count=sum(each.sessions for each in values), note=f"{told} incl. tax" if told else "")


STEPS: Final = (
    CloseStep(name="contracts", what="charges of contracts that fell due by its end", act=charge_what_is_due),
    CloseStep(name="documents", what="documents issued in it whose chain was followed", act=follow_documents),
    CloseStep(name="ledger", what="entries, balances and exports of it that are wrong", act=check_ledger),
    CloseStep(name="unbilled", what="sessions of any month that are on no document", act=value_what_is_open),
)
"""All of them, in the order in which they are done."""
