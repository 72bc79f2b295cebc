"""What a charging station knows of who holds a token (OCPP 2.0.1 N09, N10)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ocpp.v201 import call, call_result

from simulators.charge_point.dialect import Handler
from simulators.clock import stamp

if TYPE_CHECKING:
    from simulators.charge_point.local_lists import KnownTokens
    from simulators.charge_point.station import SimulatedChargePoint

DATA_LENGTH_MAX = 40
"""Far below what the schema allows, so that little is told in several parts."""


def handlers_201(station: SimulatedChargePoint, known: KnownTokens) -> dict[str, Handler]:
    """Answers to the calls of OCPP 2.0.1."""

    def answer(
        request_id: int, report: bool, clear: bool, id_token: dict[str, Any] | None = None, **_: Any
    ) -> Any:  # fmt: skip
        if id_token is None or not (report or clear):
            return call_result.CustomerInformation(status="Invalid")
        token = str(id_token["id_token"]).upper()
        text = _known_of(known, token)
        if clear:
            known.cache.pop(token, None)
        if report:
            station.follow_ups.append(partial(_tell, station, request_id, text))
        return call_result.CustomerInformation(status="Accepted")

    handlers: dict[str, Handler] = {"CustomerInformation": answer}
    return {action: handler for action, handler in handlers.items() if action not in station.build.unknown}


def _known_of(known: KnownTokens, token: str) -> str:
    cached, listed = known.cache.get(token), known.listed.get(token)
    lines = [
        f"authorization cache: {token} is {cached}"
        if cached is not None
        else f"authorization cache: nothing on {token}",
        f"local list: {token} is {listed.status}" if listed is not None else f"local list: nothing on {token}",
    ]
    return "\n".join(lines)


async def _tell(station: SimulatedChargePoint, request_id: int, text: str) -> None:
    """NotifyCustomerInformation in parts, ``tbc`` on all but the last."""
    parts = [text[at : at + DATA_LENGTH_MAX] for at in range(0, len(text), DATA_LENGTH_MAX)]
    for seq_no, part in enumerate(parts):
        await station.ask(
            call.NotifyCustomerInformation(
                data=part,
                seq_no=seq_no,
                generated_at=stamp(station.clock.shown),
                request_id=request_id,
                tbc=seq_no < len(parts) - 1,
            )
        )
