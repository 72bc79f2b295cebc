"""An offline start with register 0 on a meter that has counted for years: never more than what really flowed, anywhere."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.wire import Wire, event_201, meter_values_16, start_16, stop_16, wire
from tests.world import World, in_the_past, usual_world

LIFETIME_WH = 909_948
PRICE_INCL = Decimal("0.49") * Decimal("1.19")


def _cent(energy_wh: int) -> Decimal:
    return (PRICE_INCL * energy_wh / 1000).quantize(Decimal("0.01"), rounding="ROUND_UP")


class Spoken16:
    protocol = "ocpp1.6"

    def __init__(self, opened: Wire) -> None:
        self.wire = opened
        self.transaction = 0
        self.costs: list[Decimal] = []

    async def start(self) -> None:
        answer = await self.wire.call("StartTransaction", start_16(in_the_past(minutes=30), meter_wh=0))
        self.transaction = answer.payload["transactionId"]

    async def sample(self, minutes_ago: int, meter_wh: int) -> None:
        reading = meter_values_16(self.transaction, in_the_past(minutes=minutes_ago), meter_wh=meter_wh)
        assert (await self.wire.call("MeterValues", reading)).error is None

    async def stop(self, meter_wh: int) -> None:
        stop = stop_16(self.transaction, in_the_past(minutes=1), meter_wh=meter_wh)
        assert (await self.wire.call("StopTransaction", stop)).error is None


class Spoken201:
    protocol = "ocpp2.0.1"

    def __init__(self, opened: Wire) -> None:
        self.wire = opened
        self.seq_no = 0
        self.costs: list[Decimal] = []
        opened.answers["CostUpdated"] = self._displayed

    def _displayed(self, payload: dict[str, Any]) -> dict[str, Any]:
        self.costs.append(Decimal(str(payload["totalCost"])))
        return {}

    async def _tell(self, kind: str, minutes_ago: int, meter_wh: int) -> None:
        event = event_201(
            kind, self.seq_no, in_the_past(minutes=minutes_ago), meter_wh=meter_wh, transaction="offline-1"
        )
        self.seq_no += 1
        answer = await self.wire.call("TransactionEvent", event | {"offline": True})
        assert answer.error is None
        if "totalCost" in answer.payload:
            self.costs.append(Decimal(str(answer.payload["totalCost"])))

    async def start(self) -> None:
        await self._tell("Started", 30, 0)

    async def sample(self, minutes_ago: int, meter_wh: int) -> None:
        await self._tell("Updated", minutes_ago, meter_wh)

    async def stop(self, meter_wh: int) -> None:
        await self._tell("Ended", 1, meter_wh)


async def _require_no_more_than(world: World, limit_wh: int, costs: list[Decimal]) -> None:
    (session,) = await world.sessions()
    assert session["energy_wh"] <= limit_wh
    for bill in await world.bills(session["id"]):
        assert bill.energy_wh <= limit_wh
        assert bill.total_incl.decimal <= _cent(limit_wh)
    for cost in [*costs, *await world.displayed()]:
        assert cost <= _cent(limit_wh)


@pytest.mark.parametrize("spoken", [Spoken16, Spoken201], ids=["ocpp1.6", "ocpp2.0.1"])
@pytest.mark.parametrize("flowed_wh", [83, 1983], ids=["83 Wh", "1983 Wh"])
async def test_a_zero_baseline_is_never_billed_or_displayed(
    database: str, data_home: Path, spoken: type[Spoken16 | Spoken201], flowed_wh: int
) -> None:
    # 910,031 Wh at the end are 83 Wh, which are waived; with 1983 Wh the released session has a price.
    end_wh = LIFETIME_WH + flowed_wh
    async with usual_world(database, data_home, cost_in_updated_reply=True) as world:
        key = await world.charge_point("BASELINE")
        async with wire(world.ocpp_url, key.id, key.password, spoken.protocol) as opened:
            charge_point = spoken(opened)
            await charge_point.start()
            await world.quiet()
            for minutes_ago, register_wh in ((29, LIFETIME_WH), (15, LIFETIME_WH + 40), (5, end_wh)):
                await charge_point.sample(minutes_ago, register_wh)
                await world.quiet()
                await _require_no_more_than(world, flowed_wh, charge_point.costs)
            await charge_point.stop(end_wh)
            await world.quiet()
            await _require_no_more_than(world, flowed_wh, charge_point.costs)

            (held,) = await world.sessions()
            assert (held["state"], held["hold_reasons"]) == ("held", ["zero_baseline_jump"])
            # At the most an interim of nothing from before the first sample.
            assert {bill.total_incl.minor for bill in await world.bills(held["id"])} <= {0}
            assert set(charge_point.costs) <= {0}

            await world.review(held["id"], "release")
            await world.quiet()
            (released,) = await world.sessions()
            assert (released["state"], released["energy_wh"]) == ("rated", flowed_wh)
            await _require_no_more_than(world, flowed_wh, charge_point.costs)
