"""Who may draw how many amperes: turns where there is not the minimum for everybody, fair shares among those whose turn it is.

Pure. A vehicle gets the minimum or nothing, so that at most floor(room / minimum) of a phase charge at once (RULES.md
27); the others wait, the longest wait first. Whole amperes: many charge points know no others.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

REST_FACTOR = 3
"""A vehicle that draws nothing in its turn makes way for those who wait after this part of it."""
DRIFT_A = 1
GAIN_A = 2
"""Shares stay as they are while none is more than DRIFT_A off, and no more than GAIN_A in all would be gained."""

Key = tuple[str, int]
Room = Mapping[int, int]
"""Amperes by phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A vehicle at an EVSE that can be told a limit. `floor_a` counts in any case, and is not part of the room.

    `since`: when its turn began, or, where it is not `served`, when it began to wait. `resting`: it draws nothing of
    what it may.
    """

    key: Key
    lines: frozenset[int]
    want_a: int
    allowed_a: int
    since: datetime
    served: bool
    floor_a: int = 0
    resting: bool = False


def allocate(
    vehicles: Collection[Vehicle], room: Room, *, min_a: int, rotate: timedelta, now: datetime
) -> dict[Key, int]:
    """The limit of each vehicle. What fits into the room on every phase, whatever holds at present."""
    ranked = _ranked(vehicles, rotate=rotate, now=now)
    admitted = _admitted(ranked, room, min_a=min_a)
    shares = _shares(admitted, room, min_a=min_a)
    targets = {each.key: shares.get(each.key, each.floor_a) for each in ranked}
    return _steady(ranked, targets, room, min_a=min_a)


# --- turns -----------------------------------------------------------------------------------------------------------


def _ranked(vehicles: Collection[Vehicle], *, rotate: timedelta, now: datetime) -> list[Vehicle]:
    """Those in their turn, then those who wait, then those whose turn is over: they go on while nobody else can use it."""

    def rank(vehicle: Vehicle) -> tuple[int, float, Key]:
        since_s = vehicle.since.timestamp()
        if not vehicle.served:
            return 1, since_s, vehicle.key
        turn = rotate / REST_FACTOR if vehicle.resting else rotate
        return (2 if now - vehicle.since >= turn else 0), -since_s, vehicle.key

    return sorted(vehicles, key=rank)


def _admitted(ranked: Sequence[Vehicle], room: Room, *, min_a: int) -> list[Vehicle]:
    """Those who get the minimum.

    Nobody who waits passes one who has waited longer for the same phase: the turns there run out, and then it fits.
    One that would not fit into an empty room keeps nobody from anything.
    """
    left = dict(room)
    blocked: set[int] = set()
    admitted = []
    for vehicle in ranked:
        need = max(min_a - vehicle.floor_a, 0)
        fits = all(left.get(line, 0) >= need for line in vehicle.lines)
        if need == 0 or (fits and (vehicle.served or not blocked & vehicle.lines)):
            admitted.append(vehicle)
            for line in vehicle.lines:
                left[line] = left.get(line, 0) - need
        elif not vehicle.served and all(room.get(line, 0) >= need for line in vehicle.lines):
            blocked |= vehicle.lines
    return admitted


# --- shares ----------------------------------------------------------------------------------------------------------


def _shares(admitted: Sequence[Vehicle], room: Room, *, min_a: int) -> dict[Key, int]:
    """Ampere by ampere to whoever has least, until it has what it wants or one of its phases is full (max-min fair)."""
    shares = {each.key: max(min_a, each.floor_a) for each in admitted}
    left = dict(room)
    for each in admitted:
        for line in each.lines:
            left[line] = left.get(line, 0) - (shares[each.key] - each.floor_a)
    growing = [(shares[each.key], n) for n, each in enumerate(admitted) if each.want_a > shares[each.key]]
    heapq.heapify(growing)
    while growing:
        share, n = heapq.heappop(growing)
        vehicle = admitted[n]
        if any(left[line] < 1 for line in vehicle.lines):
            continue
        shares[vehicle.key] = share + 1
        for line in vehicle.lines:
            left[line] -= 1
        if share + 1 < vehicle.want_a:
            heapq.heappush(growing, (share + 1, n))
    return shares


def _steady(vehicles: Sequence[Vehicle], targets: dict[Key, int], room: Room, *, min_a: int) -> dict[Key, int]:
    """What holds already, where it is nearly as good: each change is a message, and a write into cheap flash."""
    used: dict[int, int] = {}
    gain_a = 0
    for each in vehicles:
        target = targets[each.key]
        charges = target >= min_a
        if charges != (each.allowed_a >= min_a) or abs(target - each.allowed_a) > (DRIFT_A if charges else 0):
            return targets
        gain_a += target - each.allowed_a
        for line in each.lines:
            used[line] = used.get(line, 0) + each.allowed_a - each.floor_a
    fits = all(used_a <= max(room.get(line, 0), 0) for line, used_a in used.items())
    return {each.key: each.allowed_a for each in vehicles} if fits and gain_a <= GAIN_A else targets
