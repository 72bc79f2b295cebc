"""Reservations as a charge point keeps them: for whom, until when by its clock, and what ends them (both versions)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ocpp.v16 import call_result as result16
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as result201

from simulators.charge_point.dialect import Handler
from simulators.charge_point.evse import Phase

if TYPE_CHECKING:
    from simulators.charge_point.evse import Evse
    from simulators.charge_point.settings import Settings
    from simulators.charge_point.station import SimulatedChargePoint

FEATURES_16 = "SupportedFeatureProfiles"
ANY_EVSE_16 = "ReserveConnectorZeroSupported"
ENABLED_201 = "ReservationCtrlr.Enabled"
ANY_EVSE_201 = "ReservationCtrlr.NonEvseSpecific"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An EVSE kept for a token. `open`: the driver may use any other one as well. Tokens compare without case."""

    id: int
    evse: int
    token: str
    group: str | None
    until: datetime
    open: bool = False


@dataclass(slots=True)
class Reservations:
    """At most one for each EVSE. `groups`: of which group tokens are, as far as the central system has said."""

    held: dict[int, Held] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)

    def learn(self, token: str, answer: Any) -> None:
        """What an answer to Authorize says of the token's group."""
        info = getattr(answer, "id_tag_info", None) or getattr(answer, "id_token_info", None) or {}
        told = info.get("parent_id_tag") or (info.get("group_id_token") or {}).get("id_token")
        if told:
            self.groups[token.upper()] = str(told).upper()

    def bars(self, number: int, token: str) -> bool:
        """Whether the EVSE is certainly not for this token; one of unknown group may prove to be of the right one."""
        held = self.held.get(number)
        if held is None or self.is_for(held, token):
            return False
        return held.group is None or token.upper() in self.groups

    def use(self, number: int, token: str) -> Held | None:
        """The reservation that a start of this token here ends."""
        here = self.held.get(number)
        open_ones = [held for held in self.held.values() if held.open and self.is_for(held, token)]
        used = here or next(iter(open_ones), None)
        return None if used is None else self.held.pop(used.evse)

    def idle_phase(self, evse: Evse) -> Phase:
        """Where an EVSE stands while nothing happens on it."""
        if not evse.operative:
            return Phase.UNAVAILABLE
        if evse.number in self.held:
            return Phase.RESERVED
        return Phase.PREPARING if evse.plugged else Phase.AVAILABLE

    def is_for(self, held: Held, token: str) -> bool:
        """Whether it is kept for this token, by itself or by its group."""
        is_in_group = held.group is not None and self.groups.get(token.upper()) == held.group.upper()
        return held.token.upper() == token.upper() or is_in_group

    def by_id(self, id_: int) -> Held | None:
        return next((held for held in self.held.values() if held.id == id_), None)


# --- what happens to a reservation


async def allows(station: SimulatedChargePoint, number: int, token: str) -> bool:
    """May the token start here? Where a group has reserved, the central system is asked of which group the token is."""
    reservations = station.reservations
    if number in reservations.held and not reservations.bars(number, token):
        await _learn_group(station, token)
    held = reservations.held.get(number)
    return held is None or reservations.is_for(held, token)


async def _learn_group(station: SimulatedChargePoint, token: str) -> None:
    held_for = {held.token.upper() for held in station.reservations.held.values()}
    if token.upper() not in held_for and token.upper() not in station.reservations.groups:
        await station.authorize(token)


async def show(station: SimulatedChargePoint, number: int) -> None:
    """The EVSE says whether it is kept, unless a vehicle charges there."""
    evse = station.evses[number]
    if evse.transaction is None:
        await station.enter(evse, station.reservations.idle_phase(evse))
    elif evse.phase is Phase.RESERVED:
        await station.enter(evse, Phase.PREPARING)


async def lapse(station: SimulatedChargePoint) -> None:
    """Those whose time is over by the charge point's clock."""
    over = [held for held in station.reservations.held.values() if held.until <= station.clock.shown]
    for held in over:
        await _give_up(station, held, "Expired")


async def remove(station: SimulatedChargePoint, number: int) -> None:
    """The EVSE goes out of service: nothing can be kept on it."""
    held = station.reservations.held.get(number)
    if held is not None:
        await _give_up(station, held, "Removed")


def next_lapses(station: SimulatedChargePoint) -> list[datetime]:
    """When reservations end, in model time."""
    return [held.until - station.clock.error for held in station.reservations.held.values()]


