"""In which order limits are told: what takes away first, and what adds only once it fits beside everything that may hold.

Pure. The sum of `counted_a` on a phase never passes the budget by anything that is ordered here, whatever becomes of the
messages: what was ordered counts from that moment on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from csms.site_limits.allocation import Key
from csms.site_limits.exposure import Place, Reach, Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A limit to be sent. `why` is for the books."""

    charge_point: str
    evse: int
    slot: Slot
    amps: int
    session: int | None
    why: str

    @property
    def key(self) -> Key:
        return self.charge_point, self.evse


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an EVSE should hold in the end: `base_a` for whoever comes, `session_a` for the vehicle that is there."""

    base_a: int
    session_a: int | None = None


def counted(places: Iterable[Place]) -> dict[int, int]:
    """What may flow on each phase."""
    sums: dict[int, int] = {}
    for place in places:
        for line in place.lines:
            sums[line] = sums.get(line, 0) + place.counted_a
    return sums


def next_orders(
    places: Sequence[Place],
    wishes: Mapping[Key, Wish],
    budget: Mapping[int, int],
    *,
    min_a: int,
    now: datetime,
    pace: timedelta,
) -> list[Order]:
    """What can be sent at once, at most one for each charge point. `places` in the order in which they may grow.

    `pace` lies between two limits of a charge point, save where more may flow than should, and at the start of a
    session.
    """
    load = counted(places)
    wanted = [(place, order) for place in places if (order := _wanted(place, wishes.get(place.key))) is not None]
    orders: list[Order] = []
    asked: set[str] = set()

    def grows(item: tuple[Place, Order]) -> bool:
        return item[0].counted_if_sent_a(item[1].amps) > item[0].counted_a

    for place, order in sorted(wanted, key=grows):  # stable: those that take away come first
        over = any(load[line] > budget.get(line, 0) for line in place.lines)
        if place.charge_point in asked or not (
            _may_now(place, order, now, pace) or (over and not grows((place, order)))
        ):
            continue
        free_a = min(budget.get(line, 0) - load[line] for line in place.lines)
        fitting = _fitting(place, order, free_a, min_a=min_a)
        if fitting is None:
            continue
        for line in place.lines:
            load[line] += place.counted_if_sent_a(fitting.amps) - place.counted_a
        asked.add(place.charge_point)
        orders.append(fitting)
    return orders


def _wanted(place: Place, wish: Wish | None) -> Order | None:
    """The next message that brings an EVSE nearer to what it should hold; None where it holds that, or cannot be told."""
    if wish is None or place.reach is not Reach.LIVE:
        return None
    if place.keeps_tx or wish.session_a is None or place.session is None:
        base_a, why = wish.base_a, "for whoever comes"
    else:
        base_a, why = wish.session_a, "share"
    if place.confirm_base or not place.base.is_settled(base_a):
        return _order(place, Slot.BASE, base_a, why)
    if not place.keeps_tx or place.session is None or wish.session_a is None:
        return None
    if place.tx.accepted is None and not place.tx.since and not place.confirm_tx:
        # which session runs there shows by which one takes a profile
        return (
            None if wish.session_a == base_a and not place.others else _order(place, Slot.TX, wish.session_a, "share")
        )
    if place.confirm_tx or not place.tx.is_settled(wish.session_a):
        return _order(place, Slot.TX, wish.session_a, "share")
    return None


def _order(place: Place, slot: Slot, amps: int, why: str) -> Order:
    return Order(
        charge_point=place.charge_point,
        evse=place.evse,
        slot=slot,
        amps=amps,
        session=place.session if slot is Slot.TX else None,
        why=why,
    )


def _may_now(place: Place, order: Order, now: datetime, pace: timedelta) -> bool:
    """Whether the charge point has had its rest."""
    is_first = order.slot is Slot.TX and place.tx.accepted is None and not place.tx.since
    must = order.slot is Slot.BASE and place.keeps_tx
    return is_first or must or place.told_at is None or now - place.told_at >= pace


def _fitting(place: Place, order: Order, free_a: int, *, min_a: int) -> Order | None:
    """The order as far as it fits beside all that may flow. Whoever gets nothing yet takes what there is of its share."""
    more_a = place.counted_if_sent_a(order.amps) - place.counted_a
    if more_a <= 0 or more_a <= free_a:
        return order
    part_a = place.counted_a + free_a
    if place.allowed_a < min_a <= part_a < order.amps:
        return Order(
            charge_point=order.charge_point, evse=order.evse, slot=order.slot, amps=part_a, session=order.session,
            why="part of its share",
        )  # fmt: skip
    return None
