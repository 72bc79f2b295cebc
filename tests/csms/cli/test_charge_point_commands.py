"""Commands to charge points: through the server, to simulated charge points of both versions."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from cli_room import TOKEN, Installation, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from csms.charge_points import service as charge_points
from csms.charge_points.commands_cli import TRIGGERS
from csms.protocol.translator import CommandInvalid, translator
from csms.protocol.vocabulary import Protocol, TriggerMessage

PROTOCOLS = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
INTERVAL = {"ocpp1.6": "MeterValueSampleInterval", "ocpp2.0.1": "SampledDataCtrlr.TxUpdatedInterval"}
LEDS = {"ocpp1.6": "NumberOfConnectors", "ocpp2.0.1": "DeviceDataCtrlr.ItemsPerMessage"}

COST_VENDOR = "org.openchargealliance.costmsg"


@PROTOCOLS
async def test_a_session_is_started_and_stopped_from_afar(shop: Installation, protocol: str) -> None:
    name = f"CMD-{protocol}"
    async with shop.simulated(name, protocol) as station:
        started = await shop.csms("cp", "start", name, "--token", TOKEN, "--evse", "2", "--wait", "-o", "json")
        busy = await shop.csms("cp", "start", name, "--token", TOKEN, "--evse", "2", "-o", "json")
        session = started.json["session"]
        [running] = await shop.sessions("--cp", name, "--state", "open")
        other = await shop.csms("cp", "stop", "CMD-NONE", "--session", session)
        stopped = await shop.csms("cp", "stop", name, "--session", session, "--wait", "-o", "json")
        late = await shop.csms("cp", "stop", name, "--session", session, "-o", "json")

    assert (started.code, started.json) == (0, {"outcome": "Accepted", "session": running["id"]})
    assert (running["evse"], running["token"]) == (2, TOKEN)
    assert (busy.code, busy.json["outcome"], busy.json["session"]) == (5, "Rejected", None)
    assert other.code == 3
    assert (stopped.code, stopped.json) == (0, {"outcome": "Accepted", "session": session})
    assert (late.code, late.json["outcome"]) == (5, "Rejected")
    assert station.truth.sessions[0].stop_reason == "Remote"


async def test_a_session_of_another_charge_point_is_not_stopped(shop: Installation) -> None:
    async with shop.simulated("CMD-A", "ocpp1.6"), shop.simulated("CMD-B", "ocpp1.6"):
        started = await shop.data("cp", "start", "CMD-A", "--token", TOKEN, "--wait")
        crossed = await shop.csms("cp", "stop", "CMD-B", "--session", started["session"])

    assert (crossed.code, crossed.error["code"]) == (3, "not_found")


@PROTOCOLS
async def test_a_reset_reboots(shop: Installation, protocol: str) -> None:
    name = f"CMD-RESET-{protocol}"
    async with shop.simulated(name, protocol) as station:
        said = await shop.csms("cp", "reset", name, "--hard", "-o", "json")

        async def rebooted() -> bool:
            return [each.what for each in station.truth.log].count("boot") == 2

        await until(rebooted)

    assert (said.code, said.json) == (0, {"outcome": "Accepted"})


@PROTOCOLS
async def test_what_a_charge_point_is_asked_it_does(shop: Installation, protocol: str) -> None:
    name = f"CMD-ASK-{protocol}"
    async with shop.simulated(name, protocol):
        unlocked = await shop.csms("cp", "unlock", name, "--evse", "2", "-o", "json")
        nothing = await shop.csms("cp", "unlock", name, "--evse", "9", "-o", "json")
        closed = await shop.csms("cp", "availability", name, "inoperative", "--evse", "2", "-o", "json")
        [out_of_order] = await until_status(shop, name, "Unavailable")
        opened = await shop.csms("cp", "availability", name, "operative", "-o", "json")
        await until_status(shop, name, "Available", count=2)
        triggered = await shop.csms("cp", "trigger", name, "StatusNotification", "--evse", "1", "-o", "json")

    assert (unlocked.code, unlocked.json) == (0, {"outcome": "Unlocked"})
    assert (nothing.code, nothing.json["outcome"]) in [(5, "NotSupported"), (5, "UnknownConnector")]
    assert (closed.code, closed.json, out_of_order) == (0, {"outcome": "Accepted"}, 2)
    assert (opened.code, opened.json) == (0, {"outcome": "Accepted"})
    assert (triggered.code, triggered.json) == (0, {"outcome": "Accepted"})


async def until_status(shop: Installation, name: str, status: str, *, count: int = 1) -> list[int]:
    """The EVSEs that report a status, once there are so many."""

    async def look() -> bool:
        [row] = await charge_points.list_charge_points(connection, identity=name)
        return [each["status"] for each in row["evses"]].count(status) >= count

    async with shop.connection() as connection:
        await until(look)
    return [each["evse"] for each in (await shop.data("cp", "show", name))["evses"] if each["status"] == status]


async def test_what_only_a_vendor_knows_is_sent_and_its_answer_shown(shop: Installation) -> None:
    cost = '{"transactionId": 1, "cost": 2.50}'
    async with shop.simulated("CMD-DATA-16", "ocpp1.6"), shop.simulated("CMD-DATA-201", "ocpp2.0.1"):
        known = await shop.csms(
            "cp", "data-transfer", "CMD-DATA-16", COST_VENDOR, "--message", "FinalCost", "--data", cost, "-o", "json"
        )
        unknown = await shop.csms(
            "cp", "data-transfer", "CMD-DATA-201", "com.example", "--data", "just text", "-o", "json"
        )

    assert (known.code, known.json) == (0, {"outcome": "Accepted"})
    assert (unknown.code, unknown.json) == (5, {"outcome": "UnknownVendorId"})


@PROTOCOLS
async def test_settings_are_read_and_changed(shop: Installation, protocol: str) -> None:
    name, key = f"CMD-CONF-{protocol}", INTERVAL[protocol]
    async with shop.simulated(name, protocol):
        changed = await shop.csms("cp", "config", "set", name, key, "90", "-o", "json")
        read = await shop.csms("cp", "config", "get", name, key, "-o", "json")
        unknown = await shop.csms("cp", "config", "get", name, key, "NoSuchCtrlr.NoSuchKey", "-o", "json")
        refused = await shop.csms("cp", "config", "set", name, LEDS[protocol], "9", "-o", "json")

        known = (await shop.data("cp", "show", name))["settings"]

    assert {each["name"]: each["value"] for each in known}[key] == "90"
    assert (changed.code, changed.json) == (0, {"outcome": "Accepted"})
    assert (read.code, read.json) == (0, [{"name": key, "value": "90", "mutability": None}])
    assert [each["name"] for each in unknown.json] == [key]
    assert "NoSuchCtrlr.NoSuchKey" in unknown.err
    assert refused.code == 5
    assert refused.json["outcome"] in {"Rejected", "NotSupported", "UnknownComponent", "UnknownVariable"}


async def test_credentials_and_secrets_are_no_settings_as_others_and_a_socket_is_closed_by_command(
    shop: Installation,
) -> None:
    async with shop.simulated("CMD-SECRET", "ocpp1.6"):
        own = [
            await shop.csms("cp", "config", "set", "CMD-SECRET", name, value)
            for name, value in (("AuthorizationKey", "0" * 40), ("SecurityCtrlr.BasicAuthPassword", "-"))
        ]
        open_secret = await shop.csms("cp", "config", "set", "CMD-SECRET", "VendorWiFiPassword", "hunter22")
        by_stdin = await shop.csms("cp", "config", "set", "CMD-SECRET", "VendorWiFiPassword", "-", stdin=b"hunter22\n")
        closed = await shop.data("cp", "disconnect", "CMD-SECRET", "--reason", "moved away")

    assert [(each.code, "csms cp password rotate" in each.err) for each in own] == [(5, True)] * 2
    assert (open_secret.code, "stdin" in open_secret.err, "hunter22" in open_secret.err) == (2, True, False)
    assert by_stdin.code in {0, 5}, "it went out; a charge point may know no such setting"
    assert closed == {"outcome": "Accepted"}
    assert '"socket_closed_by_operator"' in shop.log_path.read_text()
    assert "hunter22" not in shop.log_path.read_text()


async def test_all_settings_are_read_where_none_is_named(shop: Installation) -> None:
    async with shop.simulated("CMD-CONF-ALL", "ocpp1.6"):
        read = await shop.data("cp", "config", "get", "CMD-CONF-ALL")

    assert {"NumberOfConnectors", "MeterValueSampleInterval"} <= {each["name"] for each in read}
    assert [each["mutability"] for each in read if each["name"] == "NumberOfConnectors"] == ["ReadOnly"]


async def test_the_full_report_of_a_201_charge_point_is_put_together_from_its_parts(shop: Installation) -> None:
    async with shop.simulated("CMD-REPORT", "ocpp2.0.1", evses=1) as station:
        station.dialect.settings.change("SecurityCtrlr.BasicAuthPassword", "correct-horse-battery-staple")
        read = await shop.data("cp", "config", "get", "CMD-REPORT")
        table = await shop.csms("cp", "config", "get", "CMD-REPORT")
        [one] = await shop.data("cp", "config", "get", "CMD-REPORT", "EVSE@1.Available")

    items = len(station.dialect.settings.entries)
    assert items > 4, "the simulated charge point reports four items a part"
    assert len({each["name"] for each in read}) == len(read) == items
    assert {
        "name": "SampledDataCtrlr.TxUpdatedInterval", "component": "SampledDataCtrlr", "variable": "TxUpdatedInterval",
        "value": "60", "mutability": "ReadWrite", "data_type": "integer", "is_monitored": True,
    } in [{**each, "value": "60"} for each in read]  # fmt: skip
    assert [each for each in read if each["mutability"] == "ReadOnly" and each["name"] == "EVSE@1.Available"]
    assert one["value"] == "true"
    assert "correct-horse" not in json.dumps(read)
    assert table.out.splitlines()[0] == "component\tvariable\tvalue\tmutability"
    assert len(table.out.splitlines()) == items + 1


def part(request: int, seq_no: int, *, more: bool, name: str) -> str:
    """A NotifyReport with one variable."""
    data = {"component": {"name": "ExampleCtrlr"}, "variable": {"name": name}, "variableAttribute": [{"value": "1"}]}
    said = {
        "requestId": request, "generatedAt": "2026-03-01T12:00:00Z", "seqNo": seq_no, "tbc": more, "reportData": [data]
    }  # fmt: skip
    return json.dumps([2, f"report-{request}-{seq_no}", "NotifyReport", said])


@contextlib.asynccontextmanager
async def reporting(shop: Installation, name: str, parts: list[tuple[int, bool, str]]) -> AsyncIterator[None]:
    """A 2.0.1 charge point that answers GetBaseReport and then sends these (seqNo, tbc, variable); none: it refuses."""
    password = await shop.charge_point(name, "--no-template")
    login = base64.b64encode(f"{name}:{password}".encode()).decode()
    async with connect(
        f"{shop.url}/{name}",
        subprotocols=[Subprotocol("ocpp2.0.1")],
        additional_headers={"Authorization": f"Basic {login}"},
    ) as socket:
        boot = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "Fictitious Chargers"}}
        await socket.send(json.dumps([2, "boot", "BootNotification", boot]))

        async def listen() -> None:
            async for message in socket:
                kind, id_, *rest = json.loads(message)
                if kind != 2:
                    continue
                await socket.send(json.dumps([3, id_, {"status": "Accepted" if parts else "NotSupported"}]))
                for seq_no, more, variable in parts:
                    await socket.send(part(rest[1]["requestId"], seq_no, more=more, name=variable))
                    await socket.send(part(1, seq_no + 7, more=False, name="OfAnotherReport"))

        listening = asyncio.create_task(listen())
        try:
            yield
        finally:
            listening.cancel()


async def test_a_report_that_breaks_off_is_shown_as_far_as_it_came(shop: Installation) -> None:
    async with reporting(shop, "CMD-PARTS", [(0, True, "First"), (2, True, "Third")]):
        said = await shop.csms("cp", "config", "get", "CMD-PARTS", "--timeout", "2", "-o", "json")

    error = json.loads(said.err)
    assert said.code == 8
    assert [each["name"] for each in said.json] == ["ExampleCtrlr.First", "ExampleCtrlr.Third"]
    assert error["code"] == "partial"
    assert "2 part(s)" in error["message"]
    assert "without 1" in error["message"]


async def test_a_charge_point_that_gives_no_report_is_an_outcome(shop: Installation) -> None:
    async with reporting(shop, "CMD-NO-REPORT", []):
        said = await shop.csms("cp", "config", "get", "CMD-NO-REPORT", "-o", "json")

    assert (said.code, said.json) == (5, [])
    assert "NotSupported" in said.err


@pytest.mark.parametrize("protocol", list(Protocol))
def test_what_can_be_triggered_is_what_the_schema_lists(protocol: Protocol) -> None:
    for word in TRIGGERS[protocol]:
        assert translator(protocol).command(TriggerMessage(message=word)) is not None
    others = {word for words in TRIGGERS.values() for word in words} - set(TRIGGERS[protocol])
    assert others
    for word in others:
        with pytest.raises(CommandInvalid):
            translator(protocol).command(TriggerMessage(message=word))


async def test_a_message_that_cannot_be_triggered_is_a_mistake_that_lists_those_that_can(shop: Installation) -> None:
    nowhere = await shop.csms("cp", "trigger", "CMD-NOBODY", "NoSuchMessage")
    async with shop.simulated("CMD-TRIGGER", "ocpp1.6"):
        of_other = await shop.csms("cp", "trigger", "CMD-TRIGGER", "TransactionEvent")

    assert [(each.code, each.error["code"]) for each in (nowhere, of_other)] == [(2, "usage")] * 2
    assert "LogStatusNotification" in nowhere.error["message"]
    assert "StatusNotification" in of_other.error["message"]
    assert "SignV2GCertificate" not in of_other.error["message"]


async def test_a_charge_point_that_is_not_there_is_not_waited_for(shop: Installation) -> None:
    await shop.charge_point("CMD-OFF")
    said = await shop.csms("cp", "start", "CMD-OFF", "--token", TOKEN, "--wait", "--timeout", "3600")

    assert (said.code, said.out) == (1, "")
    assert (said.error["code"], said.error["message"]) == ("offline", "CMD-OFF is offline")


@contextlib.asynccontextmanager
async def deaf(shop: Installation, name: str, *, answers: bool) -> AsyncIterator[ClientConnection]:
    """A charge point that does nothing that it is asked for, whether it `answers` Accepted or not at all."""
    password = await shop.charge_point(name, "--no-template")
    login = base64.b64encode(f"{name}:{password}".encode()).decode()
    async with connect(
        f"{shop.url}/{name}",
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers={"Authorization": f"Basic {login}"},
    ) as socket:

        async def listen() -> None:
            async for message in socket:
                _, id_, *_ = json.loads(message)
                if answers:
                    await socket.send(json.dumps([3, id_, {"status": "Accepted"}]))

        listening = asyncio.create_task(listen())
        try:
            yield socket
        finally:
            listening.cancel()


async def test_a_charge_point_that_does_not_answer_is_waited_for_so_long(shop: Installation) -> None:
    async with deaf(shop, "CMD-DEAF", answers=False):
        said = await shop.csms("cp", "reset", "CMD-DEAF", "--timeout", "1")

    assert (said.code, said.out, said.error["code"]) == (124, "", "timeout")


async def test_a_charge_point_that_only_promises_is_waited_for_so_long(shop: Installation) -> None:
    async with deaf(shop, "CMD-LAZY", answers=True):
        promised = await shop.csms("cp", "start", "CMD-LAZY", "--token", TOKEN, "-o", "json")
        waited = await shop.csms("cp", "start", "CMD-LAZY", "--token", TOKEN, "--wait", "--timeout", "1")

    assert (promised.code, promised.json) == (0, {"outcome": "Accepted", "session": None})
    assert (waited.code, waited.out, waited.error["code"]) == (124, "", "timeout")
    assert "no session" in waited.error["message"]


async def test_what_the_version_cannot_say_is_a_mistake_of_the_caller(shop: Installation) -> None:
    wrong = [
        ("trigger", "CMD-WRONG", "NoSuchMessage"),
        ("start", "CMD-WRONG", "--token", "x" * 100),
        ("config", "set", "CMD-WRONG", "k" * 60, "1"),
    ]
    async with shop.simulated("CMD-WRONG", "ocpp1.6"):
        answers = [await shop.csms("cp", *arguments) for arguments in wrong]

    assert [(each.code, each.out) for each in answers] == [(2, "")] * 3, answers
    assert all(each.error["message"] for each in answers)
