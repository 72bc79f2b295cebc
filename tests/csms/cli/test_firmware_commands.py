"""Firmware and logs: asked for, played by simulated charge points of both versions, and shown with what went wrong."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_room import Installation, Said, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from simulators.charge_point.firmware import STALL

PROTOCOLS = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
URL = "https://files.example/pump-2.1.0.bin"
SECRET_URL = "sftp://depot:hunter2@files.example/pump-2.1.0.bin"
INBOX = "https://files.example/inbox/"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
PEM = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
PLAIN = ["Downloading", "Downloaded", "Installing", "Installed"]
WITH_IDS = ["Downloading", "Downloaded", "Installing", "InstallRebooting", "Installed"]
UPDATE = ("firmware", "update")
WAIT = ("--wait", "--patience", "50", "-o", "json")


def statuses(row: dict[str, Any]) -> list[str]:
    return [each["status"] for each in row["statuses"]]


@pytest.fixture
def maker(tmp_path: Path) -> Path:
    path = tmp_path / "maker.pem"
    path.write_text(PEM)
    return path


async def until_state(shop: Installation, name: str, state: str, *, noun: str = "firmware") -> dict[str, Any]:
    """The newest request of a charge point, once it stands there."""

    async def look() -> dict[str, Any] | None:
        newest = (await shop.data(noun, "status", name))[0]
        return newest if newest["state"] == state else None

    found: dict[str, Any] = await until(look)
    return found


@PROTOCOLS
async def test_an_update_is_followed_to_its_end(shop: Installation, protocol: str) -> None:
    name = f"FW-{protocol}"
    async with shop.simulated(name, protocol):
        said = await shop.csms(*UPDATE, name, "--url", SECRET_URL, *WAIT)
        [listed] = await shop.data("firmware", "status", name)
        shown = await shop.data("cp", "show", name)
        traced = await shop.trace(name, "UpdateFirmware")
        table = await shop.csms("firmware", "status", name)
    overview = [each for each in await shop.data("firmware", "status") if each["charge_point"] == name]

    wanted = PLAIN if protocol == "ocpp1.6" else WITH_IDS
    assert said.err == ""
    assert said.code == 0
    assert (said.json["outcome"], said.json["state"], said.json["failed"]) == ("Accepted", "done", None)
    assert statuses(said.json) == statuses(listed) == wanted
    instants = [each["at"] for each in listed["statuses"]]
    assert instants == sorted(instants)
    assert listed["asked_at"] <= instants[0]
    assert (listed["request"], listed["message"], listed["state"]) == (said.json["request"], "UpdateFirmware", "done")
    assert (listed["firmware_before"], shown["firmware"]) == ("1.0.0", "2.1.0")
    assert listed["url"] == "sftp://(hidden)@files.example/pump-2.1.0.bin"
    assert overview == [listed]
    assert table.out.splitlines()[0].split("\t")[:4] == ["request", "charge_point", "message", "state"]
    assert "hunter2" not in traced.out + table.out + json.dumps([said.json, listed])
    assert "hunter2" not in shop.log_path.read_text()
    async with shop.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM command c WHERE c::text LIKE '%hunter2%'") == 0
        assert await connection.fetchval("SELECT count(*) FROM frame WHERE body LIKE '%hunter2%'") == 0


@PROTOCOLS
async def test_signed_firmware_is_checked_before_it_is_installed(
    shop: Installation, protocol: str, maker: Path
) -> None:
    name = f"FW-SIGNED-{protocol}"
    signed = ("--url", URL, "--signing-certificate", maker, "--signature", "c2ln")
    async with shop.simulated(name, protocol) as station:
        done = await shop.csms(*UPDATE, name, *signed, *WAIT)
        station.transfers.faults.append("InvalidSignature")
        forged = await shop.csms(*UPDATE, name, *signed, *WAIT)
        station.transfers.faults.append("RevokedCertificate")
        revoked = await shop.csms(*UPDATE, name, *signed, *WAIT)
        station.transfers.faults.append("InvalidCertificate")
        invalid = await shop.csms(*UPDATE, name, *signed, "-o", "json")
        newest, *_ = await shop.data("firmware", "status", name)

    message = "SignedUpdateFirmware" if protocol == "ocpp1.6" else "UpdateFirmware"
    assert (done.code, statuses(done.json)) == (
        0, ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"],
    )  # fmt: skip
    assert (forged.code, json.loads(forged.err)["code"]) == (1, "transfer_failed")
    assert (json.loads(forged.out)["failed"], "yours" in json.loads(forged.err)["next"]) == ("InvalidSignature", True)
    assert (revoked.code, revoked.json["outcome"]) == (5, "RevokedCertificate")
    assert "manufacturer" in revoked.json["next"]
    assert (invalid.code, invalid.json["outcome"]) == (5, "InvalidCertificate")
    assert "manufacturer signed" in invalid.json["next"]
    assert (newest["message"], newest["state"], newest["failed"]) == (message, "refused", "InvalidCertificate")


@PROTOCOLS
async def test_a_failure_says_what_failed_and_whose_move_it_is(shop: Installation, protocol: str) -> None:
    name = f"FW-FAIL-{protocol}"
    async with shop.simulated(name, protocol) as station:
        station.transfers.faults += ["DownloadFailed"]
        tried_again = await shop.csms(*UPDATE, name, "--url", URL, "--retries", "1", *WAIT)
        station.transfers.faults += ["DownloadFailed", "DownloadFailed"]
        unreachable = await shop.csms(*UPDATE, name, "--url", URL, "--retries", "1", *WAIT)
        station.transfers.faults += ["InstallationFailed"]
        broken = await shop.csms(*UPDATE, name, "--url", URL, *WAIT)

    assert (tried_again.code, statuses(tried_again.json)[:3]) == (0, ["Downloading", "DownloadFailed", "Downloading"])
    for said, failed in ((unreachable, "DownloadFailed"), (broken, "InstallationFailed")):
        error = json.loads(said.err)
        assert (said.code, said.json["state"], said.json["failed"]) == (1, "failed", failed)
        assert (error["code"], failed in error["message"], bool(error["next"])) == ("transfer_failed", True, True)


@PROTOCOLS
async def test_a_newer_request_takes_the_place_of_an_open_one(shop: Installation, protocol: str) -> None:
    name = f"FW-NEWER-{protocol}"
    async with shop.simulated(name, protocol) as station:
        station.transfers.faults.append(STALL)
        waiting = asyncio.create_task(shop.csms(*UPDATE, name, "--url", URL, *WAIT))
        await until_state_or_later(shop, name)
        impatient = await shop.csms(*UPDATE, name, "--url", URL, "-o", "json")
        first = await waiting
        newer = await until_state(shop, name, "done")
        listed = await shop.data("firmware", "status", name)

    assert impatient.code == 0
    assert impatient.json["outcome"] == ("Accepted" if protocol == "ocpp1.6" else "AcceptedCanceled")
    assert (first.code, json.loads(first.err)["code"]) == (1, "superseded")
    assert newer["request"] == impatient.json["request"]
    assert [each["state"] for each in listed] == ["done", "superseded"]


async def until_state_or_later(shop: Installation, name: str) -> None:
    """Until the charge point has told the first status of what it was asked."""

    async def look() -> bool:
        listed = await shop.data("firmware", "status", name)
        return bool(listed) and bool(listed[0]["statuses"])

    await until(look)


async def test_what_takes_longer_than_somebody_waits_goes_on(shop: Installation) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    async with shop.simulated("FW-LATER", "ocpp2.0.1"):
        said = await shop.csms(
            *UPDATE, "FW-LATER", "--url", URL, "--retrieve-at", tomorrow, "--wait", "--patience", "1"
        )
        scheduled = await until_state(shop, "FW-LATER", "running")

    assert (said.code, said.error["code"]) == (124, "timeout")
    assert "csms firmware status FW-LATER" in said.error["next"]
    assert statuses(scheduled) == ["DownloadScheduled"]


async def test_a_local_controller_offers_firmware_and_takes_it_back(shop: Installation) -> None:
    async with shop.simulated("FW-LC", "ocpp2.0.1") as station:
        done = await shop.csms("firmware", "publish", "FW-LC", "--url", URL, "--checksum", MD5.upper(), *WAIT)
        gone = await shop.csms("firmware", "unpublish", "FW-LC", "--checksum", MD5, "-o", "json")
        nothing = await shop.csms("firmware", "unpublish", "FW-LC", "--checksum", MD5, "-o", "json")
        station.transfers.faults.append("InvalidChecksum")
        wrong = await shop.csms("firmware", "publish", "FW-LC", "--url", URL, "--checksum", MD5, *WAIT)
        station.transfers.faults.append("Rejected")
        refused = await shop.csms("firmware", "publish", "FW-LC", "--url", URL, "--checksum", MD5, "-o", "json")

    assert (done.code, statuses(done.json)) == (0, ["Downloading", "Downloaded", "ChecksumVerified", "Published"])
    assert done.json["statuses"][-1]["locations"] == ["http://local.example/pump-2.1.0.bin"]
    assert (gone.code, gone.json["outcome"]) == (0, "Unpublished")
    assert (nothing.code, nothing.json["outcome"], "yours" in nothing.json["next"]) == (5, "NoFirmware", True)
    assert (wrong.code, json.loads(wrong.out)["failed"]) == (1, "InvalidChecksum")
    assert (refused.code, refused.json["outcome"]) == (5, "Rejected")


@PROTOCOLS
async def test_a_log_is_followed_to_its_end(shop: Installation, protocol: str) -> None:
    name = f"LOG-{protocol}"
    window = ("--since", "2026-03-01", "--until", "2026-03-02")
    async with shop.simulated(name, protocol) as station:
        done = await shop.csms("log", "get", name, "--url", INBOX, *window, *WAIT)
        station.transfers.faults.append("UploadFailed" if protocol == "ocpp1.6" else "PermissionDenied")
        failed = await shop.csms("log", "get", name, "--url", INBOX, *WAIT)
        security = await shop.csms("log", "get", name, "--kind", "security", "--url", INBOX, *WAIT)
        listed = await shop.data("log", "status", name)

    assert (done.code, done.json["state"], statuses(done.json)) == (0, "done", ["Uploading", "Uploaded"])
    assert done.json["file"].startswith(name)
    assert (failed.code, json.loads(failed.out)["state"]) == (1, "failed")
    assert (security.code, security.json["state"]) == (0, "done")
    first = "GetDiagnostics" if protocol == "ocpp1.6" else "GetLog"
    assert [each["message"] for each in listed] == ["GetLog", first, first]


async def test_logs_are_asked_for_by_what_the_charge_point_has_shown_to_know(shop: Installation) -> None:
    async with shop.simulated("LOG-WAYS", "ocpp1.6", unknown=frozenset({"GetDiagnostics"})):
        found = [await shop.data("log", "get", "LOG-WAYS", "--url", INBOX) for _ in range(2)]
        listed = await shop.data("log", "status", "LOG-WAYS")
        await until_asked(shop, "LOG-WAYS", ["GetDiagnostics", "GetLog", "GetLog"])

    assert [each["outcome"] for each in found] == ["Accepted", "Accepted"]
    assert [each["message"] for each in listed] == ["GetLog", "GetLog"]


async def until_asked(shop: Installation, name: str, actions: list[str]) -> None:
    """Until the trace shows exactly these calls of ours, besides those of the metering template."""

    async def look() -> bool:
        traced = await shop.csms("cp", "trace", name, "-o", "jsonl")
        sent = [each for each in map(json.loads, traced.out.splitlines()) if each["direction"] == "out"]
        calls = [each["action"] for each in sent if each["frame"].startswith("[2")]
        return [each for each in calls if not each.endswith("Configuration")] == actions

    await until(look)


async def test_a_charge_point_that_knows_no_way_says_so(shop: Installation) -> None:
    nothing = frozenset({"GetDiagnostics", "GetLog", "SignedUpdateFirmware", "UpdateFirmware"})
    async with (
        shop.simulated("LOG-NONE", "ocpp1.6", unknown=nothing),
        shop.simulated("LOG-201", "ocpp2.0.1", unknown=nothing),
    ):
        answers = [
            await shop.csms(*command, name, "--url", URL, "-o", "json")
            for name in ("LOG-NONE", "LOG-201")
            for command in (UPDATE, ("log", "get"))
        ]
        publish = await shop.csms("firmware", "publish", "LOG-NONE", "--url", URL, "--checksum", MD5, "-o", "json")
        [listed] = await shop.data("log", "status", "LOG-NONE")

    assert [(each.code, each.json["outcome"]) for each in (*answers, publish)] == [(5, "not_supported")] * 5
    assert all("manufacturer" in each.json["next"] for each in answers)
    assert (listed["state"], listed["failed"]) == ("refused", "not_supported")


async def test_no_diagnostics_for_that_time_is_an_outcome(shop: Installation) -> None:
    async with shop.simulated("LOG-EMPTY", "ocpp1.6") as station:
        station.transfers.faults.append("NoDiagnostics")
        said = await shop.csms("log", "get", "LOG-EMPTY", "--url", INBOX, "-o", "json")

    assert (said.code, said.json["outcome"]) == (5, "NoDiagnostics")
    assert "--since" in said.json["next"]


async def test_what_is_announced_not_to_work_is_not_asked(shop: Installation) -> None:
    async with shop.simulated("FW-FEATURES", "ocpp1.6"), shop.simulated("FW-SCHEMES", "ocpp2.0.1"):
        async with shop.connection() as connection:
            announced = [
                ("FW-FEATURES", "SupportedFeatureProfiles", "Core,RemoteTrigger"),
                ("FW-SCHEMES", "OCPPCommCtrlr.FileTransferProtocols", "FTP,HTTPS"),
            ]
            await connection.executemany("INSERT INTO device_setting VALUES ($1, $2, $3, 'ReadOnly', now())", announced)
        excluded = await shop.csms(*UPDATE, "FW-FEATURES", "--url", URL)
        log = await shop.data("log", "get", "FW-FEATURES", "--url", INBOX)
        scheme = await shop.csms(*UPDATE, "FW-SCHEMES", "--url", SECRET_URL)
        [listed] = await shop.data("log", "status", "FW-FEATURES")

    assert (excluded.code, scheme.code) == (5, 5)
    assert "SupportedFeatureProfiles" in excluded.error["message"]
    assert (log["outcome"], listed["message"]) == ("Accepted", "GetLog")
    assert "ftp, https" in scheme.error["message"]
    assert "hunter2" not in scheme.err


async def test_nobody_is_waited_for_who_is_not_there(shop: Installation) -> None:
    await shop.charge_point("FW-OFF")
    said = [
        await shop.csms(*UPDATE, "FW-OFF", "--url", URL, "--wait"),
        await shop.csms("log", "get", "FW-OFF", "--url", INBOX),
        await shop.csms("firmware", "publish", "FW-OFF", "--url", URL, "--checksum", MD5),
        await shop.csms("firmware", "unpublish", "FW-OFF", "--checksum", MD5),
    ]
    unknown = await shop.csms("firmware", "status", "FW-NOBODY")

    assert [(each.code, each.error["code"]) for each in said] == [(1, "offline")] * 4
    assert await shop.data("firmware", "status", "FW-OFF") == []
    assert unknown.code == 3


async def test_mistakes_are_told_before_anything_is_asked(shop: Installation, tmp_path: Path, maker: Path) -> None:
    await shop.charge_point("FW-WRONG")
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\nTUlJ\n-----END PRIVATE KEY-----\n")
    url = ("--url", URL)
    wrong: list[tuple[object, ...]] = [
        (*UPDATE, "FW-WRONG", "--url", "file://depot:hunter2@files.example/x"),
        (*UPDATE, "FW-WRONG", "--url", "ftp://depot:hun/ter2@files.example/x"),
        (*UPDATE, "FW-WRONG", *url, "--signature", "c2ln"),
        (*UPDATE, "FW-WRONG", *url, "--signing-certificate", maker),
        (*UPDATE, "FW-WRONG", *url, "--signing-certificate", key, "--signature", "c2ln"),
        (*UPDATE, "FW-WRONG", *url, "--signing-certificate", maker, "--signature", "no base64!"),
        (*UPDATE, "FW-WRONG", *url, "--install-at", "2026-03-01", "--retrieve-at", "2026-03-02"),
        ("firmware", "publish", "FW-WRONG", *url, "--checksum", "abc"),
        ("log", "get", "FW-WRONG", *url, "--since", "2026-03-02", "--until", "2026-03-01"),
    ]
    answers = [await shop.csms(*each) for each in wrong]

    assert [(each.code, each.error["code"]) for each in answers] == [(2, "usage")] * len(wrong)
    assert not any("hunter2" in each.err or "hun/ter2" in each.err for each in answers)


async def test_plain_16_has_no_time_of_installation(shop: Installation) -> None:
    async with shop.simulated("FW-TIME", "ocpp1.6"):
        said = await shop.csms(*UPDATE, "FW-TIME", "--url", URL, "--install-at", datetime.now(UTC) + timedelta(days=1))

    assert (said.code, "OCPP 1.6" in said.error["message"]) == (2, True)


@contextlib.asynccontextmanager
async def speaking(shop: Installation, name: str, *, answers: bool) -> AsyncIterator[ClientConnection]:
    """A 1.6 charge point that says what the test has it say, and answers no call, or all with Accepted."""
    password = await shop.charge_point(name, "--no-template")
    login = base64.b64encode(f"{name}:{password}".encode()).decode()
    async with connect(
        f"{shop.url}/{name}",
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers={"Authorization": f"Basic {login}"},
    ) as socket:

        async def listen() -> None:
            async for message in socket:
                kind, id_, *_ = json.loads(message)
                if kind == 2 and answers:
                    await socket.send(json.dumps([3, id_, {"status": "Accepted"}]))

        listening = asyncio.create_task(listen())
        try:
            yield socket
        finally:
            listening.cancel()


async def tell(socket: ClientConnection, action: str, **payload: Any) -> None:
    await socket.send(json.dumps([2, action, action, payload]))


async def test_what_nobody_asked_for_is_shown_too(shop: Installation) -> None:
    async with speaking(shop, "FW-LOOSE", answers=False) as socket:
        await tell(socket, "FirmwareStatusNotification", status="Downloading")
        await tell(socket, "SignedFirmwareStatusNotification", status="Installed", requestId=4711)
        await tell(socket, "DiagnosticsStatusNotification", status="Uploading")

        async def look() -> bool:
            rows = await shop.data("firmware", "status", "FW-LOOSE")
            return len(rows) == 1 and len(rows[0]["statuses"]) == 2 and await shop.data("log", "status", "FW-LOOSE")

        await until(look)
        [loose] = await shop.data("firmware", "status", "FW-LOOSE")
        [log] = await shop.data("log", "status", "FW-LOOSE")

    assert (loose["request"], loose["state"]) == (None, "unsolicited")
    assert [(each["status"], each["request"]) for each in loose["statuses"]] == [
        ("Downloading", None),
        ("Installed", 4711),
    ]
    assert (log["state"], statuses(log)) == ("unsolicited", ["Uploading"])


async def test_a_status_is_committed_before_it_is_answered(shop: Installation) -> None:
    password = await shop.charge_point("FW-DURABLE", "--no-template")
    login = base64.b64encode(f"FW-DURABLE:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    query = "SELECT count(*) FROM transfer_status WHERE charge_point = 'FW-DURABLE'"
    told = {"status": "Published", "location": ["ftp://u:hunter2@local.example/x"], "requestId": 5}
    async with (
        shop.connection() as connection,
        connect(
            f"{shop.url}/FW-DURABLE", subprotocols=[Subprotocol("ocpp2.0.1")], additional_headers=headers
        ) as socket,
    ):
        counted = []
        for action, payload in {
            "FirmwareStatusNotification": {"status": "Idle"},
            "LogStatusNotification": {"status": "Uploading", "requestId": 5},
            "PublishFirmwareStatusNotification": told,
        }.items():
            await tell(socket, action, **payload)
            assert json.loads(await socket.recv()) == [3, action, {}]
            counted.append(await connection.fetchval(query))
    [publication] = [
        each
        for row in await shop.data("firmware", "status", "FW-DURABLE")
        for each in row["statuses"]
        if each["locations"]
    ]

    assert counted == [1, 2, 3]
    assert publication["locations"] == ["ftp://(hidden)@local.example/x"]


async def test_an_answer_that_was_lost_leaves_the_request_open(shop: Installation) -> None:
    async with speaking(shop, "FW-DEAF", answers=False) as socket:
        said = await shop.csms(*UPDATE, "FW-DEAF", "--url", URL, "--timeout", "1")
        [unanswered] = await shop.data("firmware", "status", "FW-DEAF")
        await tell(socket, "FirmwareStatusNotification", status="Downloading")
        running = await until_state(shop, "FW-DEAF", "running")

    assert (said.code, said.error["code"]) == (124, "timeout")
    assert unanswered["state"] == "unanswered"
    assert (running["request"], statuses(running)) == (unanswered["request"], ["Downloading"])


async def test_words_that_only_the_white_paper_has_are_triggered_by_its_message(shop: Installation) -> None:
    async def trigger(name: str, message: str) -> Said:
        return await shop.csms("cp", "trigger", name, message, "-o", "json")

    async with shop.simulated("FW-TRIGGER", "ocpp1.6"), shop.simulated("FW-TRIGGER-201", "ocpp2.0.1"):
        log = await trigger("FW-TRIGGER", "LogStatusNotification")
        plain = await trigger("FW-TRIGGER", "FirmwareStatusNotification")
        certificate = await trigger("FW-TRIGGER", "SignChargePointCertificate")
        other = await trigger("FW-TRIGGER-201", "SignChargePointCertificate")
        calls = ["ExtendedTriggerMessage", "TriggerMessage", "ExtendedTriggerMessage"]
        await until_asked(shop, "FW-TRIGGER", calls)
        told = await until_told(shop, "FW-TRIGGER")

    assert [each.json["outcome"] for each in (log, plain)] == ["Accepted", "Accepted"]
    assert certificate.json["outcome"] in {"Accepted", "NotImplemented"}
    assert (other.code, other.error["code"]) == (2, "usage")
    assert statuses(told) == ["Idle"]


async def until_told(shop: Installation, name: str) -> dict[str, Any]:
    async def look() -> Any:
        return await shop.data("log", "status", name)

    [found] = await until(look)
    return dict(found)


async def test_statuses_are_counted(shop: Installation) -> None:
    async with shop.simulated("FW-COUNT", "ocpp1.6"):
        await shop.csms("log", "get", "FW-COUNT", "--url", INBOX, *WAIT)
    counted = await asyncio.to_thread(metrics_of, shop)

    assert 'csms_transfer_statuses_total{kind="log",status="Uploaded"}' in counted


def metrics_of(shop: Installation) -> str:
    with urllib.request.urlopen(shop.ready["http_url"] + "/metrics", timeout=10) as answer:  # noqa: S310 - ours
        return str(answer.read().decode())
