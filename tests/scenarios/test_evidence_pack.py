"""`csms session evidence`: one file from which a stranger sees what a meter signed, and that nobody has changed it."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import subprocess
import warnings
import zipfile
from base64 import b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from billing import NotFound
from csms.evidence import service
from csms.evidence.gathering import contents_of
from csms.evidence.pack import to_zip
from csms.evidence.service import KeyOf
from simulators.charge_point import Credentials, ModelClock, Signing, SimulatedChargePoint
from simulators.scenarios.runner import QUICK
from tests.world import LONG_AGO, TOKENS, World, in_the_past, until

BOTH = ("ocpp1.6", "ocpp2.0.1")
OTHER = TOKENS[1]


@dataclass(frozen=True)
class Charged:
    session: int
    written: list[str]


async def _charge(world: World, protocol: str, *, signing: Signing | None = None, register: bool = True) -> Charged:
    """On EVSE 1, while somebody else charges on EVSE 2."""
    known = await world.charge_point("METERED", max_power_w=Decimal(22_000))
    credentials = Credentials(url=world.ocpp_url, identity=known.id, password=known.password)
    build = replace(
        QUICK, protocol=protocol, evses=2, register_wh=Decimal(40_000), signs=signing or Signing(samples=True),
        sample_every=timedelta(minutes=20),
    )  # fmt: skip
    async with SimulatedChargePoint(credentials, ModelClock(in_the_past(minutes=70)), build) as station:
        signer = station.evses[1].signer
        assert signer is not None
        if register:
            await service.register_key(
                world.connection, KeyOf(charge_point=known.id, evse=1), signer.public_key, reason="type plate",
                actor="operator", now=datetime.now(UTC), valid_from=LONG_AGO,
            )  # fmt: skip
        await station.boot()
        await station.plug(2)
        await station.start(2, token=OTHER)
        await station.plug()
        await station.start(token=TOKENS[0])
        await station.charge(energy_wh=Decimal(11_000), duration=timedelta(hours=1))
        await station.stop()
        await station.stop(2)
        await world.quiet()
        [session] = [each["id"] for each in await world.sessions(token=TOKENS[0])]
        await until(lambda: _kept(world, "StopTransaction" if protocol == "ocpp1.6" else "Ended", 2))
        return Charged(session=session, written=signer.written)


async def _kept(world: World, word: str, times: int) -> bool:
    """Frames are written behind the traffic: those with these words, and the answer to each call."""
    found = await world.connection.fetchval(
        "SELECT count(*) FROM frame WHERE direction = 'in' AND body LIKE '%' || $1 || '%'", word
    )
    calls, answers = [
        await world.connection.fetchval("SELECT count(*) FROM frame WHERE direction = $1 AND body LIKE $2", *which)
        for which in (("in", "[2,%"), ("out", "[3,%"))
    ]
    return bool(found >= times and answers == calls)


async def _pack(world: World, session: int) -> bytes:
    return to_zip(await contents_of(world.connection, session, now=datetime.now(UTC)))


def _opened(pack: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(pack)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("protocol", BOTH)
async def test_signed_values_are_in_the_pack_byte_for_byte_as_the_meter_wrote_them(world: World, protocol: str) -> None:
    charged = await _charge(world, protocol)
    files = _opened(await _pack(world, charged.session))

    values = [files[f"values/T{page}.ocmf"].decode() for page in range(1, len(charged.written) + 1)]
    assert values == charged.written
    xml = ET.fromstring(files["signed-values.xml"])  # noqa: S314 - our own
    assert [each.text for each in xml.iter("signedData")] == charged.written
    frames = [json.loads(line)["frame"] for line in files["frames.jsonl"].decode().splitlines()]
    assert all(any(_on_the_wire(text, protocol) in frame for frame in frames) for text in charged.written)


def _on_the_wire(text: str, protocol: str) -> str:
    """As it stands in a frame: 1.6 has it as a JSON text, 2.0.1 in base64."""
    return json.dumps(text)[1:-1] if protocol == "ocpp1.6" else b64encode(text.encode()).decode()


@pytest.mark.parametrize("protocol", BOTH)
async def test_the_pack_is_the_same_for_the_same_state(world: World, protocol: str) -> None:
    charged = await _charge(world, protocol)

    first = await _pack(world, charged.session)
    assert await _pack(world, charged.session) == first


@pytest.mark.parametrize("protocol", BOTH)
async def test_the_pack_says_what_was_found_and_how_the_amount_came_about(world: World, protocol: str) -> None:
    charged = await _charge(world, protocol)
    files = _opened(await _pack(world, charged.session))
    report: dict[str, Any] = json.loads(files["evidence.json"])

    assert (report["is_whole"], report["profile"], report["meter"]) == (True, "none", "METERED-1")
    assert Decimal(report["energy_wh"]) == 11_000
    assert {each["verdict"] for each in report["values"]} == {"valid"}
    compared = {None} if protocol == "ocpp1.6" else {True}  # plain OCMF comes without a key
    assert {each["sent_key_is_registered"] for each in report["values"]} == compared
    explanation = json.loads(files["explanation.json"])
    assert (explanation["total_excl_tax"], explanation["tariff"]) == ("5.39", json.loads(files["tariff.json"])["id"])
    assert "6.41 EUR" in files["explanation.txt"].decode()
    assert "11000 Wh" in files["README.txt"].decode()
    assert len(files["SHA256SUMS"].splitlines()) == len(files) - 1


@pytest.mark.parametrize("protocol", BOTH)
async def test_frames_are_those_of_this_session_with_their_answers_and_no_other_drivers(
    world: World, protocol: str
) -> None:
    charged = await _charge(world, protocol)
    lines = _opened(await _pack(world, charged.session))["frames.jsonl"].decode().splitlines()
    frames = [json.loads(line) for line in lines]
    called = [json.loads(each["frame"]) for each in frames if each["direction"] == "in"]
    answers = {json.loads(each["frame"])[1] for each in frames if each["direction"] == "out"}

    assert OTHER not in "".join(lines)
    assert TOKENS[0] in "".join(lines)
    assert {message[1] for message in called} == answers
    assert len(called) >= 5


async def test_the_transparency_softwares_format_is_read_by_another_reader(world: World, tmp_path: Path) -> None:
    pytest.importorskip("pyocmf", reason="pyocmf is not installed: it comes with csms[test]")
    from pyocmf.utils.xml import OcmfContainer  # noqa: PLC0415 - a peer of tests

    charged = await _charge(world, "ocpp2.0.1", signing=Signing())
    path = tmp_path / "signed-values.xml"
    path.write_bytes(_opened(await _pack(world, charged.session))["signed-values.xml"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        container = OcmfContainer.from_xml(path)

    assert [entry.verify_signature() for entry in container] == [True, True]
    assert [result.is_compliant for result in container.check_eichrecht()] == [True]


async def test_a_stranger_verifies_with_the_key_and_nothing_of_ours(world: World) -> None:
    charged = await _charge(world, "ocpp1.6")
    files = _opened(await _pack(world, charged.session))
    [pem] = [body for name, body in files.items() if name.startswith("keys/")]
    key = load_pem_public_key(pem)
    assert isinstance(key, ec.EllipticCurvePublicKey)

    for name, body in files.items():
        if name.startswith("values/"):
            _, payload, signature = body.split(b"|")
            key.verify(bytes.fromhex(json.loads(signature)["SD"]), payload, ec.ECDSA(hashes.SHA256()))


async def test_the_commands_that_the_pack_itself_names_verify_it(world: World, tmp_path: Path) -> None:
    missing = [name for name in ("openssl", "xxd", "sha256sum") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"the commands need {', '.join(missing)}")
    charged = await _charge(world, "ocpp1.6")
    with zipfile.ZipFile(io.BytesIO(await _pack(world, charged.session))) as archive:
        archive.extractall(tmp_path)
    [key] = [path.name for path in (tmp_path / "keys").iterdir()]
    readme = (tmp_path / "README.txt").read_text()
    commands = [line.strip() for line in readme.splitlines() if line.startswith(("    cut ", "    openssl "))]
    script = " && ".join([*commands, "sha256sum -c SHA256SUMS"]).replace("keys/1.pem", f"keys/{key}")
    done = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "Verified OK" in done.stdout


async def test_verdicts_are_shown_without_a_key_and_without_a_profile(world: World) -> None:
    charged = await _charge(world, "ocpp2.0.1", register=False)
    files = _opened(await _pack(world, charged.session))
    report = json.loads(files["evidence.json"])

    assert not any(name.startswith("keys/") for name in files)
    assert (report["is_whole"], report["energy_wh"]) == (False, None)
    assert {each["verdict"] for each in report["values"]} == {"no_key"}
    assert report["session"]["state"] == "rated"
    assert all(each["sent_key"] for each in report["values"])


async def test_a_session_that_is_none_has_no_evidence(world: World) -> None:
    with pytest.raises(NotFound):
        await contents_of(world.connection, 4711, now=datetime.now(UTC))