async def _give_up(station: SimulatedChargePoint, held: Held, status: str) -> None:
    del station.reservations.held[held.evse]
    station.truth.note(station.clock.now, f"reservation {status.lower()}", str(held.id))
    await show(station, held.evse)
    if station.build.protocol != "ocpp1.6":
        await station.ask(call201.ReservationStatusUpdate(reservation_id=held.id, reservation_update_status=status))


# --- answers


def handlers_16(station: SimulatedChargePoint, settings: Settings) -> dict[str, Handler]:
    """Answers to the calls of OCPP 1.6."""

    def reserve(
        connector_id: int, expiry_date: str, id_tag: str, reservation_id: int, parent_id_tag: str | None = None
    ) -> Any:
        wish = Held(
            id=reservation_id,
            evse=connector_id,
            token=id_tag,
            group=parent_id_tag,
            until=datetime.fromisoformat(expiry_date),
            open=connector_id == 0,
        )
        is_able = "reservation" in settings.entries[FEATURES_16].value.lower().split(",")
        takes_open = settings.flag(ANY_EVSE_16)
        return result16.ReserveNow(status=_take(station, wish, is_able=is_able, takes_open=takes_open))

    def cancel(reservation_id: int) -> Any:
        return result16.CancelReservation(status=_cancel(station, reservation_id))

    return _known(station, {"ReserveNow": reserve, "CancelReservation": cancel})


def handlers_201(station: SimulatedChargePoint, settings: Settings) -> dict[str, Handler]:
    """Answers to the calls of OCPP 2.0.1, block H."""

    def reserve(
        id: int,  # noqa: A002 - the field's name on the wire
        expiry_date_time: str,
        id_token: dict[str, Any],
        evse_id: int | None = None,
        group_id_token: dict[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        wish = Held(
            id=id,
            evse=evse_id or 0,
            token=str(id_token["id_token"]),
            group=None if group_id_token is None else str(group_id_token["id_token"]),
            until=datetime.fromisoformat(expiry_date_time),
            open=evse_id is None,
        )
        is_able, takes_open = settings.flag(ENABLED_201), settings.flag(ANY_EVSE_201)
        return result201.ReserveNow(status=_take(station, wish, is_able=is_able, takes_open=takes_open))

    def cancel(reservation_id: int, **_: Any) -> Any:
        return result201.CancelReservation(status=_cancel(station, reservation_id))

    return _known(station, {"ReserveNow": reserve, "CancelReservation": cancel})


def _known(station: SimulatedChargePoint, handlers: dict[str, Handler]) -> dict[str, Handler]:
    return {action: handler for action, handler in handlers.items() if action not in station.build.unknown}


def _take(station: SimulatedChargePoint, wish: Held, *, is_able: bool, takes_open: bool) -> str:
    """Accepted, or why not (OCPP 1.6 5.13, 2.0.1 H01). A wish with the id of a reservation replaces it."""
    if not is_able or (wish.open and not takes_open) or wish.until <= station.clock.shown:
        return "Rejected"
    candidates = [evse for evse in station.evses.values() if wish.open or evse.number == wish.evse]
    if not candidates:
        return "Rejected"
    free = [evse for evse in candidates if _hindrance(station, evse, wish) is None]
    if not free:
        return _hindrance(station, candidates[0], wish) or "Rejected"
    before = station.reservations.by_id(wish.id)
    if before is not None:
        del station.reservations.held[before.evse]
    held = Held(id=wish.id, evse=free[0].number, token=wish.token, group=wish.group, until=wish.until, open=wish.open)
    station.reservations.held[held.evse] = held
    for number in {held.evse} if before is None else {before.evse, held.evse}:
        station.follow_ups.append(partial(show, station, number))
    return "Accepted"


def _hindrance(station: SimulatedChargePoint, evse: Evse, wish: Held) -> str | None:
    """Why this EVSE cannot be kept."""
    if evse.phase is Phase.FAULTED:
        return "Faulted"
    if not evse.operative:
        return "Unavailable"
    held = station.reservations.held.get(evse.number)
    if held is not None and held.id == wish.id:
        return None
    return "Occupied" if held is not None or evse.plugged or evse.transaction is not None else None


def _cancel(station: SimulatedChargePoint, id_: int) -> str:
    held = station.reservations.by_id(id_)
    if held is None:
        return "Rejected"
    del station.reservations.held[held.evse]
    station.follow_ups.append(partial(show, station, held.evse))
    return "Accepted"
