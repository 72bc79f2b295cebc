"""Messages on the display of a charging station (OCPP 2.0.1 block O)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ocpp.v201 import call, call_result

from simulators.charge_point.dialect import Handler

if TYPE_CHECKING:
    from simulators.charge_point.station import SimulatedChargePoint

FORMATS = frozenset({"ASCII", "UTF8"})
MESSAGES_A_PART = 2


class Displayed:
    """The messages that a station holds by their ids, as they were sent."""

    def __init__(self, station: SimulatedChargePoint) -> None:
        self._station = station
        self.messages: dict[int, dict[str, Any]] = {}

    def put(self, message: dict[str, Any]) -> str:
        """Take a message, or say why not. At most one is always in front: the newest (O01)."""
        if message["message"]["format"] not in FORMATS:
            return "NotSupportedMessageFormat"
        transaction = message.get("transaction_id")
        if transaction is not None and self._station.find_transaction(transaction) is None:
            return "UnknownTransaction"
        if message["priority"] == "AlwaysFront":
            self.messages = {id_: each for id_, each in self.messages.items() if each["priority"] != "AlwaysFront"}
        self.messages[message["id"]] = message
        return "Accepted"

    def held(self) -> dict[int, dict[str, Any]]:
        """Those whose time or transaction is not over."""
        self.messages = {id_: message for id_, message in self.messages.items() if self._holds(message)}
        return self.messages

    def _holds(self, message: dict[str, Any]) -> bool:
        end, transaction = message.get("end_date_time"), message.get("transaction_id")
        is_over = end is not None and datetime.fromisoformat(end).astimezone(UTC) <= self._station.clock.shown
        return not is_over and (transaction is None or self._station.find_transaction(transaction) is not None)


def handlers_201(station: SimulatedChargePoint) -> dict[str, Handler]:
    """Answers to the calls of OCPP 2.0.1."""
    displayed = Displayed(station)

    def set_(message: dict[str, Any], **_: Any) -> Any:
        return call_result.SetDisplayMessage(status=displayed.put(message))

    def get(
        request_id: int,
        id: list[int] | None = None,  # noqa: A002 - the field's name on the wire
        priority: str | None = None,
        state: str | None = None,
        **_: Any,
    ) -> Any:
        found = [
            message
            for id_, message in sorted(displayed.held().items())
            if (id is None or id_ in id)
            and priority in {None, message["priority"]}
            and state in {None, message.get("state")}
        ]
        if not found:
            return call_result.GetDisplayMessages(status="Unknown")
        station.follow_ups.append(lambda: _tell(station, request_id, found))
        return call_result.GetDisplayMessages(status="Accepted")

    def clear(id: int, **_: Any) -> Any:  # noqa: A002 - the field's name on the wire
        known = displayed.held().pop(id, None) is not None
        return call_result.ClearDisplayMessage(status="Accepted" if known else "Unknown")

    handlers: dict[str, Handler] = {
        "SetDisplayMessage": set_, "GetDisplayMessages": get, "ClearDisplayMessage": clear,
    }  # fmt: skip
    return {action: handler for action, handler in handlers.items() if action not in station.build.unknown}


async def _tell(station: SimulatedChargePoint, request_id: int, found: list[dict[str, Any]]) -> None:
    """NotifyDisplayMessages in parts, ``tbc`` on all but the last (O03, O04)."""
    parts = [found[at : at + MESSAGES_A_PART] for at in range(0, len(found), MESSAGES_A_PART)]
    for number, part in enumerate(parts, start=1):
        await station.ask(call.NotifyDisplayMessages(request_id=request_id, message_info=part, tbc=number < len(parts)))
