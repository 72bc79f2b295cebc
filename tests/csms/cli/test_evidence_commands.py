"""Measuring law from the command line: a site's profile, meters' keys, and the evidence of a session."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from cli_room import HOUR, TOKEN, TWO_HOURS, Installation

from simulators.charge_point import Signing
from simulators.charge_point.signing import private_key, public_hex

SITE = "weighbridge"
KEY = [
    "id", "charge_point", "evse", "serial", "fingerprint", "curve", "register", "measures_time", "valid_from",
    "valid_until", "told_by_charge_point", "public_key", "reason", "actor", "at", "revoked_for",
]  # fmt: skip
REPORT = [
    "session", "profile", "is_whole", "meter", "register", "begin_wh", "begin_time", "end_wh", "end_time", "energy_wh",
    "problems", "values", "tariff", "tariff_version", "frames",
]  # fmt: skip


async def _charged(shop: Installation, identity: str) -> dict[str, Any]:
    """At the site under the profile; what the meter signed has not been verified with anything yet."""
    begin = datetime.now(UTC).replace(microsecond=0) - TWO_HOURS
    async with shop.simulated(identity, "ocpp2.0.1", at=begin, evses=1, signs=Signing(), site=SITE) as station:
        await station.plug()
        await station.start(token=TOKEN)
        await station.charge(energy_wh=Decimal(10_000), duration=HOUR)
        await station.stop()
        await station.unplug()
    return await shop.await_session(identity, "held")


async def test_evidence_from_the_profile_to_the_pack(shop: Installation, tmp_path: Path) -> None:
    await shop.data(
        "site", "create", SITE, "--name", "Weighbridge", "--country", "DE", "--time-zone", "Europe/Berlin",
        "--currency", "EUR",
    )  # fmt: skip
    before = await shop.data("site", "profile", SITE)
    law = ("site", "profile", SITE, "de-eichrecht", "--from", "2020-01-01", "--reason", "sold to the public")
    chosen, again = await shop.data(*law), await shop.csms(*law)

    assert (before["profile"], chosen["profile"]) == ("none", "de-eichrecht")
    assert again.code == 7
    assert (await shop.csms("site", "profile", SITE, "none")).code == 5  # it needs a reason
    assert (await shop.csms("site", "profile", SITE, "none", "--from", "2020-01-01", "--reason", "r")).code == 5

    held = await _charged(shop, "EVID-1")
    released = await shop.csms("review", "release", held["id"], "--reason", "the display showed it")
    told = await shop.data("review", "show", held["id"])

    assert held["hold_reasons"] == ["evidence_no_key"]
    assert released.code == 5
    assert "csms cp key import" in released.error["next"]
    assert "no public key is registered" in told["why"]

    path = tmp_path / "plate.txt"
    path.write_text(public_hex(private_key("EVID-1-1", "secp256r1")))
    key = await shop.data(
        "cp", "key", "import", "EVID-1", path, "--serial", "EVID-1-1", "--from", "2020-01-01", "--reason", "type plate"
    )
    rated = await shop.await_session("EVID-1", "rated")

    assert list(key) == KEY
    assert (key["register"], key["curve"], key["told_by_charge_point"]) == ("1.8.0", "secp256r1", "none")
    assert rated["energy_wh"] == 10_000
    assert await shop.data("cp", "key", "list", "EVID-1") == [key]

    report = await shop.data("session", "evidence", held["id"], "--show")
    target = tmp_path / "pack.zip"
    written, repeated = [await shop.data("session", "evidence", held["id"], "--file", target) for _ in range(2)]
    target.write_bytes(b"something else")
    refused = await shop.csms("session", "evidence", held["id"], "--file", target)

    assert list(report) == REPORT
    assert (report["is_whole"], [each["verdict"] for each in report["values"]]) == (True, ["valid", "valid"])
    assert written == repeated
    assert (written["profile"], written["is_whole"], written["values"]) == ("de-eichrecht", True, 2)
    assert refused.code == 7

    revoked = await shop.data("cp", "key", "revoke", key["id"], "--reason", "meter exchanged")
    assert revoked["valid_until"] is not None
    assert (await shop.csms("cp", "key", "revoke", key["id"], "--reason", "again")).code == 7
    assert (await shop.csms("cp", "key", "revoke", "4711", "--reason", "r")).code == 3


async def test_what_is_no_key_or_no_register_is_refused(shop: Installation, tmp_path: Path) -> None:
    await shop.charge_point("EVID-2")
    good = public_hex(private_key("m", "secp256r1"))
    for written, options in (("zz", ()), (good, ("--register", "energy"))):
        refused = await shop.csms("cp", "key", "import", "EVID-2", written, *options, "--reason", "type plate")
        assert refused.code == 5, refused
    assert (await shop.csms("cp", "key", "import", "NOBODY", good, "--reason", "r")).code == 3
    assert (await shop.csms("session", "evidence", "4711", "--file", tmp_path / "none.zip")).code == 3


async def test_a_pack_for_people_says_what_was_found(shop: Installation, tmp_path: Path) -> None:
    session = await shop.rated_session("EVID-3")
    said = await shop.csms("session", "evidence", session["id"], "--show")
    target = tmp_path / "pack.zip"
    await shop.data("session", "evidence", session["id"], "--file", target)
    with zipfile.ZipFile(target) as pack:
        report, readme = json.loads(pack.read("evidence.json")), pack.read("README.txt").decode()

    assert said.code == 0
    assert "sent no signed values" in said.out
    assert (report["is_whole"], report["values"]) == (False, [])
    assert "there are none" in readme
