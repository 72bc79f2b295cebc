"""Closing a month: what stands in its way, what can be done about it, and the lock behind which nothing is booked any more.

A room that has something to look at before a month is locked adds its check to CHECKS; one that has something to do at the
end of a month hands a step to whoever mounts the commands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from billing.accounts import sellers
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.errors import AlreadyDone, Refused
from billing.ledger import store
from billing.ledger.balance import balances, sums_of
from billing.ledger.month import following, is_over, last_day, month_of, month_text
from billing.ledger.store import SQL
from billing.money import Money
from billing.sql import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A month of a seller that is to be closed. `dry_run`: only look."""

    connection: Connection
    seller: str
    month: date
    now: datetime
    actor: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How many things are open, and what is to be known of them and done about them."""

    open: int
    note: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseCheck:
    """A line of the checklist. What `may_wait` may be accepted by name: it will be booked in a later month."""

    name: str
    what: str
    may_wait: bool
    look: Callable[[Closing], Awaitable[Found]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How many things a step did or looked at, or would; and how many of them somebody has to see to, and how."""

    count: int
    open: int = 0
    note: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseStep:
    """Something that can be done towards a close, any number of times."""

    name: str
    what: str
    act: Callable[[Closing], Awaitable[Outcome]]

    def row(self, outcome: Outcome) -> dict[str, object]:
        """The step and how it went, for people and scripts."""
        return {
            "step": self.name,
            "count": outcome.count,
            "what": self.what,
            "open": outcome.open,
            "note": outcome.note,
            "next": outcome.next_step if outcome.open else "",
        }


