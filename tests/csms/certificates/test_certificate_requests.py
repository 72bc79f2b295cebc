"""SignCertificate from the question to the installed certificate, on a real database: S10, and that nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from certificates_room import OPERATOR, Depot, csr, depot, make_authority, requested
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from billing import Refused
from csms.certificates import files
from csms.certificates.est import EstServer
from csms.certificates.store import SQL
from csms.certificates.watch import ending
from csms.charge_points import service as charge_points
from csms.gateway.client_certificate import CertificateRecord
from csms.protocol.blocks.certificate_facts import (
    CertificateHash,
    CertificatePurpose,
    CertificateStatusAsked,
    EvCertificateAsked,
    HashAlgorithm,
)
from csms.protocol.blocks.certificates import SendSignedCertificate
from csms.protocol.blocks.firmware import ExtendedTriggerMessage
from csms.protocol.vocabulary import Command, Outcome, Protocol, TriggerMessage

NOWHERE = "https://127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture
async def room(pool: asyncpg.Pool[Any], tmp_path: Path) -> AsyncIterator[Depot]:
    async with depot(pool, tmp_path) as made:
        yield made


def says(status: str, *, accepted: bool = False) -> Any:
    async def answer(_charge_point: str, _command: Command) -> Outcome:
        return Outcome(accepted=accepted, status=status)

    return answer


def chain(command: Command) -> x509.Certificate:
    assert isinstance(command, SendSignedCertificate)
    [leaf] = x509.load_pem_x509_certificates(command.chain.encode())
    return leaf


async def test_an_accepted_request_becomes_a_certificate_that_its_charge_point_has_taken(room: Depot) -> None:
    await room.online()
    before = room.settings.certificate_days
    answer = await room.ask(requested(csr("CP-1")))
    assert (await room.state())[0] == "due", "in the books before it was answered"
    await room.work()
    [(charge_point, command)] = room.sent
    [row] = await room.rows()

    assert answer.accepted
    assert charge_point == "CP-1"
    leaf = chain(command)
    assert row["number"] == f"{leaf.serial_number:X}"
    assert (row["state"], row["outcome"], row["source"]) == ("installed", "Accepted", "own")
    assert leaf.not_valid_after_utc - datetime.now(UTC) > timedelta(days=before - 1)
    assert await room.alarms() == []


@pytest.mark.parametrize(
    ("fact", "fault", "code"),
    [
        (requested("garbage"), "unreadable", "InvalidCSR"),
        (requested(None, length=10_000), "too_long", "TooLargeElement"),
        (requested(csr("CP-2")), "name_of_another_charge_point", "InvalidCSR"),
        (requested(csr("CP-1", organisation="Another Operator")), "another_organisation", "InvalidCSR"),
        (requested(csr("CP-1"), CertificatePurpose.V2G), "no_authority", "NotEnabled"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_a_refused_request_is_kept_and_alarmed_once_a_day(room: Depot, fact: Any, fault: str, code: str) -> None:
    answers = [await room.ask(fact) for _ in range(3)]
    await room.work()

    assert [(each.accepted, each.reason and each.reason.code) for each in answers] == [(False, code)] * 3
    assert [row["fault"] for row in await room.rows()] == [fault] * 3
    assert await room.alarms() == ["request_refused"]
    assert room.sent == []


async def test_the_serial_number_of_another_charge_point_is_no_name_to_get_a_certificate_by(room: Depot) -> None:
    await room.boots("CP-1", "SN-1")
    own = await room.ask(requested(csr("SN-1")))
    await room.boots("CP-1", "CP-2")  # it claims the identity of the other one as its serial number
    identity = await room.ask(requested(csr("CP-2")))
    await room.boots("CP-2", "SN-9")
    await room.boots("CP-1", "SN-9")
    serial = await room.ask(requested(csr("SN-9")))

    assert [own.accepted, identity.accepted, serial.accepted] == [True, False, False]


async def test_a_name_that_only_some_fold_to_another_s_is_nobodys(room: Depot) -> None:
    await room.boots("CP-2", "station-7")
    await room.boots("CP-1", "\u017fTATION-7")  # a long s: casefold() makes station-7 of it, lower() does not

    assert not (await room.ask(requested(csr("\u017fTATION-7")))).accepted


async def test_a_registered_serial_number_is_its_charge_point_s_whoever_tells_it(room: Depot) -> None:
    await room.registers("CP-2", "SN-2")
    await room.boots("CP-1", "sn-2")  # before CP-2 has ever booted
    stolen = await room.ask(requested(csr("sn-2")))
    owner_before_its_boot = await room.ask(requested(csr("SN-2")), "CP-2")
    await room.registers("CP-1", "SN-1")
    told_against_its_own = await room.ask(requested(csr("sn-2")))
    registered = await room.ask(requested(csr("SN-1")))
    against_its_own_in_2 = await room.ask(requested(csr("sn-2")), protocol=Protocol.V201)

    assert [stolen.accepted, told_against_its_own.accepted, against_its_own_in_2.accepted] == [False, False, False]
    assert [owner_before_its_boot.accepted, registered.accepted] == [True, True]


async def test_nobody_can_take_a_name_from_who_had_it_before(room: Depot) -> None:
    await room.boots("CP-2", "SN-2")
    await room.boots("CP-1", "SN-2")
    later = await room.ask(requested(csr("SN-2")))
    earlier = await room.ask(requested(csr("SN-2")), "CP-2")
    await room.boots("CP-2", "CP-1")
    identity = await room.ask(requested(csr("CP-1")))
    await room.boots("CP-2", "SN-2")  # it has told another in between, and is the later one now
    await room.registers("CP-2", "SN-2")
    registered = await room.ask(requested(csr("SN-2")), "CP-2")

    assert [later.accepted, earlier.accepted, identity.accepted, registered.accepted] == [False, True, True, True]


async def test_the_door_learns_whose_a_certificate_is_and_that_a_told_number_is_anothers(room: Depot) -> None:
    await room.online()
    await room.ask(requested(csr("CP-1")))
    await room.work()
    [(_, command)] = room.sent
    made = chain(command)
    issuer, number = made.issuer.public_bytes(), made.serial_number
    before = await room.certificates.on_record(issuer, number)
    newest = (await room.rows())[0]
    changed_at = await room.pool.fetchval("SELECT changed_at FROM charge_point WHERE id = 'CP-1'")
    await room.pool.execute(
        "INSERT INTO certificate_revocation (certificate, reason, actor) VALUES ($1, 'superseded', 'operator')",
        newest["certificate"],
    )
    after = await room.certificates.on_record(issuer, number)
    told_at = await room.pool.fetchval("SELECT changed_at FROM charge_point WHERE id = 'CP-1'")
    await room.pool.execute("UPDATE charge_point SET security_profile = 3")
    anothers = []
    for told in ("SN-1", "cp-2", "sn-2"):
        await room.registers("CP-2", "SN-2")
        await room.boots("CP-1", told)
        async with room.pool.acquire() as connection:
            anothers.append((await charge_points.get(connection, "CP-1")).serial_is_anothers)

    assert before == CertificateRecord(charge_point="CP-1")
    assert after == CertificateRecord(charge_point="CP-1", is_revoked=True)
    assert await room.certificates.on_record(issuer, number + 1) is None
    assert await room.certificates.on_record(b"another", number) is None
    assert anothers == [False, True, True]
    assert told_at > changed_at, "nodes look for what has changed, and end the socket"


@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
async def test_a_name_that_no_certificate_can_hold_is_refused_and_a_request_that_cannot_be_signed_holds_up_no_other(
    room: Depot,
) -> None:
    await room.boots("CP-1", "S" * 65)
    key = ec.generate_private_key(ec.SECP256R1())
    too_long = await room.ask(requested(csr_of_any_length("S" * 65, key)))
    await room.registers("CP-1", "S" * 64)
    longest = await room.ask(requested(csr("S" * 64)))
    poison = await room.ask(requested(csr("CP-2")), "CP-2")
    await room.pool.execute("UPDATE certificate_work SET state = 'superseded'")
    await room.pool.execute(  # as one that an older release had accepted
        "INSERT INTO certificate_request (charge_point, purpose, key, csr, length, quirks, received_at)"
        " VALUES ('CP-1', 'charge_point', 'k', $1, 1, '', now())",
        csr_of_any_length("S" * 65, key),
    )
    await room.pool.execute(
        "INSERT INTO certificate_work (request, due_at) SELECT max(id), now() FROM certificate_request"
    )
    await room.ask(requested(csr("CP-2")), "CP-2")
    await room.work()
    states = {row["charge_point"]: row["state"] for row in reversed(await room.rows())}

    assert [too_long.accepted, longest.accepted, poison.accepted] == [False, True, True]
    assert states == {"CP-1": "failed", "CP-2": "issued"}
    assert "authority_refused" in await room.alarms()


def csr_of_any_length(name: str, key: ec.EllipticCurvePrivateKey) -> str:
    """A CN of any length, as other stacks than ours make it."""
    names = [
        x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, OPERATOR),
    ]
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


async def test_the_organisation_is_the_one_that_the_door_wants(pool: asyncpg.Pool[Any], tmp_path: Path) -> None:
    async with depot(pool, tmp_path, tls_client_organisation="Example Brand") as room:
        await room.online()
        of_the_root = await room.ask(requested(csr("CP-1")))
        of_the_door = await room.ask(requested(csr("CP-1", organisation="Example Brand")))
        await room.work()
        [(_, command)] = room.sent

    assert [of_the_root.accepted, of_the_door.accepted] == [False, True]
    assert chain(command).subject.rfc4514_string() == "CN=CP-1,O=Example Brand"


async def test_in_2_0_1_the_name_is_the_serial_number_where_one_was_told(room: Depot) -> None:
    before = await room.ask(requested(csr("CP-1")), protocol=Protocol.V201)
    await room.boots("CP-1", "SN-1")
    identity = await room.ask(requested(csr("CP-1")), protocol=Protocol.V201)
    serial = await room.ask(requested(csr("SN-1")), protocol=Protocol.V201)
    old = await room.ask(requested(csr("CP-1")), protocol=Protocol.V16)

    assert [each.accepted for each in (before, identity, serial, old)] == [True, False, True, True]
    assert identity.reason is not None
    assert "serial number" in identity.reason.text


async def test_beyond_so_many_requests_an_hour_nothing_is_kept_but_one_alarm(
    pool: asyncpg.Pool[Any], tmp_path: Path
) -> None:
    at = datetime.now(UTC)
    async with depot(pool, tmp_path, certificate_requests_per_hour=3) as room:
        answers = [await room.ask(requested(csr("CP-1")), at=at) for _ in range(100)]
        other = await room.ask(requested(csr("CP-2")), "CP-2", at=at)
        later = await room.ask(requested(csr("CP-1")), at=at + timedelta(hours=1, seconds=1))
        rows = await room.rows("CP-1")
        alarms = await room.alarms()

    assert [each.accepted for each in answers] == [True] * 3 + [False] * 97
    assert answers[-1].reason is not None
    assert "too many" in answers[-1].reason.text
    assert (other.accepted, later.accepted) == (True, True)
    assert len(rows) == 4
    assert alarms == ["too_many_requests"]


async def test_the_same_request_again_is_the_same_and_a_newer_one_takes_the_place_of_the_older(room: Depot) -> None:
    first, second = csr("CP-1"), csr("CP-1")
    for text in (first, first, second, second):
        assert (await room.ask(requested(text))).accepted
    await room.online()
    await room.work()

    assert [row["state"] for row in await room.rows()] == ["installed", "superseded"]
    [(_, command)] = room.sent
    assert chain(command).public_key() == x509.load_pem_x509_csr(second.encode()).public_key()


async def test_a_newer_request_that_was_refused_does_not_hide_the_certificate_in_use(room: Depot) -> None:
    await room.online()
    for text in (csr("CP-1"), csr("CP-1"), "garbage", "rubbish"):
        await room.ask(requested(text))
        await room.work()
    async with room.pool.acquire() as connection:
        latest = await SQL.listed.fetch(
            connection, charge_point=None, site="harbour", latest=True, number=None, most=10
        )

    every = [row["request"] for row in await room.rows()]
    assert [(row["request"], row["state"] or row["fault"]) for row in latest] == [
        (every[0], "unreadable"),
        (every[2], "installed"),
    ]


async def test_without_an_authority_a_request_is_refused_with_what_to_do(
    pool: asyncpg.Pool[Any], tmp_path: Path
) -> None:
    async with depot(pool, tmp_path, authority=False) as room:
        answer = await room.ask(requested(csr("CP-1")))
        assert await room.alarms() == ["request_refused"]

    assert not answer.accepted
    assert answer.reason is not None
    assert answer.reason.code == "NotEnabled"


# --- what goes wrong on the way ------------------------------------------------------------------------------------------


async def test_a_restart_between_any_two_steps_loses_nothing_and_makes_no_second_certificate(room: Depot) -> None:
    await room.ask(requested(csr("CP-1")))
    await room.work(room.restarted())
    assert (await room.state())[0] == "issued", "made, while the charge point was offline"
    assert room.sent == []
    await room.online()
    await room.work(room.restarted())
    await room.work(room.restarted())

    assert (await room.state())[0] == "installed"
    assert len(room.sent) == 1
    assert await room.pool.fetchval("SELECT count(*) FROM certificate") == 1


async def test_two_nodes_sign_and_send_one_request_once(room: Depot) -> None:
    await room.ask(requested(csr("CP-1")))
    await room.online()
    await room.pool.execute("UPDATE certificate_work SET due_at = now() - interval '1 second'")
    nodes = [room.restarted() for _ in range(2)]
    for step in ("_sign", "_deliver"):
        for node in nodes:
            await getattr(node, step)()

    assert len(room.sent) == 1
    assert await room.pool.fetchval("SELECT count(*) FROM certificate") == 1


async def test_an_authority_that_is_away_is_our_trouble_not_the_charge_points(
    pool: asyncpg.Pool[Any], tmp_path: Path
) -> None:
    async with depot(pool, tmp_path, authority=False, est_url=NOWHERE) as room:
        await room.online()
        text = csr("CP-1")
        answers = [await room.ask(requested(text)) for _ in range(3)]
        for _ in range(3):
            await room.work()
        state, problem = await room.state()
        alarms, rows = await room.alarms(), await room.rows()
        await make_authority(room.pool, room.settings)
        await room.work(room.restarted(est_url=None))
        after = await room.state()

    assert [each.accepted for each in answers] == [True] * 3
    assert (state, len(rows), rows[0]["tries"]) == ("due", 1, 3)
    assert "Connection" in (problem or "")
    assert alarms == ["authority_unreachable"]
    assert after == ("installed", None)
    assert len(room.sent) == 1


async def test_without_the_key_nobody_signs_and_an_operator_is_told(room: Depot) -> None:
    await room.ask(requested(csr("CP-1")), at=datetime.now(UTC) - timedelta(minutes=11))
    files.key_path(room.settings).rename(room.settings.data_dir / "elsewhere")
    await room.work()
    await room.certificates._look()

    assert (await room.state())[0] == "due"
    assert await room.alarms() == ["request_waits"]


async def test_a_key_that_others_can_read_is_not_used(room: Depot) -> None:
    await room.ask(requested(csr("CP-1")))
    files.key_path(room.settings).chmod(0o644)
    with pytest.raises(Refused, match="can be read by others"):
        files.load_key(files.key_path(room.settings))
    await room.work()

    assert (await room.state())[0] == "due"


@pytest.mark.parametrize(
    ("answer", "state", "alarms"),
    [
        ("Rejected", "refused", ["not_installed"]),
        ("not_supported", "refused", ["not_installed"]),
        ("call_error", "refused", ["not_installed"]),
        ("timeout", "issued", []),
        ("offline", "issued", []),
    ],
)
async def test_what_a_charge_point_says_to_its_certificate_is_kept(
    room: Depot, answer: str, state: str, alarms: list[str]
) -> None:
    await room.online()
    room.answers = says(answer)
    await room.ask(requested(csr("CP-1")))
    await room.work()
    [row] = await room.rows()

    assert (row["state"], row["outcome"]) == (state, None if answer == "offline" else answer)
    assert await room.alarms() == alarms


async def test_a_charge_point_that_never_answers_is_given_up_in_the_end(room: Depot) -> None:
    await room.online()
    room.answers = says("timeout")
    await room.ask(requested(csr("CP-1")))
    for _ in range(10):
        await room.work()

    assert len(room.sent) == 8
    assert (await room.state())[0] == "refused"
    assert await room.alarms() == ["not_installed"]


async def test_a_chain_longer_than_the_charge_point_takes_is_not_sent(room: Depot) -> None:
    await room.online()
    await room.pool.execute(
        "INSERT INTO device_setting VALUES ('CP-1', 'CertificateSignedMaxChainSize', '100', NULL, now())"
    )
    await room.ask(requested(csr("CP-1")))
    await room.work()

    assert room.sent == []
    assert (await room.state())[0] == "failed"
    assert await room.alarms() == ["not_installed"]


# --- what ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "purpose", "asked"),
    [
        ("ocpp1.6", CertificatePurpose.CHARGE_POINT, ExtendedTriggerMessage(message="SignChargePointCertificate")),
        ("ocpp2.0.1", CertificatePurpose.CHARGE_POINT, TriggerMessage(message="SignChargingStationCertificate")),
        ("ocpp2.0.1", CertificatePurpose.COMBINED, TriggerMessage(message="SignCombinedCertificate")),
    ],
)
async def test_a_certificate_that_ends_is_alarmed_counted_listed_and_renewed_where_that_is_on(
    pool: asyncpg.Pool[Any], tmp_path: Path, protocol: str, purpose: CertificatePurpose, asked: Command
) -> None:
    async with depot(pool, tmp_path, certificate_days=20, certificate_renewal_days=25) as room:
        await room.online(protocol=protocol)
        await room.ask(requested(csr("CP-1"), purpose))
        await room.work()
        room.sent.clear()
        await room.restarted(certificate_renewal_days=None)._look()
        unasked = list(room.sent)
        for _ in range(3):
            await room.certificates._look()
        async with room.pool.acquire() as connection:
            rows = await ending(connection, before=datetime.now(UTC) + timedelta(days=30), site="harbour")
            none = await ending(connection, before=datetime.now(UTC) + timedelta(days=10), site="harbour")
        alarms = await room.alarms()

    assert unasked == []
    assert room.sent == [("CP-1", asked)], "once a day"
    assert alarms == ["certificate_ends"]
    assert REGISTRY.get_sample_value("csms_certificates_ending") == 1
    assert [(row["charge_point"], row["kind"]) for row in rows] == [("CP-1", str(purpose))]
    assert none == []


async def test_a_root_that_ends_is_alarmed(pool: asyncpg.Pool[Any], tmp_path: Path) -> None:
    async with depot(pool, tmp_path, authority=False) as room:
        await make_authority(room.pool, room.settings, days=10)
        await room.certificates._look()
        await room.certificates._look()

        assert await room.alarms() == ["authority_ends"]


async def test_a_revoked_certificate_stands_in_the_list_that_the_listener_reads(room: Depot) -> None:
    path = files.list_path(room.settings)
    node = room.restarted(tls_client_crl=path)
    await room.ask(requested(csr("CP-1")))
    await room.work(node)
    [row] = await room.rows()
    first, loaded = x509.load_pem_x509_crl(path.read_bytes()), room.reloads
    async with room.pool.acquire() as connection:
        await SQL.insert_revocation.fetchval(
            connection, certificate=row["certificate"], reason="superseded", actor="operator"
        )
    await node._sign()
    await node._sign()
    second = x509.load_pem_x509_crl(path.read_bytes())

    assert list(first) == []
    assert [f"{each.serial_number:X}" for each in second] == [row["number"]]
    assert room.reloads == loaded + 1


@pytest.mark.parametrize(
    ("given", "event"),
    [
        ({}, "revocation_list_written"),
        ({"tls_client_ca": "authority.pem", "tls_client_crl": "authority.crl"}, "revocation_list_written"),
        ({"tls_client_ca": "authority.pem", "tls_client_crl": "others.crl"}, "revocation_list_not_used"),
        ({"tls_client_ca": "authority.pem"}, "revocation_list_not_used"),
    ],
    ids=["no TLS", "used", "another one used", "none used"],
)
async def test_a_list_that_the_listener_does_not_read_is_told(room: Depot, given: dict[str, str], event: str) -> None:
    node = room.restarted(**{name: room.settings.data_dir / file for name, file in given.items()})
    with capture_logs() as logged:
        await node._sign()

    assert [line["event"] for line in logged if line["event"].startswith("revocation_list")] == [event]


# --- what charging stations have us find out -----------------------------------------------------------------------------


async def test_what_evs_and_charging_stations_ask_is_kept_with_what_they_were_told(room: Depot) -> None:
    named = CertificateHash(algorithm=HashAlgorithm.SHA256, issuer_name="ab" * 32, issuer_key="cd" * 32, number="5a1f")
    now = datetime.now(UTC)
    ev = await room.certificates.receive(
        "CP-1",
        EvCertificateAsked(schema_version="urn:iso:15118:2:2013:MsgDef", action="Install", exi="gJgB"),
        Protocol.V201,
        now,
    )
    status = await room.certificates.receive(
        "CP-1", CertificateStatusAsked(certificate=named, url="http://169.254.169.254/latest"), Protocol.V201, now
    )
    async with room.pool.acquire() as connection:
        rows = [dict(row) for row in await SQL.inquiries.fetch(connection, charge_point="CP-1", most=9)]

    assert (ev.accepted, ev.exi) == (False, "")  # type: ignore[union-attr]
    assert (status.ocsp_result, status.reason.code) == (None, "NotEnabled")  # type: ignore[union-attr]
    assert [(row["message"], row["accepted"]) for row in rows] == [
        ("GetCertificateStatus", False),
        ("Get15118EVCertificate", False),
    ]
    assert rows[0]["body"] == {
        "hashAlgorithm": "SHA256", "issuerNameHash": "ab" * 32, "issuerKeyHash": "cd" * 32, "serialNumber": "5a1f",
        "responderURL": "http://169.254.169.254/latest",
    }  # fmt: skip
    assert rows[1]["body"] == {
        "iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef",
        "action": "Install",
        "exiRequest": "gJgB",
    }


def test_a_password_of_the_est_server_shows_nowhere() -> None:
    assert "hunter2" not in repr(EstServer(url="https://ca.example", user="csms", password="hunter2"))
