"""Templates on their way into one charge point: in parts, broken off, refused, given again; all kept in Postgres."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import asyncpg
import pytest
from wallbox import Wallbox

from billing import AlreadyDone
from csms.charge_points.device_settings import DeviceSettings, remember
from csms.charge_points.set_up import apply_template
from csms.protocol.vocabulary import Protocol
from csms.templates import service
from csms.templates.plan import Drift, Result
from csms.templates.template import Stored, Template, section_of

VERSIONS = pytest.mark.parametrize("protocol", list(Protocol))
ID = "CP-1"


@pytest.fixture
async def connection(pool: asyncpg.Pool[Any]) -> Any:
    async with pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO site (id, name, country, time_zone, currency) "
            "VALUES ('harbour', 'Harbour', 'DE', 'Europe/Berlin', 'EUR')"
        )
        await connection.execute("INSERT INTO charge_point (id, site) VALUES ('CP-1', 'harbour')")
        yield connection


def names(protocol: Protocol, number: int) -> list[str]:
    return [f"{'Ctrlr.' if protocol.has_device_model else ''}Interval{n:02}" for n in range(number)]


def limit(protocol: Protocol) -> str:
    return "DeviceDataCtrlr.ItemsPerMessage[GetVariables]" if protocol.has_device_model else "GetConfigurationMaxKeys"


async def kept(connection: Any, protocol: Protocol, settings: dict[str, str]) -> Stored:
    return await service.store(connection, "depot", Template(settings={section_of(protocol): settings}), actor="me")


async def give(connection: Any, box: Wallbox, stored: Stored, *, again: bool = False) -> service.Given:
    return await service.give(connection, ID, box.protocol, stored, box.send, actor="me", again=again)


def statuses(given: service.Given) -> dict[str, str | None]:
    return {each["name"]: each["status"] for each in given.settings}


@VERSIONS
async def test_more_names_than_a_charge_point_takes_are_asked_in_parts(connection: Any, protocol: Protocol) -> None:
    wanted = names(protocol, 23)
    box = Wallbox(protocol=protocol, values=dict.fromkeys(wanted, "1") | {limit(protocol): "7"}, at_once=7)
    device = DeviceSettings(charge_point=ID, protocol=protocol, send=box.send, books=lambda: nullcontext(connection))

    read = await device.read(wanted)
    again = await device.read([*wanted[:8], "Ctrlr.Nothing" if protocol.has_device_model else "Nothing"])

    assert read.data["settings"] == dict.fromkeys(wanted, "1")
    assert [size for _, size in box.calls[1:]] == [7, 7, 7, 2, 7, 2]
    assert len(again.data["settings"]) == 8
    assert len(again.data["unknown"]) == 1
    assert len(await service.known_settings(connection, ID)) == 24


@VERSIONS
async def test_each_answer_is_kept_and_what_is_as_it_shall_be_is_not_asked_for(
    connection: Any, protocol: Protocol
) -> None:
    taken, same, fixed, later = names(protocol, 4)
    missing = "Ctrlr.Missing" if protocol.has_device_model else "Missing"
    box = Wallbox(
        protocol=protocol, values={taken: "1", same: "5", fixed: "1", later: "1"}, read_only=frozenset({fixed}),
        after_reboot=frozenset({later}),
    )  # fmt: skip
    stored = await kept(connection, protocol, dict.fromkeys([taken, same, fixed, later, missing], "5"))

    given = await give(connection, box, stored)
    done = await service.completed(connection, ID, stored)

    assert statuses(given) == {
        taken: "Accepted",
        same: "unchanged",
        fixed: "Rejected" if protocol.has_device_model else "ReadOnly",
        later: "RebootRequired",
        missing: "NotSupported",
    }
    assert {each["name"]: each["before"] for each in given.settings}[taken] == "1"
    assert given.result is Result.REFUSED
    assert same not in box.sets
    assert missing not in box.sets
    assert done is not None
    assert (done.before, done.result) == (True, Result.REFUSED)


@VERSIONS
@pytest.mark.parametrize("answers", range(5))
async def test_wherever_it_is_broken_off_it_goes_on_and_asks_nothing_twice(
    connection: Any, protocol: Protocol, answers: int
) -> None:
    wanted = names(protocol, 3)
    box = Wallbox(protocol=protocol, values=dict.fromkeys(wanted, "1"), answers_left=answers)
    stored = await kept(connection, protocol, dict.fromkeys(wanted, "5"))

    first = await give(connection, box, stored)
    box.answers_left = None
    unfinished = await service.completed(connection, ID, stored)
    second = await give(connection, box, stored)

    assert (first.result, unfinished is None) == (
        (Result.APPLIED, False) if answers == 4 else (Result.UNFINISHED, True)
    )
    assert second.result is Result.APPLIED
    assert statuses(second) == dict.fromkeys(wanted, "Accepted")
    assert box.sets == wanted
    assert set(box.values.values()) == {"5"}


async def test_a_refusal_is_asked_about_again_only_when_that_is_wanted(connection: Any) -> None:
    [name] = names(Protocol.V201, 1)
    box = Wallbox(protocol=Protocol.V201, values={name: "1"}, read_only=frozenset({name}))
    stored = await kept(connection, Protocol.V201, {name: "5"})
    for _ in range(2):
        assert (await give(connection, box, stored)).result is Result.REFUSED
    box.read_only = frozenset()

    given = await give(connection, box, stored, again=True)

    assert box.sets == [name, name]
    assert given.result is Result.APPLIED


async def test_a_reboot_that_was_wanted_is_looked_after(connection: Any) -> None:
    [name] = names(Protocol.V16, 1)
    box = Wallbox(protocol=Protocol.V16, values={name: "1"}, after_reboot=frozenset({name}))
    stored = await kept(connection, Protocol.V16, {name: "5"})
    await give(connection, box, stored)
    before = await service.completed(connection, ID, stored)
    box.values[name] = "5"
    await connection.execute("UPDATE charge_point SET booted_at = now() + interval '1 second'")
    after = await service.completed(connection, ID, stored)

    given = await give(connection, box, stored)

    assert before is not None
    assert before.result is Result.REBOOT_REQUIRED
    assert after is None
    assert given.result is Result.APPLIED
    assert box.sets == [name]


async def test_two_at_once_do_not_get_in_each_others_way(connection: Any, pool: asyncpg.Pool[Any]) -> None:
    [name] = names(Protocol.V16, 1)
    box = Wallbox(protocol=Protocol.V16, values={name: "1"})
    stored = await kept(connection, Protocol.V16, {name: "5"})
    async with pool.acquire() as other:
        await service.SQL.lock_charge_point.fetchval(other, charge_point=ID)
        busy = await give(connection, box, stored)
        await service.SQL.unlock_charge_point.fetchval(other, charge_point=ID)

    assert (busy.result, box.calls) == (Result.BUSY, [])
    assert (await give(connection, box, stored)).result is Result.APPLIED


async def test_a_version_that_has_no_settings_in_it_is_left_alone(connection: Any) -> None:
    box = Wallbox(protocol=Protocol.V21, values={})
    stored = await kept(connection, Protocol.V16, {"Interval": "5"})

    assert (await give(connection, box, stored)).result is Result.NOTHING_FOR_IT
    assert box.calls == []


async def test_a_template_is_kept_by_version_and_the_same_again_is_none(connection: Any) -> None:
    first = await kept(connection, Protocol.V16, {"Interval": "5"})
    with pytest.raises(AlreadyDone):
        await kept(connection, Protocol.V16, {"Interval": "5"})
    second = await kept(connection, Protocol.V16, {"Interval": "6"})
    back = await kept(connection, Protocol.V16, {"Interval": "5"})

    assert [first.version, second.version, back.version] == [1, 2, 3]
    assert (await service.get(connection, "depot", version=2)).template == second.template
    with pytest.raises(asyncpg.PostgresError, match="permission denied"):
        await connection.execute("UPDATE setting_template SET actor = 'somebody else'")


async def test_drift_is_seen_once_the_setting_is_told_again(connection: Any) -> None:
    kept_, changed = names(Protocol.V16, 2)
    box = Wallbox(protocol=Protocol.V16, values={kept_: "1", changed: "1"})
    stored = await kept(connection, Protocol.V16, {kept_: "5", changed: "5"})
    await give(connection, box, stored)
    box.values[changed] = "9"
    [given] = await service.given_to(connection, [ID], None)
    unseen = await service.drifted(connection, given)
    device = DeviceSettings(
        charge_point=ID, protocol=box.protocol, send=box.send, books=lambda: nullcontext(connection)
    )
    await device.read([kept_, changed])

    seen = await service.drifted(connection, given)

    assert unseen == []
    assert [(each.name, each.value, each.drift) for each in seen] == [(changed, "9", Drift.CHANGED)]


async def test_what_a_template_takes_from_a_charge_point_is_what_others_can_be_set_to(connection: Any) -> None:
    told = {
        "OCPPCommCtrlr.HeartbeatInterval": ("300", "ReadWrite"),
        "OCPPCommCtrlr.FileTransferProtocols": ("HTTPS", "ReadOnly"),
        "SecurityCtrlr.BasicAuthPassword": ("(hidden)", "WriteOnly"),
        "SecurityCtrlr.Identity": ("CP-1", "ReadWrite"),
        "ClockCtrlr.DateTime": ("2026-01-01T00:00:00Z", "ReadWrite"),
        "ClockCtrlr.TimeSource": (None, "ReadWrite"),
    }
    for name, (value, mutability) in told.items():
        await connection.execute(
            "INSERT INTO device_setting VALUES ('CP-1', $1, $2, $3, now())", name, value, mutability
        )

    made = service.from_settings(Protocol.V21, await service.known_settings(connection, ID), None)

    assert made.for_protocol(Protocol.V201) == {"OCPPCommCtrlr.HeartbeatInterval": "300"}


async def test_the_metering_template_goes_in_the_same_way(connection: Any, pool: asyncpg.Pool[Any]) -> None:
    box = Wallbox(
        protocol=Protocol.V16, at_once=2, read_only=frozenset({"MeterValueSampleInterval"}),
        values={"MeterValueSampleInterval": "900", "TransactionMessageAttempts": "3", "WebSocketPingInterval": "60"},
    )  # fmt: skip
    await connection.execute("INSERT INTO device_setting VALUES ('CP-1', 'GetConfigurationMaxKeys', '2', NULL, now())")

    await apply_template(pool, ID, Protocol.V16, box.send)

    rows = await connection.fetch("SELECT name, wanted, status FROM template_result ORDER BY name")
    known = await service.known_settings(connection, ID)
    assert [size for _, size in box.calls] == [2, 2, 2]
    assert [tuple(row) for row in rows] == [
        ("MeterValueSampleInterval", "60", "Rejected"),
        ("TransactionMessageAttempts", "10", "Accepted"),
    ]
    assert known["metervaluesampleinterval"].value == "900"
    assert known["transactionmessageattempts"].value == "10"


async def test_who_does_not_say_whether_a_setting_can_be_changed_leaves_what_is_known(connection: Any) -> None:
    await remember(connection, ID, {"Reset": ("1", "ReadOnly"), "Beta": (None, None)})
    await remember(connection, ID, {"Beta": ("2", "ReadWrite"), "Reset": ("3", None), "Alpha": ("4", None)})
    await remember(connection, ID, {})
    rows = await connection.fetch("SELECT name, value, mutability FROM device_setting ORDER BY name")
    assert [tuple(row) for row in rows] == [
        ("Alpha", "4", None),
        ("Beta", "2", "ReadWrite"),
        ("Reset", "3", "ReadOnly"),
    ]
