"""Firmware to a fleet and logs from it: real files over real HTTPS, between `csms serve` and simulated charge points."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cli_room import QUICK, TOKEN, Installation, until
from cli_room import serving as serving_data
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from csms.files import service as files
from simulators.charge_point import SimulatedChargePoint
from simulators.charge_point.firmware import INTERRUPTED, log_content
from tests.conftest import directory_for_everybody

PROTOCOLS = ["ocpp1.6", "ocpp2.0.1"]
CONTENT = random.Random(7).randbytes(150_000)
FAST = ("--silence", "20", "--retry-wait", "0", "--transfer-interval", "0", "--proof", "1", "--offline", "1")


@dataclass(frozen=True, slots=True)
class Depot:
    """An installation that hands out files, and who signs its certificates."""

    shop: Installation
    trust: Path

    async def image(self, home: Path, version: str, *options: object, content: bytes = CONTENT) -> int:
        path = home / f"pump-{version}.bin"
        path.write_bytes(content)
        added = await self.shop.data("firmware", "add", path, "--version", version, *options)
        return int(added["id"])

    @contextlib.asynccontextmanager
    async def fleet(self, *names: str, **build: Any) -> AsyncIterator[dict[str, SimulatedChargePoint]]:
        """Simulated charge points, in both versions by turns."""
        async with contextlib.AsyncExitStack() as stack:
            yield {
                name: await stack.enter_async_context(
                    self.shop.simulated(
                        name, PROTOCOLS[number % 2], **{"trust": self.trust, "reconnect": QUICK, **build}
                    )
                )
                for number, name in enumerate(names)
            }

    async def rollout(self, image: int, *names: str, options: tuple[object, ...] = ()) -> dict[str, Any]:
        chosen = [word for name in names for word in ("--cp", name)]
        made: dict[str, Any] = await self.shop.data(
            "firmware", "rollout", "create", "--image", image, *chosen, *FAST, *options
        )
        return made

    async def shown(self, rollout: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = await self.shop.data("firmware", "rollout", "show", rollout["id"])
        return found

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


def standings(shown: dict[str, Any]) -> dict[str, str]:
    return {each["charge_point"]: each["state"] for each in shown["members"]}


async def test_firmware_goes_to_a_fleet_and_arrives_byte_by_byte(depot: Depot, tmp_path: Path) -> None:
    shop, names = depot.shop, ("R1-A", "R1-B")
    image = await depot.image(tmp_path, "3.1.0")
    async with depot.fleet(*names) as fleet:
        fleet["R1-A"].transfers.faults.append(INTERRUPTED)
        planned = await shop.csms("firmware", "rollout", "create", "--image", image, "--cp", "R1-A", "--dry-run")
        done = await shop.csms(
            "firmware", "rollout", "create", "--image", image, "--cp", "R1-A", "--cp", "R1-B", "--wait", *FAST,
            "-o", "json",
        )  # fmt: skip
        [story, other] = [await shop.data("firmware", "rollout", "show", done.json["id"], name) for name in names]
        traced = await shop.csms("cp", "trace", "R1-A", "-o", "json")
        kept = await depot.kept()
        again = await depot.rollout(image, *names)
        await depot.until_it(again, "done")
        skipped = await depot.shown(again)
    [listed] = [each for each in await shop.data("firmware", "rollout", "list") if each["id"] == done.json["id"]]
    file = (await shop.data("firmware", "list"))[0]["file"]
    shown = await shop.data("file", "show", file)

    assert (planned.code, planned.out.splitlines()[1:]) == (0, ["R1-A\t1"])
    assert done.code == 0, done.err
    assert (listed["state"], listed["done"], listed["version"]) == ("done", 2, "3.1.0")
    for station in fleet.values():
        assert bytes(station.transfers.downloads[0].content) == CONTENT
        assert station.transfers.version == "3.1.0"
    assert fleet["R1-A"].transfers.downloads[0].tries[1] >= 20_000
    assert [each["state"] for each in (story, other)] == ["done", "done"]
    assert (story["firmware"], story["reason"]) == ("3.1.0", "it has booted with 3.1.0")
    steps = [each["step"] for each in story["steps"]]
    assert steps[0] == "asked"
    assert steps[-1] in {"done", "told"}
    assert {"accepted", "told", "transferred", "done"} <= set(steps)
    assert [each["at"] for each in story["steps"]] == sorted(each["at"] for each in story["steps"])
    assert {"Downloading", "DownloadFailed", "Downloaded", "Installing"} <= {each["reason"] for each in story["steps"]}
    assert (shown["sha256"], shown["fetched_by"]) == (hashlib.sha256(CONTENT).hexdigest(), 2)
    assert "/files/(hidden)/pump-3.1.0.bin" in traced.out
    for station in fleet.values():
        token = station.transfers.downloads[0].url.split("/")[4]
        assert token not in kept + shop.log_path.read_text()
    assert standings(skipped) == dict.fromkeys(names, "skipped")


async def test_signed_firmware_is_checked_by_the_charge_point(depot: Depot, tmp_path: Path) -> None:
    maker = trustme.CA()
    leaf = maker.issue_cert("maker.example", key_type=trustme.KeyType.ECDSA)
    certificate, right, wrong = tmp_path / "maker.pem", tmp_path / "right.sig", tmp_path / "wrong.sig"
    leaf.cert_chain_pems[0].write_to_path(certificate)
    key = load_pem_private_key(leaf.private_key_pem.bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    for path, signed in ((right, CONTENT), (wrong, b"something else")):
        path.write_bytes(base64.b64encode(key.sign(signed, ec.ECDSA(SHA256()))))
    signing = ("--signing-certificate", certificate, "--signature")
    genuine = await depot.image(tmp_path, "3.2.0", *signing, f"@{right}")
    forged = await depot.image(tmp_path, "3.2.1", *signing, f"@{wrong}")
    async with depot.fleet("R2-A", "R2-B") as fleet:
        first = await depot.rollout(genuine, *fleet)
        await depot.until_it(first, "done")
        second = await depot.rollout(forged, *fleet, options=("--wave", "100%", "--stop-at-failures", "100%"))
        await depot.until_it(second, "done")
        shown = await depot.shown(second)
        versions = [station.transfers.version for station in fleet.values()]
        asked = await depot.shop.data("firmware", "status", "R2-A")

    assert versions == ["3.2.0", "3.2.0"]
    assert asked[0]["message"] == "SignedUpdateFirmware"
    assert {(each["state"], each["reason"], each["asked"]) for each in shown["members"]} == {
        ("failed", "InvalidSignature", 1)
    }


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
    assert (wrong.code, wrong.json["failed"]) == (1, "InvalidChecksum")


async def test_failures_of_a_wave_stop_a_rollout_until_somebody_says_go_on(depot: Depot, tmp_path: Path) -> None:
    shop, names = depot.shop, ("R3-A", "R3-B", "R3-C", "R3-D")
    image = await depot.image(tmp_path, "3.3.0")
    async with depot.fleet(*names) as fleet:
        fleet["R3-A"].transfers.faults += ["InstallationFailed"] * 2
        options = ("--wave", "2,100%", "--stop-at-failures", "1", "--retries", "1")
        rollout = await depot.rollout(image, *names, options=options)
        watched = await shop.csms("firmware", "rollout", "watch", rollout["id"], "-o", "json")
        stopped = await depot.shown(rollout)
        untouched = [len(fleet[name].transfers.downloads) for name in names[2:]]
        twice = await shop.csms("firmware", "rollout", "create", "--image", image, "--cp", "R3-C")
        await shop.data("firmware", "rollout", "resume", rollout["id"], "--reason", "R3-A is known to be broken")
        await depot.until_it(rollout, "done")
        partly = await shop.csms("firmware", "rollout", "watch", rollout["id"], "-o", "json")
        again = await shop.data("firmware", "rollout", "retry", rollout["id"])
        await depot.until_it(rollout, "done")
        shown = await depot.shown(rollout)
        story = await shop.data("firmware", "rollout", "show", rollout["id"], "R3-A")

    assert (watched.code, watched.json["state"]) == (5, "stopped")
    assert "1 of 2 in wave 1 have failed: R3-A" in watched.json["reason"]
    assert standings(stopped) == {"R3-A": "failed", "R3-B": "done", "R3-C": "waiting", "R3-D": "waiting"}
    assert untouched == [0, 0]
    assert (twice.code, f"roll-out {rollout['id']}" in twice.error["message"]) == (5, True)
    assert (partly.code, partly.json["failed"]) == (8, 1)
    assert [each["charge_point"] for each in again] == ["R3-A"]
    assert standings(shown) == dict.fromkeys(names, "done")
    assert [each["step"] for each in shown["steps"]] == [
        "created", "stopped", "resumed", "wave", "done", "resumed", "done",
    ]  # fmt: skip
    assert shown["steps"][2]["reason"] == "R3-A is known to be broken"
    ours = [each["step"] for each in story["steps"] if each["step"] not in {"told", "transferred"}]
    assert [each for each in ours if each != "accepted"] == [
        "asked", "attempt_failed", "asked", "failed", "retried", "asked", "done",
    ]  # fmt: skip


async def test_a_rollout_can_be_paused_taken_up_again_and_given_up(depot: Depot, tmp_path: Path) -> None:
    shop, names = depot.shop, ("R4-A", "R4-B", "R4-C")
    image = await depot.image(tmp_path, "3.4.0")
    for name in names[1:]:
        await shop.charge_point(name)
    async with depot.fleet("R4-A") as fleet:
        await fleet["R4-A"].plug()
        await fleet["R4-A"].start(token=TOKEN)
        rollout = await depot.rollout(image, *names)
        await depot.until_member(rollout, "R4-A", "waiting", reason="a session is under way")
        paused = await shop.data("firmware", "rollout", "pause", rollout["id"])
        await fleet["R4-A"].stop()
        await fleet["R4-A"].unplug()
        refused = await shop.csms("firmware", "rollout", "pause", rollout["id"])
        before = await depot.shown(rollout)
        await shop.data("firmware", "rollout", "resume", rollout["id"])
        await depot.until_member(rollout, "R4-A", "done")
        ended = await shop.data("firmware", "rollout", "abort", rollout["id"], "--reason", "enough")
        shown = await depot.shown(rollout)
        withdrawn = await shop.data("firmware", "delete", image)
    gone = await shop.csms("firmware", "rollout", "create", "--image", image, "--cp", "R4-A")

    assert (paused["state"], refused.code, ended["state"]) == ("paused", 7, "aborted")
    assert standings(before)["R4-A"] == "waiting"
    assert standings(shown) == {"R4-A": "done", "R4-B": "withdrawn", "R4-C": "withdrawn"}
    assert (withdrawn["withdrawn_at"] is not None, gone.code) == (True, 5)


async def test_those_that_are_offline_hold_nobody_up_and_get_it_when_they_are_back(
    depot: Depot, tmp_path: Path
) -> None:
    image = await depot.image(tmp_path, "3.5.0")
    async with depot.fleet("R5-A", "R5-B", "R5-C") as fleet:
        await fleet["R5-B"].offline()
        await depot.until_offline("R5-B")
        rollout = await depot.rollout(image, *fleet, options=("--wave", "2,100%"))
        await depot.until_member(rollout, "R5-C", "done")
        meanwhile = await depot.shown(rollout)
        await fleet["R5-B"].online_again()
        await depot.until_it(rollout, "done")
        shown = await depot.shown(rollout)

    assert standings(meanwhile)["R5-B"] == "waiting"
    assert [each["reason"] for each in meanwhile["members"] if each["charge_point"] == "R5-B"] == ["it is offline"]
    assert set(standings(shown).values()) == {"done"}


@pytest.mark.parametrize("how", ["put", "form"])
async def test_logs_of_a_fleet_are_collected_byte_by_byte(depot: Depot, tmp_path: Path, how: str) -> None:
    shop, names = depot.shop, (f"L1-{how}-A", f"L1-{how}-B")
    async with depot.fleet(*names, upload=how) as fleet:
        fleet[names[0]].transfers.faults.append("UploadFailed")
        chosen = [word for name in names for word in ("--cp", name)]
        said = await shop.csms(
            "log", "collect", *chosen, "--transfer-interval", "0", "--out", tmp_path / "logs", "-o", "json"
        )
        collection = (await shop.data("log", "list"))[0]
        again = await shop.data("log", "collect", "--resume", collection["id"], "--out", tmp_path / "other")
        sent = {name: station.transfers.sent[-1] for name, station in fleet.items()}

    assert said.code == 0, said.err
    assert f"csms log collect --resume {collection['id']}" in said.err
    assert (collection["state"], collection["done"]) == ("done", 2)
    for row in [*said.json, *again]:
        assert row["state"] == "done"
        assert Path(row["saved"]).read_bytes() == sent[row["charge_point"]] == log_content(row["charge_point"], 20_000)  # noqa: ASYNC240
        assert row["sha256"] == hashlib.sha256(sent[row["charge_point"]]).hexdigest()
    file = said.json[0]["file"]
    got = await shop.csms("file", "get", file, "--out", "-")
    assert got.out.encode() == sent[said.json[0]["charge_point"]]
    listed = await shop.data("file", "list", "--kind", "log", "--cp", names[0])
    deleted = await shop.data("file", "delete", listed[0]["id"])
    gone = await shop.csms("file", "get", listed[0]["id"], "--out", "-")
    assert (listed[0]["id"] == file, deleted["deleted_at"] is not None, gone.code) == (True, True, 5)


async def test_a_log_that_is_too_large_and_one_that_nobody_sends_are_told_apart(depot: Depot) -> None:
    async with (
        depot.fleet("L2-A", "L2-B", log_bytes=200_000),
        depot.fleet("L2-C") as small,
    ):
        small["L2-C"].transfers.faults.append("NoDiagnostics")
        said = await depot.shop.csms(
            "log", "collect", "--cp", "L2-A", "--cp", "L2-B", "--cp", "L2-C", "--retries", "0", "--proof", "1", "--transfer-retries", "0",
            "-o", "json",
        )  # fmt: skip
        [failed] = [each for each in said.json if each["charge_point"] == "L2-B"]
        status = await depot.shop.data("log", "status", "L2-B")

    assert said.code == 8
    assert {each["charge_point"]: each["state"] for each in said.json} == {
        "L2-A": "failed", "L2-B": "failed", "L2-C": "skipped",
    }  # fmt: skip
    assert failed["reason"] == "UploadFailure"
    assert "(hidden)" in status[0]["url"]


async def test_what_cannot_be_is_said_before_anything_is_asked(
    depot: Depot, tmp_path: Path, shop: Installation
) -> None:
    image = await depot.image(tmp_path, "3.9.0", "--model", "Pump")
    async with depot.fleet("R9-A"):
        answers = [
            await depot.shop.csms("firmware", "rollout", "create", "--image", image, *options)
            for options in (
                (), ("--all", "--cp", "R9-A"), ("--cp", "R9-A", "--wave", "5,20"), ("--cp", "R9-A", "--window", "25:00-26:00"),
                ("--cp", "NOBODY"), ("--cp", "R9-A"), ("--model", "No Such Model"),
            )
        ]  # fmt: skip
        twice = await depot.shop.csms(
            "firmware", "add", tmp_path / "pump-3.9.0.bin", "--version", "3.9.0", "--model", "pump"
        )
    nothing = await shop.csms("log", "collect", "--all")

    assert [each.code for each in answers] == [2, 2, 2, 2, 3, 5, 3]
    assert "its model is Simulated" in answers[5].error["message"]
    assert twice.code == 7
    assert (nothing.code, "--files-url" in nothing.error["next"]) in {(5, True), (3, False)}
