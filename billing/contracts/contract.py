"""The terms of a contract: how long it binds, what comes after, by when notice must be given. Pure; the day is an argument.

Days are those of the customer's calendar. An end is told as the first day on which the contract is no more, so that terms
touch and nothing is a day off; people read the day before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from billing.contracts.days import A_MONTH, DAY, FIRST_DAY, LAST_DAY, Days, Length, Unit, add_months


class Renewal(StrEnum):
    """What comes after the minimum term where nobody gives notice."""

    ENDS = "ends"
    """Nothing: the contract ends by itself."""
    RENEWS = "renews"
    """Another term of `renewal_length`, and again another."""
    OPEN = "open"
    """It goes on for good, and may be ended with notice at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """`term` None: no minimum term, it may be ended with notice from the begin. `to_month_end`: once it is open it ends
    with a calendar month only. A notice that is received on a day counts from the day after.
    """

    starts_on: date
    renewal: Renewal = Renewal.OPEN
    term: Length | None = None
    renewal_length: Length | None = None
    notice: Length = A_MONTH
    to_month_end: bool = False

    @property
    def first_end(self) -> date:
        """From when on it binds nobody any more, if notice was given in time."""
        return self.starts_on if self.term is None else self.term.after(self.starts_on)

    def ends(self) -> Iterator[date]:
        """The ends of its terms, one after the other, up to what a calendar can say. The first alone unless it renews."""
        end, number = self.first_end, 0
        while end <= LAST_DAY:
            yield end
            if self.renewal is not Renewal.RENEWS or self.renewal_length is None:
                return
            number += 1
            end = self.renewal_length.after(self.first_end, number)

    def notice_by(self, end: date) -> date:
        """The last day on which notice can be received for the contract to end so."""
        return self.notice.after(end, -1) - DAY

    def earliest_end(self, noticed_on: date) -> date:
        """When it ends by a notice that was received on a day."""
        if self.renewal is Renewal.OPEN:
            return self._open_end(noticed_on)
        if self.renewal is Renewal.ENDS:
            return self.first_end
        return next((end for end in self.ends() if self.notice_by(end) >= noticed_on), LAST_DAY)

    def _open_end(self, noticed_on: date) -> date:
        end = max(self.first_end, self.notice.after(noticed_on))
        while self.notice_by(end) < noticed_on:
            end += DAY
        if self.to_month_end and end.day != 1:
            end = add_months(end.replace(day=1), 1)
        return end


class DeadlineKind(StrEnum):
    """What a day is the day of."""

    START = "start"
    NOTICE = "notice"
    """The last day of notice before it renews, or before its minimum term is over."""
    RENEWAL = "renewal"
    """The first day of another term, or of going on for good."""
    END = "end"
    """Its last day."""
    MILESTONE = "milestone"
    """A milestone or an item falls due."""
    PAYMENT = "payment"
    """What fell due is to be paid."""


@dataclass(frozen=True, slots=True, order=True)
class Deadline:
    """A day that somebody must not miss. `about` names what it is of where the contract has several."""

    on: date
    kind: DeadlineKind
    about: str = ""


def deadlines(terms: Terms, until: date | None, within: Days) -> list[Deadline]:
    """Those of the terms themselves in a stretch of days, in order. `until`: when the contract ends, where that is known."""
    assert within.until is not None, "deadlines are asked for up to a day"
    found = [Deadline(terms.starts_on, DeadlineKind.START)]
    if until is not None:
        found.append(Deadline(until - DAY, DeadlineKind.END))
    for end in terms.ends():
        is_over = until is not None and end >= until
        if terms.renewal is Renewal.ENDS or terms.term is None or is_over or terms.notice_by(end) >= within.until:
            break
        found += [Deadline(terms.notice_by(end), DeadlineKind.NOTICE), Deadline(end, DeadlineKind.RENEWAL)]
    return sorted(each for each in found if each.on in within)


def mistakes(terms: Terms) -> list[str]:
    """Why nobody contracts on such terms; all of it."""
    found = []
    if not FIRST_DAY <= terms.starts_on <= LAST_DAY:
        found.append(f"a contract begins between {FIRST_DAY} and {LAST_DAY}, not on {terms.starts_on}")
    for name, length in (("term", terms.term), ("renewal", terms.renewal_length)):
        if length is not None and not 1 <= length.count * _DAYS[length.unit] <= 100 * _DAYS[Unit.YEAR]:
            found.append(f"a {name} is from a day to a hundred years, not {length}")
    if terms.notice.count * _DAYS[terms.notice.unit] > 5 * _DAYS[Unit.YEAR]:
        found.append(f"a notice is five years at most, not {terms.notice}")
    if terms.renewal is Renewal.RENEWS and terms.renewal_length is None:
        found.append("a contract that renews says for how long")
    if terms.renewal is not Renewal.RENEWS and terms.renewal_length is not None:
        found.append(f"a contract that {_BY_ITSELF[terms.renewal]} has no length of renewal")
    if terms.term is None and terms.renewal is not Renewal.OPEN:
        found.append(f"a contract without a term cannot be one that {_BY_ITSELF[terms.renewal]}")
    if terms.to_month_end and terms.renewal is not Renewal.OPEN:
        found.append("only an open contract ends with a month: its terms end where they end")
    return found


_DAYS: Final = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 31, Unit.YEAR: 366}
_BY_ITSELF: Final = {
    Renewal.ENDS: "ends by itself",
    Renewal.RENEWS: "renews itself",
    Renewal.OPEN: "goes on for good",
}