class State(StrEnum):
    """Of a line of the checklist."""

    DONE = "done"
    OPEN = "open"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A check and what it found."""

    check: CloseCheck
    found: Found
    accepted: bool = False

    @property
    def state(self) -> State:
        if not self.found.open:
            return State.DONE
        return State.ACCEPTED if self.accepted else State.OPEN

    def to_dict(self) -> dict[str, object]:
        return {
            "check": self.check.name,
            "state": self.state,
            "open": self.found.open,
            "may_wait": self.check.may_wait,
            "what": self.check.what,
            "note": self.found.note,
            "next": self.found.next_step if self.found.open else "",
        }


async def _month_over(closing: Closing) -> Found:
    over = is_over(closing.month, closing.now)
    return Found(
        open=0 if over else 1, note="" if over else f"it ends after {last_day(closing.month)}", next_step="wait"
    )


async def _months_before(closing: Closing) -> Found:
    first = await SQL.first_month_to_lock.fetchval(closing.connection, seller=closing.seller)
    if first is None or first >= closing.month:
        return Found(open=0)
    text = month_text(first)
    return Found(
        open=1,
        note=f"{text} is not locked",
        next_step=f"csms close lock --seller {closing.seller} --month {text} --reason ...",
    )


async def _unbilled(closing: Closing) -> Found:
    return await _sessions(closing, held=False, next_step=f"csms bill run --month {month_text(closing.month)}")


async def _held(closing: Closing) -> Found:
    return await _sessions(closing, held=True, next_step="csms session list --state held; csms review release SESSION")


async def _sessions(closing: Closing, *, held: bool, next_step: str) -> Found:
    row = await SQL.unbilled_sessions.fetchrow(
        closing.connection, seller=closing.seller, first=closing.month, last=last_day(closing.month), held=held
    )
    assert row is not None, "an aggregate without groups has one row"
    return Found(open=row["sessions"], note=f"{row['kwh']:.3f} kWh" if row["sessions"] else "", next_step=next_step)


async def _uninvoiced(closing: Closing) -> Found:
    row = await SQL.uninvoiced_sessions.fetchrow(
        closing.connection, seller=closing.seller, first=closing.month, last=last_day(closing.month)
    )
    assert row is not None, "an aggregate without groups has one row"
    note = f"of {row['accounts']} customers; of no customer: {row['without_account']}" if row["sessions"] else ""
    return Found(open=row["sessions"], note=note, next_step=_invoice_run(closing))


async def _uncorrected(closing: Closing) -> Found:
    row = await SQL.uninvoiced_corrections.fetchrow(
        closing.connection, seller=closing.seller, last=last_day(closing.month)
    )
    assert row is not None, "an aggregate without groups has one row"
    told = ", ".join(str(session) for session in row["first"] or ())
    return Found(
        open=row["sessions"],
        note=f"sessions {told}" if told else "",
        next_step="csms credit correct SESSION --reason ...",
    )


def _invoice_run(closing: Closing) -> str:
    return f"csms invoice run --seller {closing.seller} --period {month_text(closing.month)} --reason ..."


async def _uncharged(closing: Closing) -> Found:
    last = last_day(closing.month)
    rows = await SQL.contracts_to_charge.fetch(closing.connection, seller=closing.seller, last=last)
    told = ", ".join(row["id"] for row in rows[:3])
    return Found(
        open=len(rows),
        note=told,
        next_step=f"csms contract run --until {last} --reason ...; csms contract show CONTRACT",
    )


async def _charges(closing: Closing) -> Found:
    row = await SQL.uninvoiced_charges.fetchrow(closing.connection, seller=closing.seller, last=last_day(closing.month))
    assert row is not None, "an aggregate without groups has one row"
    if not row["charges"]:
        return Found(open=0)
    more = ", ..." if row["accounts"] > len(row["first"]) else ""
    return Found(
        open=row["charges"],
        note=f"of {', '.join(row['first'])}{more}",
        next_step=f"csms invoice run --seller {closing.seller} --until {last_day(closing.month)} --account"
        f" {row['first'][0]} --reason ...",
    )


async def _drafts(closing: Closing) -> Found:
    rows = await SQL.open_drafts.fetch(closing.connection, seller=closing.seller, last=last_day(closing.month))
    told = ", ".join(str(row["id"]) for row in rows[:3])
    return Found(open=len(rows), note=told, next_step="csms invoice draft issue DRAFT, or void it")


async def _documents(closing: Closing) -> Found:
    rows = await SQL.unposted_documents.fetch(
        closing.connection, seller=closing.seller, first=await _first_open_day(closing), last=last_day(closing.month),
        limit=100,
    )  # fmt: skip
    return Found(open=len(rows), note=", ".join(row["number"] for row in rows[:3]), next_step="csms ledger check")


async def _first_open_day(closing: Closing) -> date:
    """What was issued before was looked at when its month was locked."""
    locked = await store.locked_up_to(closing.connection, closing.seller)
    return following(locked) if locked and locked < closing.month else month_of(closing.month) if locked else date.min


async def _entries(closing: Closing) -> Found:
    rows = await SQL.unequal_sums.fetch(closing.connection, seller=closing.seller, month=closing.month, limit=100)
    return Found(open=len(rows), note=", ".join(row["key"] for row in rows[:3]), next_step="csms ledger check")


async def _trial_balance(closing: Closing) -> Found:
    sums = sums_of(await balances(closing.connection, closing.seller, as_of=last_day(closing.month)))
    wrong = [f"{Money(each.difference_minor, each.currency)}" for each in sums if each.difference_minor]
    return Found(open=len(wrong), note=", ".join(wrong), next_step="csms ledger check")


CHECKS: Final = (
    CloseCheck(name="month_over", what="the month has ended everywhere", may_wait=False, look=_month_over),
    CloseCheck(name="months_before", what="the months before are locked", may_wait=False, look=_months_before),
    CloseCheck(name="sessions_unbilled", what="what ended in it has its final bill", may_wait=True, look=_unbilled),
    CloseCheck(name="sessions_held", what="nothing that ended in it is held", may_wait=True, look=_held),
    CloseCheck(name="sessions_invoiced", what="what ended in it is on a document", may_wait=True, look=_uninvoiced),
    CloseCheck(
        name="corrections_invoiced", what="bills that correct invoiced ones are too", may_wait=True, look=_uncorrected
    ),
    CloseCheck(name="contracts_charged", what="what contracts make due is charged", may_wait=True, look=_uncharged),
    CloseCheck(name="charges_invoiced", what="what fell due of them is on a document", may_wait=True, look=_charges),
    CloseCheck(name="drafts", what="no draft waits to be issued or given up", may_wait=True, look=_drafts),
    CloseCheck(name="documents", what="each document has its entry", may_wait=False, look=_documents),
    CloseCheck(name="entries", what="its entries are whole and sum to zero", may_wait=False, look=_entries),
    CloseCheck(name="trial_balance", what="debits are credits at its end", may_wait=False, look=_trial_balance),
)
"""The checklist, in the order in which it is printed."""

Steps: TypeAlias = Sequence[CloseStep]


async def month_to_close(connection: Connection, seller: str, *, now: datetime) -> date:
    """The first month that is not locked and has entries, else that after the locked ones, else the last one."""
    first: date | None = await SQL.first_month_to_lock.fetchval(connection, seller=seller)
    if first is not None:
        return first
    locked = await store.locked_up_to(connection, seller)
    today = await sellers.today_at(connection, seller, now=now)
    return following(locked) if locked else month_of(month_of(today) - timedelta(days=1))


async def checklist(closing: Closing, *, accepted: Collection[str] = ()) -> list[Line]:
    """What stands in the way of a lock.

    Raises:
        Refused: a check that is accepted is none, or may not wait.
    """
    known = {check.name: check for check in CHECKS}
    for name in accepted:
        if name not in known:
            raise Refused(f"no check is named {name}", f"the checks are {', '.join(known)}")
        if not known[name].may_wait:
            raise Refused(f"{name} cannot be accepted: {known[name].what} first", "see csms close status")
    return [Line(check=each, found=await each.look(closing), accepted=each.name in accepted) for each in CHECKS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A month behind its lock."""

    seller: str
    month: date
    entries: int
    postings: int
    accepted: tuple[str, ...]
    reason: str
    actor: str
    locked_at: datetime

    def to_dict(self) -> dict[str, object]:
        return {
            "seller": self.seller,
            "month": month_text(self.month),
            "entries": self.entries,
            "postings": self.postings,
            "accepted": list(self.accepted),
            "reason": self.reason,
            "actor": self.actor,
            "locked_at": self.locked_at,
        }


