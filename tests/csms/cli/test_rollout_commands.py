"""Firmware to a fleet and logs from it: real files over real HTTPS, between `csms serve` and simulated charge points."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cli_room import QUICK, TOKEN, Installation, until
from cli_room import serving as serving_data
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from billing import AlreadyDone
from csms.charge_points import service as charge_points
from csms.charge_points.service import Choices
from csms.files import service as files
from csms.firmware import images
from csms.protocol.vocabulary import Protocol
from csms.rollouts import service
from csms.rollouts.plan import Plan, Share, waves
from csms.rollouts.rollout import Kind
from csms.rollouts.service import Choice, Chosen
from simulators.charge_point import Build, Credentials, ModelClock, SimulatedChargePoint
from simulators.charge_point.firmware import INTERRUPTED, log_content
from tests.conftest import directory_for_everybody

PROTOCOLS = ["ocpp1.6", "ocpp2.0.1"]
CONTENT = random.Random(7).randbytes(150_000)
PATIENT = ("--retry-wait", "0", "--transfer-interval", "0", "--proof", "1")
FAST = {"silence_s": 20, "retry_wait_s": 0, "transfer_interval_s": 0, "proof_s": 1, "offline_s": 1}


@dataclass(frozen=True, slots=True)
class Depot:
    """An installation that hands out files, and who signs its certificates."""

    shop: Installation
    trust: Path

    async def image(self, version: str, *, model: str | None = None) -> int:
        """Firmware, without a process of its own for the command."""
        async with self.shop.connection() as connection:
            added = await images.add(
                connection, io.BytesIO(CONTENT), name=f"pump-{version}.bin", version=version, vendor=None, model=model,
                signature=None, certificate=None, actor="tester",
            )  # fmt: skip
        return int(added["id"])

    async def charge_point(self, name: str, protocol: str) -> str:
        key = charge_points.load_password_key(self.shop.data_dir)
        choices = Choices(site="harbour", protocol=Protocol(protocol), template=False)
        async with self.shop.connection() as connection:
            _, password = await charge_points.create(connection, name, choices, key=key)
        assert password is not None
        return password

    @contextlib.asynccontextmanager
    async def fleet(self, *names: str, **build: Any) -> AsyncIterator[dict[str, SimulatedChargePoint]]:
        """Simulated charge points that have booted, in both versions by turns."""
        async with contextlib.AsyncExitStack() as stack:
            fleet = {}
            for number, name in enumerate(names):
                protocol = PROTOCOLS[number % 2]
                password = await self.charge_point(name, protocol)
                made = Build(protocol=protocol, reconnect=QUICK, boot_wait_max_s=30.0, trust=self.trust, **build)
                credentials = Credentials(url=self.shop.url, identity=name, password=password)
                station = SimulatedChargePoint(credentials, ModelClock(datetime.now(UTC)), made)
                fleet[name] = await stack.enter_async_context(station)
                await station.boot()
            yield fleet

    async def rollout(self, image: int, *names: str, **given: Any) -> dict[str, Any]:
        plan = Plan(**{**FAST, **given})
        async with self.shop.connection() as connection:
            chosen = await service.choose(connection, Choice(named=names), plan, image=image)
            made = await service.create(connection, chosen, plan, image=image, actor="tester")
            return await service.get(connection, Kind.FIRMWARE, made)

    async def standings(self, rollout: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
        async with self.shop.connection() as connection:
            found = await service.members_of(connection, rollout["id"])
        return {each["charge_point"]: (each["state"], each["reason"]) for each in found}

    async def until_it(self, rollout: dict[str, Any], state: str) -> None:
        """Look often without a process each time."""
        await self._until("SELECT state = $2 FROM rollout WHERE id = $1", rollout["id"], state)

    async def until_member(self, rollout: dict[str, Any], name: str, state: str, *, reason: str | None = None) -> None:
        await self._until(
            """
            SELECT state = $3 AND ($4::text IS NULL OR reason = $4)
              FROM rollout_member WHERE rollout = $1 AND charge_point = $2
            """,
            rollout["id"], name, state, reason,
        )  # fmt: skip

    async def until_offline(self, name: str) -> None:
        await self._until("SELECT count(*) = 0 FROM socket WHERE charge_point = $1 AND closed_at IS NULL", name)

    async def _until(self, query: str, *given: object) -> None:
        async with self.shop.connection() as connection:
            await until(lambda: connection.fetchval(query, *given))

    async def kept(self) -> str:
        """What is kept of traffic, commands and requests."""
        async with self.shop.connection() as connection:
            tables = ("frame", "command", "transfer_request", "transfer_status", "rollout_event", "file_grant")
            return "\n".join([str(row) for table in tables for row in await connection.fetch(f"SELECT * FROM {table}")])


@pytest.fixture(scope="module")
def depot() -> Iterator[Depot]:
    for home in directory_for_everybody():
        authority = trustme.CA()
        leaf = authority.issue_cert("localhost", "127.0.0.1")
        leaf.cert_chain_pems[0].write_to_path(home / "files.pem")
        leaf.private_key_pem.write_to_path(home / "files.key")
        authority.cert_pem.write_to_path(home / "ca.pem")
        given = {
            "CSMS_FILES_PORT": "0", "CSMS_FILES_HOST": "127.0.0.1", "CSMS_FILES_CERT": str(home / "files.pem"),
            "CSMS_FILES_KEY": str(home / "files.key"), "CSMS_FILES_UPLOAD_BYTES_MAX": "100000",
        }  # fmt: skip
        with serving_data(home / "data", **given) as shop:
            asyncio.run(shop.furnish())
            yield Depot(shop, home / "ca.pem")


async def test_firmware_goes_to_a_fleet_and_arrives_byte_by_byte(depot: Depot, tmp_path: Path) -> None:
    shop, names = depot.shop, ("R1-A", "R1-B")
    path = tmp_path / "pump-3.1.0.bin"
    path.write_bytes(CONTENT)
    image = (await shop.data("firmware", "add", path, "--version", "3.1.0"))["id"]
    create = ("firmware", "rollout", "create", "--image", image, "--cp")
    async with depot.fleet(*names) as fleet:
        fleet["R1-A"].transfers.faults.append(INTERRUPTED)
        planned = await shop.csms(*create, "R1-A", "--dry-run")
        done = await shop.csms(*create, "R1-A", "--cp", "R1-B", "--wait", *PATIENT, "-o", "json")
        story = await shop.data("firmware", "rollout", "show", done.json["id"], "R1-A")
        await shop.trace("R1-A", "/files/(hidden)/pump-3.1.0.bin")
        kept = await depot.kept()
        again = await depot.rollout(image, *names)
        await depot.until_it(again, "done")
    listed = (await shop.data("firmware", "rollout", "list"))[1]
    offered = [each for each in await shop.data("firmware", "list") if each["id"] == image]
    shown = await shop.data("file", "show", offered[0]["file"])

    assert (planned.code, planned.out.splitlines()[1:]) == (0, ["R1-A\t1"])
    assert done.code == 0, done.err
    assert (listed["id"], listed["state"], listed["done"], listed["version"]) == (done.json["id"], "done", 2, "3.1.0")
    for station in fleet.values():
        assert bytes(station.transfers.downloads[0].content) == CONTENT
        assert station.transfers.version == "3.1.0"
        assert station.transfers.downloads[0].url.split("/")[4] not in kept + shop.log_path.read_text()
    assert fleet["R1-A"].transfers.downloads[0].tries[1] >= 20_000
    assert (story["state"], story["firmware"], story["reason"]) == ("done", "3.1.0", "it has booted with 3.1.0")
    steps = [each["step"] for each in story["steps"]]
    assert steps[0] == "asked"
    assert {"accepted", "told", "transferred", "done"} <= set(steps)
    assert [each["at"] for each in story["steps"]] == sorted(each["at"] for each in story["steps"])
    assert {"Downloading", "DownloadFailed", "Downloaded", "Installing"} <= {each["reason"] for each in story["steps"]}
    assert (shown["sha256"], shown["fetched_by"]) == (hashlib.sha256(CONTENT).hexdigest(), 2)
    assert await depot.standings(again) == dict.fromkeys(names, ("skipped", "it runs 3.1.0 already"))


async def test_signed_firmware_is_checked_by_the_charge_point(depot: Depot, tmp_path: Path) -> None:
    maker = trustme.CA()
    leaf = maker.issue_cert("maker.example", key_type=trustme.KeyType.ECDSA)
    certificate = tmp_path / "maker.pem"
    leaf.cert_chain_pems[0].write_to_path(certificate)
    key = load_pem_private_key(leaf.private_key_pem.bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    found = []
    for version, signed in (("3.2.0", CONTENT), ("3.2.1", b"something else")):
        path, signature = tmp_path / f"pump-{version}.bin", tmp_path / f"{version}.sig"
        path.write_bytes(CONTENT)
        signature.write_bytes(base64.b64encode(key.sign(signed, ec.ECDSA(SHA256()))))
        signing = ("--signing-certificate", certificate, "--signature", f"@{signature}")
        found.append((await depot.shop.data("firmware", "add", path, "--version", version, *signing))["id"])
    async with depot.fleet("R2-A", "R2-B") as fleet:
        first = await depot.rollout(found[0], *fleet)
        await depot.until_it(first, "done")
        second = await depot.rollout(found[1], *fleet)
        await depot.until_it(second, "done")
        versions = [station.transfers.version for station in fleet.values()]
    asked = await depot.shop.data("firmware", "status", "R2-A")

    assert versions == ["3.2.0", "3.2.0"]
    assert [each["message"] for each in asked] == ["SignedUpdateFirmware"] * 2
    assert await depot.standings(second) == dict.fromkeys(["R2-A", "R2-B"], ("failed", "InvalidSignature"))


async def test_a_local_controller_checks_the_sum_of_what_it_really_fetched(depot: Depot) -> None:
    async with depot.fleet("P1-16", "P1-LC") as fleet, depot.shop.connection() as connection:
        urls = []
        for _ in range(2):
            async with connection.transaction():
                file = await files.add(connection, io.BytesIO(CONTENT), name="p.bin", kind="other", actor="tester")
                url, token = files.new_address(depot.shop.ready["files_url"], "p.bin")
                given = {"charge_point": "P1-LC", "file": file, "request": None, "lifetime": timedelta(hours=1)}
                await files.let_fetch(connection, token, **given)
                urls.append(url)
        sums = [hashlib.md5(each, usedforsecurity=False).hexdigest() for each in (CONTENT, b"other")]
        right, wrong = [
            await depot.shop.csms("firmware", "publish", "P1-LC", "--url", url, "--checksum", sum_, "--wait", "-o", "json")
            for url, sum_ in zip(urls, sums, strict=True)
        ]  # fmt: skip

    assert bytes(fleet["P1-LC"].transfers.downloads[1].content) == CONTENT
    assert (right.code, right.json["state"]) == (0, "done")
    assert (wrong.code, json.loads(wrong.out)["failed"]) == (1, "InvalidChecksum")


async def test_failures_of_a_wave_stop_a_rollout_until_somebody_says_go_on(depot: Depot) -> None:
    shop, names = depot.shop, ("R3-A", "R3-B", "R3-C", "R3-D")
    image = await depot.image("3.3.0")
    async with depot.fleet(*names) as fleet:
        fleet["R3-A"].transfers.faults += ["InstallationFailed"] * 2
        rollout = await depot.rollout(image, *names, waves=waves("2,100%"), stop_at=Share(1), attempts_max=2)
        watched = await shop.csms("firmware", "rollout", "watch", rollout["id"], "-o", "json")
        stopped = await depot.standings(rollout)
        untouched = [len(fleet[name].transfers.downloads) for name in names[2:]]
        twice = await shop.csms("firmware", "rollout", "create", "--image", image, "--cp", "R3-C")
        await shop.data("firmware", "rollout", "resume", rollout["id"], "--reason", "R3-A is known to be broken")
        partly = await shop.csms("firmware", "rollout", "watch", rollout["id"], "-o", "json")
        again = await shop.data("firmware", "rollout", "retry", rollout["id"])
        await depot.until_it(rollout, "done")
    shown = await shop.data("firmware", "rollout", "show", rollout["id"])
    story = await shop.data("firmware", "rollout", "show", rollout["id"], "R3-A")

    assert (watched.code, watched.json["state"]) == (5, "stopped")
    assert "1 of 2 in wave 1 have failed: R3-A" in watched.json["reason"]
    assert [state for state, _ in stopped.values()] == ["failed", "done", "waiting", "waiting"]
    assert untouched == [0, 0]
    assert (twice.code, f"roll-out {rollout['id']}" in twice.error["message"]) == (5, True)
    assert (partly.code, partly.json["failed"]) == (8, 1)
    assert [each["charge_point"] for each in again] == ["R3-A"]
    assert {each["state"] for each in shown["members"]} == {"done"}
    assert [each["step"] for each in shown["steps"]] == [
        "created", "stopped", "resumed", "wave", "done", "resumed", "done",
    ]  # fmt: skip
    assert shown["steps"][2]["reason"] == "R3-A is known to be broken"
    ours = [each["step"] for each in story["steps"] if each["step"] not in {"told", "transferred"}]
    assert [each for each in ours if each != "accepted"] == [
        "asked", "attempt_failed", "asked", "failed", "retried", "asked", "done",
    ]  # fmt: skip


async def test_a_rollout_can_be_paused_taken_up_again_and_given_up(depot: Depot) -> None:
    shop, names = depot.shop, ("R4-A", "R4-B", "R4-C")
    image = await depot.image("3.4.0")
    for name in names[1:]:
        await depot.charge_point(name, "ocpp1.6")
    async with depot.fleet("R4-A") as fleet:
        await fleet["R4-A"].plug()
        await fleet["R4-A"].start(token=TOKEN)
        rollout = await depot.rollout(image, *names)
        await depot.until_member(rollout, "R4-A", "waiting", reason="a session is under way")
        paused = await shop.data("firmware", "rollout", "pause", rollout["id"])
        await fleet["R4-A"].stop()
        await fleet["R4-A"].unplug()
        refused = await shop.csms("firmware", "rollout", "pause", rollout["id"])
        before = await depot.standings(rollout)
        await shop.data("firmware", "rollout", "resume", rollout["id"])
        await depot.until_member(rollout, "R4-A", "done")
        ended = await shop.data("firmware", "rollout", "abort", rollout["id"], "--reason", "enough")
    withdrawn = await shop.data("firmware", "delete", image)
    gone = await shop.csms("firmware", "rollout", "create", "--image", image, "--cp", "R4-A")

    assert (paused["state"], refused.code, ended["state"]) == ("paused", 7, "aborted")
    assert before["R4-A"] == ("waiting", "a session is under way")
    assert [state for state, _ in (await depot.standings(rollout)).values()] == ["done", "withdrawn", "withdrawn"]
    assert (withdrawn["withdrawn_at"] is not None, gone.code) == (True, 5)


async def test_those_that_are_offline_hold_nobody_up_and_get_it_when_they_are_back(depot: Depot) -> None:
    image = await depot.image("3.5.0")
    async with depot.fleet("R5-A", "R5-B", "R5-C") as fleet:
        await fleet["R5-B"].offline()
        await depot.until_offline("R5-B")
        async with depot.shop.connection() as connection:
            plan = Plan(**FAST, waves=waves("2,100%"))
            members = tuple(zip(fleet, (1, 1, 2), strict=True))
            made = await service.create(connection, Chosen(members=members), plan, image=image, actor="tester")
        rollout = {"id": made}
        await depot.until_member(rollout, "R5-C", "done")
        meanwhile = await depot.standings(rollout)
        await fleet["R5-B"].online_again()
        await depot.until_it(rollout, "done")

    assert meanwhile["R5-B"] == ("waiting", "it is offline")
    assert {state for state, _ in (await depot.standings(rollout)).values()} == {"done"}


async def test_logs_of_a_fleet_are_collected_byte_by_byte(depot: Depot, tmp_path: Path) -> None:
    shop, out = depot.shop, tmp_path / "logs"
    async with depot.fleet("L1-A", "L1-B", upload="put") as putting, depot.fleet("L1-C", upload="form") as posting:
        fleet = {**putting, **posting}
        fleet["L1-A"].transfers.faults.append("UploadFailed")
        chosen = [word for name in fleet for word in ("--cp", name)]
        said = await shop.csms("log", "collect", *chosen, "--transfer-interval", "0", "--out", out, "-o", "json")
        sent = {name: station.transfers.sent[-1] for name, station in fleet.items()}
    collection = (await shop.data("log", "list"))[0]
    again = await shop.data("log", "collect", "--resume", collection["id"], "--out", tmp_path / "other")

    assert said.code == 0, said.err
    assert f"csms log collect --resume {collection['id']}" in said.err
    assert (collection["state"], collection["done"]) == ("done", 3)
    for row in [*said.json, *again]:
        name = row["charge_point"]
        assert row["state"] == "done"
        saved = Path(row["saved"]).read_bytes()  # noqa: ASYNC240 - a test may wait for a file
        assert saved == sent[name] == log_content(name, 20_000)
        assert row["sha256"] == hashlib.sha256(sent[name]).hexdigest()
    file = said.json[0]["file"]
    [listed] = await shop.data("file", "list", "--kind", "log", "--cp", "L1-A")
    got = await shop.csms("file", "get", file, "--out", "-")
    deleted = await shop.data("file", "delete", file)
    gone = await shop.csms("file", "get", file, "--out", "-")
    assert (listed["id"], got.out.encode()) == (file, sent["L1-A"])
    assert (deleted["deleted_at"] is not None, gone.code) == (True, 5)


async def test_a_log_that_is_too_large_and_one_that_nobody_sends_are_told_apart(depot: Depot) -> None:
    async with depot.fleet("L2-A", "L2-B", log_bytes=200_000), depot.fleet("L2-C") as small:
        small["L2-C"].transfers.faults.append("NoDiagnostics")
        said = await depot.shop.csms(
            "log", "collect", "--cp", "L2-A", "--cp", "L2-B", "--cp", "L2-C", "--retries", "0", "--proof", "1",
            "--transfer-retries", "0", "-o", "json",
        )  # fmt: skip
    status = await depot.shop.data("log", "status", "L2-B")

    assert said.code == 8
    assert [(each["charge_point"], each["state"], each["reason"]) for each in said.json] == [
        ("L2-A", "failed", "UploadFailed"),
        ("L2-B", "failed", "UploadFailure"),
        ("L2-C", "skipped", "it has nothing of that time"),
    ]
    assert "(hidden)" in status[0]["url"]


async def test_what_cannot_be_is_said_before_anything_is_asked(depot: Depot) -> None:
    image = await depot.image("3.9.0", model="Pump")
    async with depot.fleet("R9-A"):
        wrong: list[tuple[object, ...]] = [
            (), ("--all", "--cp", "R9-A"), ("--cp", "R9-A", "--wave", "5,20"), ("--cp", "R9-A", "--window", "25:00-26:00"),
            ("--cp", "NOBODY"), ("--cp", "R9-A"), ("--model", "No Such Model"),
        ]  # fmt: skip
        answers = await asyncio.gather(
            *(depot.shop.csms("firmware", "rollout", "create", "--image", image, *options) for options in wrong)
        )

    assert [each.code for each in answers] == [2, 2, 2, 2, 3, 5, 3]
    assert "its model is Simulated" in answers[5].error["message"]
    with pytest.raises(AlreadyDone):
        await depot.image("3.9.0", model="pump")
