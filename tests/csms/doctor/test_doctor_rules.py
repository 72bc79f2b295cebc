"""Rules of the doctor on charts made by hand, and what it must not find."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ward import Patient

from csms.charge_points.charge_point import ChargePoint
from csms.doctor.chart import Chart, Message, Socket, read_message
from csms.doctor.clocks import clock_drift, clock_offset
from csms.doctor.connections import protocol_changes, reconnect_loop, template_rejected
from csms.doctor.examination import Counted, How, examine
from csms.doctor.rules import RULES
from csms.protocol.quirks.catalogue import Finder, catalogue
from csms.protocol.salvage import mend
from simulators.charge_point import Build, Credentials, ModelClock, SimulatedChargePoint, stamp
from tests.world import usual_world

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOCKET = UUID(int=1)
CP = ChargePoint(id="CP", site="S", vendor="Example Wind", model="Gust", booted_at=NOW)


def told(at: datetime, action: str, payload: dict[str, Any], *, id_: str = "1", theirs: bool = True) -> Message:
    body = json.dumps([2, id_, action, payload])
    return read_message(body, at=at, is_theirs=theirs, action=action, socket=SOCKET)


def status(at: datetime, *, offset_s: float = 0) -> Message:
    stamped = stamp(at + timedelta(seconds=offset_s))
    return told(
        at,
        "StatusNotification",
        {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": stamped},
    )


def chart(*messages: Message, **more: Any) -> Chart:
    return Chart(charge_point=CP, now=NOW, messages=messages, **more)


def test_the_rules_are_those_of_the_catalogue() -> None:
    assert [rule.__name__ for rule in RULES] != []
    assert {rule.__name__ for rule in RULES} == {each.name for each in catalogue().values() if each.by is Finder.DOCTOR}


def test_a_clock_that_is_right_has_neither_offset_nor_drift() -> None:
    seen = chart(*(status(NOW + timedelta(hours=hour), offset_s=hour / 10) for hour in range(24)))

    assert clock_offset(seen) is None
    assert clock_drift(seen) is None


def test_a_clock_that_runs_fast_drifts_by_so_much_a_day() -> None:
    seen = chart(*(status(NOW + timedelta(hours=hour), offset_s=5 * hour) for hour in range(25)))

    found = clock_drift(seen)
    assert found is not None
    assert found.evidence.startswith("+115.0 s a day")


def test_late_messages_of_a_queue_are_no_clock_that_is_behind() -> None:
    seen = chart(*(status(NOW + timedelta(seconds=n), offset_s=-3600 + 40 * n) for n in range(20)))

    assert clock_offset(seen) is None


def test_a_rejected_template_is_shown_by_the_answer() -> None:
    answer = read_message(
        '[3,"9",{"status":"Rejected"}]', at=NOW, is_theirs=True, action="ChangeConfiguration", socket=SOCKET
    )
    seen = chart(answer, template=(("MeterValueSampleInterval", "60", "Rejected"), ("X", "1", "Accepted")))

    found = template_rejected(seen)
    assert found is not None
    assert (found.evidence, found.frame) == ("MeterValueSampleInterval=60: Rejected", answer.body)
    assert template_rejected(chart(answer, template=(("X", "1", "RebootRequired"),))) is None


def sockets(*minutes: float, protocol: str = "ocpp1.6") -> tuple[Socket, ...]:
    return tuple(
        Socket(id=UUID(int=n), protocol=protocol, remote=None, opened_at=NOW + timedelta(minutes=at))
        for n, at in enumerate(minutes)
    )


def test_connections_are_a_loop_only_where_they_come_close_together() -> None:
    assert reconnect_loop(chart(sockets=sockets(*range(10)))) is not None
    assert reconnect_loop(chart(sockets=sockets(*range(0, 60, 2)))) is None


def test_one_change_of_version_is_an_update() -> None:
    before, after = sockets(1, 2), sockets(3, 4, protocol="ocpp2.0.1")

    assert protocol_changes(chart(sockets=(*before, *after))) is None
    assert protocol_changes(chart(sockets=(*before, *after, *sockets(5)))) is not None


def test_what_was_counted_stands_beside_what_is_read_and_what_is_known() -> None:
    abb = ChargePoint(id="CP", site="S", vendor="ABB", model="Terra Example", booted_at=NOW)
    boot = told(NOW, "BootNotification", {"chargePointVendor": "ABB", "chargePointModel": "Terra Example"})
    counted = Counted(name="null_as_text", count=3, first_at=NOW, last_at=NOW, frame="[...]")
    gone = Counted(name="of_an_older_version", count=1, first_at=NOW, last_at=NOW, frame="[...]")

    found = {
        each.entry.name: each for each in examine(Chart(charge_point=abb, now=NOW, messages=(boot,)), [counted, gone])
    }
    assert (found["null_as_text"].how, found["null_as_text"].count) == (How.SEEN, 3)
    assert (found["start_repeated"].how, found["start_repeated"].frame) == (How.KNOWN, boot.body)
    assert "of_an_older_version" not in found


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["timestamp", "meterValue", "sampledValue", "value", "transactionId", "connectorId", "idTag", "configurationKey", "key"]
    ), inner, max_size=5),
    max_leaves=15,
)  # fmt: skip
ACTIONS = ["BootNotification", "StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent", "StatusNotification",
           "GetConfiguration", "DataTransfer", "Heartbeat"]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from([2, 3, 4]), st.sampled_from(ACTIONS), anything, st.booleans()), max_size=8))
def test_no_message_that_is_kept_can_break_a_rule(frames: list[tuple[int, str, Any, bool]]) -> None:
    messages = []
    for number, (kind, action, payload, theirs) in enumerate(frames):
        frame = [kind, str(number), action, payload] if kind == 2 else [kind, str(number), payload]
        messages.append(read_message(json.dumps(frame), at=NOW, is_theirs=theirs, action=action, socket=SOCKET))
    seen = chart(*messages, sockets=sockets(-1, 0), wants_signed_data=True, settings={"StopTxnSampledData": "X"})

    for finding in examine(seen, []):
        assert finding.evidence


@given(anything.filter(lambda value: isinstance(value, dict | list)), st.integers(0, 200))
def test_mending_gives_what_was_written_or_nothing_else(value: Any, cut: int) -> None:
    """Whole JSON is read as it is; of JSON that was cut off, no value is ever changed."""
    text = json.dumps(value, allow_nan=False, default=str) if _is_plain(value) else "[]"
    assert _same(mend(text), json.loads(text))

    mended = mend(text[: min(cut, len(text))])
    assert mended is None or _is_part(mended, json.loads(text))


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return "E" not in json.dumps(value).upper().replace("TRUE", "").replace("FALSE", "")


def _same(mended: Any, value: Any) -> bool:
    return mended is None or mended == value


def _is_part(part: Any, whole: Any) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and _is_part(each, whole[name]) for name, each in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(_is_part, part, whole))
    return bool(part == whole)


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_a_charge_point_that_behaves_has_nothing_wrong(database: str, data_home: Path, protocol: str) -> None:
    async with usual_world(database, data_home) as world:
        key = await world.charge_point("HEALTHY")
        begin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        credentials = Credentials(url=world.ocpp_url, identity=key.id, password=key.password)
        async with SimulatedChargePoint(credentials, ModelClock(begin), Build(protocol=protocol, evses=1)) as station:
            await station.boot()
            await station.plug()
            await station.start(token="CARD-0001")
            await station.charge(energy_wh=Decimal(5000), duration=timedelta(minutes=30))
            await station.stop()
            await station.unplug()
            await asyncio.sleep(1)  # what is counted is written behind the traffic
        found = await Patient(world, key).findings()

    grave = {name: each.evidence for name, each in found.items() if each.severity != "info"}
    assert grave == {}
