"""A sum that is paid in parts: shares by percent, each due on a day or when something is reached. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billing.money import allocate

PARTS_MAX = 50
WHOLE_PERCENT = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """So many percent of the sum, due on `due_on` or when the operator declares `event` reached."""

    name: str
    percent: Decimal
    due_on: date | None = None
    event: str | None = None


def amounts_minor(total_minor: int, parts: Sequence[Part]) -> list[int]:
    """What each part is; together they are the sum. A unit that is left over goes to the largest remainder."""
    return allocate(total_minor, [part.percent for part in parts])


def mistakes(parts: Sequence[Part]) -> list[str]:
    """Why a sum is not split so; all of it."""
    found = []
    if not 1 <= len(parts) <= PARTS_MAX:
        found.append(f"a sum is split into 1 to {PARTS_MAX} parts, not {len(parts)}")
    for part in parts:
        if not part.percent.is_finite() or part.percent <= 0:
            found.append(f"part {part.name}: a share is above zero percent, not {part.percent}")
        if (part.due_on is None) == (part.event is None):
            found.append(f"part {part.name}: it is due either on a day or by an event")
        if not part.name.strip() or not part.name.isprintable():
            found.append("a part has a name of one line")
        if part.event is not None and (not part.event.strip() or not part.event.isprintable()):
            found.append(f"part {part.name}: an event has a name of one line")
    if not found and sum(part.percent for part in parts) != WHOLE_PERCENT:
        found.append(f"the shares add up to {sum(part.percent for part in parts)} percent, not 100")
    return found