async def lock(closing: Closing, *, reason: str, accepted: Collection[str] = ()) -> Locked:
    """Lock the month: what becomes known of it later is booked in the next one, with its own date.

    Raises:
        AlreadyDone: it is locked.
        Refused: something is open that is not accepted.
    """
    connection, seller, month = closing.connection, closing.seller, closing.month
    await _require_open(connection, seller, month)
    lines = await checklist(closing, accepted=accepted)
    waiting = [each for each in lines if each.state is State.OPEN]
    if waiting:
        raise Refused(
            f"{month_text(month)} cannot be locked: "
            + ", ".join(f"{each.check.name} ({each.found.open})" for each in waiting),
            "see csms close status; what may wait is accepted by name: --accept CHECK",
            details={"open": [each.to_dict() for each in waiting]},
        )
    async with connection.transaction():
        await SQL.lock_for_locking.execute(connection, seller=seller)
        await _require_open(connection, seller, month)
        await _require_months_before(closing)
        await SQL.insert_lock.execute(
            connection, seller=seller, month=month, accepted=sorted(accepted), reason=reason, actor=closing.actor,
            at=closing.now,
        )  # fmt: skip
        await SQL.snapshot_month.execute(connection, seller=seller, month=month)
        found = await find_lock(connection, seller, month)
        assert found is not None, "it was just made"
        said = {"month": month_text(month), "accepted": sorted(accepted), "entries": found.entries}
        change = Change(noun="close", subject=seller, action="lock", after=said)
        await audit.record(connection, [change], now=closing.now, actor=closing.actor, reason=reason)
    return found


async def _require_open(connection: Connection, seller: str, month: date) -> None:
    locked = await store.locked_up_to(connection, seller)
    if locked is None or month > locked:
        return
    found = await find_lock(connection, seller, month)
    when = (
        f"was locked by {found.actor} at {found.locked_at.isoformat()}" if found else "lies before one that is locked"
    )
    raise AlreadyDone(f"{month_text(month)} {when}", "late facts go to the first open month, with their own date")


async def _require_months_before(closing: Closing) -> None:
    """Behind the lock once more: what was booked meanwhile may have made a month before one that is to be locked first."""
    found = await _months_before(closing)
    if found.open:
        raise Refused(f"{month_text(closing.month)} cannot be locked: {found.note}", found.next_step)


async def find_lock(connection: Connection, seller: str, month: date) -> Locked | None:
    """How a month came to be locked; None where it is open, or had nothing to lock."""
    row = await SQL.find_lock.fetchrow(connection, seller=seller, month=month)
    if row is None:
        return None
    figures = await SQL.month_figures.fetchrow(connection, seller=seller, month=month)
    assert figures is not None, "an aggregate without groups has one row"
    return Locked(
        seller=seller,
        month=month,
        entries=figures["entries"],
        postings=figures["postings"],
        accepted=tuple(row["accepted"]),
        reason=row["reason"],
        actor=row["actor"],
        locked_at=row["locked_at"],
    )


async def refuse_to_reopen(connection: Connection, seller: str, month: date) -> Refused:
    """Why no month is opened again, and where what belongs to it goes."""
    locked = await store.locked_up_to(connection, seller)
    if locked is None or month > locked:
        return Refused(f"{month_text(month)} is open", "nothing to do")
    return Refused(
        f"{month_text(month)} is locked, and stays so: its figures were handed over",
        f"what belongs to it is booked in {month_text(following(locked))} with its own date; what was wrong is taken back"
        " there: csms ledger reverse ENTRY, or a credit note",
    )
