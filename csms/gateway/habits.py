"""What a charge point of some make, or by its operator's word, gets otherwise than others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from csms.charge_points.charge_point import ChargePoint
from csms.gateway.application import SocketInfo
from csms.protocol.quirks import Accommodation
from csms.protocol.quirks.accommodations import accommodated, outcome_of
from csms.protocol.quirks.catalogue import Make, accommodations
from csms.protocol.vocabulary import Command, Outcome

BOOT_PATIENCE_S = 60.0
"""How long calls wait for a boot of makes that loop when they are called before it."""


def habits_of(charge_point: ChargePoint) -> frozenset[Accommodation]:
    make = Make(charge_point.vendor, charge_point.model, charge_point.firmware)
    return accommodations(make, charge_point.switched_on, charge_point.switched_off)


def first_call_delay_s(charge_point: ChargePoint, usual_s: float) -> float:
    waits = Accommodation.CALLS_WAIT_FOR_BOOT in habits_of(charge_point)
    return max(BOOT_PATIENCE_S, usual_s) if waits else usual_s


async def ask_as_wanted(socket: SocketInfo, command: Command, ask: Callable[[Command], Awaitable[Outcome]]) -> Outcome:
    """Ask in the form that this charge point takes; raises what `ask` raises."""
    habits = habits_of(socket.charge_point)
    if not habits:
        return await ask(command)
    sent = accommodated(command, habits, socket.protocol)
    return outcome_of(command, sent, [await ask(each) for each in sent])
