"""A charge point of either version on a bare socket, whose answers to a remote stop are the test's business."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.faults.wire import Wire, boot, event_201, meter_values_16, start_16, stop_16, wire
from tests.world import TOKENS, Key, in_the_past

STOPS = {"ocpp1.6": "RemoteStopTransaction", "ocpp2.0.1": "RequestStopTransaction"}
INTERVAL = timedelta(minutes=5)
"""Of the meter; at 1 kWh each that is 12 kW."""


@dataclass
class Charger:
    """Charges 1 kWh an interval unless told otherwise; `says` are its answers to stops, the last one for ever."""

    wire: Wire
    protocol: str
    token: str = TOKENS[0]
    says: list[str] = field(default_factory=lambda: ["Accepted"])
    at: datetime = field(default_factory=lambda: in_the_past(hours=5))
    meter_wh: int = 1000
    transaction: Any = None
    events: int = 0

    def __post_init__(self) -> None:
        self.wire.answers[STOPS[self.protocol]] = lambda _call: {
            "status": self.says.pop(0) if len(self.says) > 1 else self.says[0]
        }

    @property
    def stops(self) -> list[dict[str, Any]]:
        """What it was asked to stop."""
        return [payload for action, payload in self.wire.asked if action == STOPS[self.protocol]]

    async def authorize(self) -> str:
        if self.protocol == "ocpp1.6":
            return str((await self._call("Authorize", {"idTag": self.token}))["idTagInfo"]["status"])
        said = await self._call("Authorize", {"idToken": {"idToken": self.token, "type": "ISO14443"}})
        return str(said["idTokenInfo"]["status"])

    async def start(self, *, transaction: str = "0c0ffee0-0000-4000-8000-000000000001") -> str:
        """The status of the token in the answer."""
        if self.protocol == "ocpp1.6":
            said = await self._call("StartTransaction", start_16(self.at, meter_wh=self.meter_wh, token=self.token))
            self.transaction = said["transactionId"]
            return str(said["idTagInfo"]["status"])
        self.transaction = transaction
        return str((await self._event("Started"))["idTokenInfo"]["status"])

    async def sample(self, wh: int = 1000) -> None:
        """One interval later."""
        self.at += INTERVAL
        self.meter_wh += wh
        if self.protocol == "ocpp1.6":
            await self._call("MeterValues", meter_values_16(self.transaction, self.at, meter_wh=self.meter_wh))
        else:
            await self._event("Updated")

    async def stop(self, wh: int = 0) -> None:
        self.at += timedelta(seconds=30)
        self.meter_wh += wh
        if self.protocol == "ocpp1.6":
            await self._call("StopTransaction", stop_16(self.transaction, self.at, meter_wh=self.meter_wh))
        else:
            await self._event("Ended")

    async def _event(self, kind: str) -> dict[str, Any]:
        event = event_201(kind, self.events, self.at, meter_wh=self.meter_wh, transaction=self.transaction)
        if "idToken" in event:
            event["idToken"]["idToken"] = self.token
        self.events += 1
        return await self._call("TransactionEvent", event)

    async def _call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        reply = await self.wire.call(action, payload)
        assert reply.error is None, f"{action} was refused: {reply.error}"
        return reply.payload


@contextlib.asynccontextmanager
async def charger(url: str, key: Key, protocol: str, **more: Any) -> AsyncIterator[Charger]:
    """Booted, with a socket of its own."""
    async with wire(url, key.id, key.password, protocol) as opened:
        made = Charger(opened, protocol, **more)
        await boot(opened)
        yield made
