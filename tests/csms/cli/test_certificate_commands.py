"""Certificates end to end: our own authority, real TLS, simulated charge points of both versions, the console script."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from cli_room import QUICK, Installation, environment, run, serving, until
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from simulators.charge_point import Build, Credentials, HandshakeRefusedError, ModelClock, SimulatedChargePoint
from tests.conftest import directory_for_everybody

OPERATOR = "Example Charging Ltd"
PROTOCOLS = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
OURS = {"ocpp1.6": "CentralSystemRootCertificate", "ocpp2.0.1": "CSMSRootCertificate"}
SITE = ("--name", "Depot", "--country", "DE", "--time-zone", "Europe/Berlin", "--currency", "EUR")
ORGANISATION = {"ocpp1.6": "CpoName", "ocpp2.0.1": "SecurityCtrlr.OrganizationName"}


@dataclass(frozen=True, slots=True)
class Depot:
    """An installation that signs certificates itself and speaks TLS; `root`: who signed its own certificate, PEM."""

    shop: Installation
    root: str
    home: Path

    @contextlib.asynccontextmanager
    async def station(
        self, identity: str, protocol: str, *, site: str = "harbour", **build: Any
    ) -> AsyncIterator[SimulatedChargePoint]:
        """A charge point of profile 2 that has come by TLS and booted; it knows its operator's name."""
        made = await self.shop.data(
            "cp", "create", identity, "--site", site, "--protocol", protocol, "--security-profile", 2
        )
        password = str(made["password"])
        url = str(self.shop.ready["ocpps_url"])
        how = Build(**{"protocol": protocol, "reconnect": QUICK, "boot_wait_max_s": 20.0, **build})
        credentials = Credentials(url=url, identity=identity, password=password)
        async with SimulatedChargePoint(credentials, ModelClock(datetime.now(UTC)), how) as station:
            station.dialect.settings.entries[ORGANISATION[protocol]].value = OPERATOR
            station.certificates.install(OURS[protocol], self.root)
            station.link.tls = station.certificates.context()
            await station.boot()
            yield station

    def logged(self, event: str, **more: str) -> int:
        lines = [json.loads(line) for line in self.shop.log_path.read_text().splitlines() if line.startswith("{")]
        return sum(1 for line in lines if more.items() <= line.items() and line.get("event") == event)


@pytest.fixture(scope="module")
def depot() -> Iterator[Depot]:
    for home in directory_for_everybody():
        servers = trustme.CA()
        leaf = servers.issue_cert("localhost", "127.0.0.1")
        leaf.cert_chain_pems[0].write_to_path(home / "server.pem")
        leaf.private_key_pem.write_to_path(home / "server.key")
        data = home / "data"
        made = asyncio.run(
            run(environment(data), "certificate", "authority", "create", "--organisation", OPERATOR, "-o", "json")
        )
        assert made.code == 0, made.err
        given = {
            "CSMS_TLS_PORT": "0",
            "CSMS_TLS_CERT": str(home / "server.pem"),
            "CSMS_TLS_KEY": str(home / "server.key"),
            "CSMS_TLS_CLIENT_CA": made.json["certificates"],
            "CSMS_TLS_CLIENT_CRL": made.json["revocation_list"],
            "CSMS_CERTIFICATE_SWEEP_INTERVAL_S": "0.5",
            "CSMS_CERTIFICATE_REQUESTS_PER_HOUR": "8",
        }
        with serving(data, **given) as shop:
            made = asyncio.run(shop.csms("site", "create", "harbour", *SITE))
            assert made.code == 0, made.err
            yield Depot(shop, servers.cert_pem.bytes().decode(), home)


async def by_certificate(station: SimulatedChargePoint) -> None:
    """Come again by what it holds, without a password."""
    station.link.credentials = replace(station.link.credentials, password="")
    await station.certificates.use()


@PROTOCOLS
async def test_a_certificate_is_rotated_over_tls_and_the_old_one_counts_no_longer(depot: Depot, protocol: str) -> None:
    name, shop = f"ROTATED-{protocol}", depot.shop
    async with depot.station(name, protocol) as station:
        first = await shop.data("certificate", "renew", name, "--wait")
        old = station.certificates.context()
        await shop.data("cp", "set", name, "--security-profile", "3")
        await by_certificate(station)
        second = await shop.data("certificate", "renew", name, "--wait")
        await by_certificate(station)
        new = station.link.tls
        loaded = depot.logged("certificates_reloaded")
        revoked = await shop.data("certificate", "revoke", first["number"], "--reason", "superseded")

        async def reloaded() -> bool:
            return depot.logged("certificates_reloaded") > loaded

        await until(reloaded)
        station.link.tls = old
        await station.offline()
        with pytest.raises(HandshakeRefusedError) as refused:
            await station.online_again()
        station.link.tls = new
        await station.online_again()
        shown = await shop.data("certificate", "show", name)

    assert (first["outcome"], first["state"]) == (second["outcome"], second["state"]) == ("Accepted", "installed")
    assert first["number"] != second["number"]
    assert (refused.value.status, "revoked" in refused.value.message) == (403, True)
    assert (revoked["state"], revoked["charge_point"], revoked["list_written"]) == ("revoked", name, True)
    assert [(row["number"], row["state"]) for row in shown["certificates"]] == [
        (second["number"], "installed"),
        (first["number"], "revoked"),
    ]
    assert (shown["number"], shown["reported"], shown["security_profile"]) == (second["number"], "Accepted", 3)
    leaf = x509.load_pem_x509_certificate(shown["certificates"][0]["chain"].encode())
    assert leaf.subject.rfc4514_string() == f"CN={name},O={OPERATOR}"
    assert [each["use"] for each in shown["trusted"]] == ["csms"]


async def test_a_certificate_that_is_revoked_ends_the_socket_that_came_by_it(depot: Depot) -> None:
    name, shop = "REVOKED", depot.shop

    async def offline() -> bool:
        return not (await shop.data("cp", "show", name))["online"]

    async with depot.station(name, "ocpp1.6") as station:
        made = await shop.data("certificate", "renew", name, "--wait")
        await shop.data("cp", "set", name, "--security-profile", "3")
        await by_certificate(station)
        before = await shop.data("cp", "show", name)
        await shop.data("certificate", "revoke", made["number"], "--reason", "key-compromise")
        await until(offline)
        ended = depot.logged("socket_ended", charge_point=name)

    assert (before["online"], ended) == (True, 1)


@PROTOCOLS
async def test_a_request_that_may_not_be_signed_is_refused_and_shown_with_what_to_do(
    depot: Depot, protocol: str
) -> None:
    name, shop = f"REFUSED-{protocol}", depot.shop
    sign = call16.SignCertificate if protocol == "ocpp1.6" else call201.SignCertificate
    stranger = weak_request(name)
    async with depot.station(name, protocol) as station:
        answers = [await station.ask(sign(csr=csr)) for csr in ("garbage", stranger)]
        await station.link.send_raw(json.dumps([2, "long", "SignCertificate", {"csr": "x" * 10_000}]))
        station.dialect.settings.entries[ORGANISATION[protocol]].value = "Another Operator"
        await station.certificates.renew()

        async with shop.connection() as connection:
            kept = "SELECT count(*) = 4 FROM certificate_request WHERE charge_point = $1"
            await until(lambda: connection.fetchval(kept, name))
        station.dialect.settings.entries[ORGANISATION[protocol]].value = OPERATOR
        flood = [await station.certificates.renew() for _ in range(8)]
        listed = await shop.data("certificate", "list", name)
        alarms = await shop.data("certificate", "alarms", name)

    assert [str(answer.status) for answer in answers] == ["Rejected", "Rejected"]
    if protocol != "ocpp1.6":
        assert answers[1].status_info["reason_code"] == "InvalidCSR"
    assert flood == ["Accepted"] * 4 + ["Rejected"] * 4
    refused = [row for row in listed if row["state"] == "rejected"]
    assert ["O is not" in row["problem"] for row in refused] == [True, False, False, False]
    assert all(row["next"] for row in refused)
    assert sorted({each["kind"] for each in alarms}) == ["request_refused", "too_many_requests"]


def weak_request(name: str) -> str:
    """RSA-1024, in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - as weak as the test says
    subject = x509.Name([
        x509.NameAttribute(x509.NameOID.COMMON_NAME, name), x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, OPERATOR),
    ])  # fmt: skip
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


async def test_a_charge_point_that_refuses_its_certificate_or_knows_no_such_message_is_shown(depot: Depot) -> None:
    shop = depot.shop
    async with (
        depot.station("STUBBORN", "ocpp2.0.1") as stubborn,
        depot.station("SIMPLE", "ocpp1.6", unknown=frozenset({"ExtendedTriggerMessage", "GetInstalledCertificateIds"})),
    ):
        stubborn.certificates.refuses = True
        refused = await shop.csms("certificate", "renew", "STUBBORN", "--wait", "-o", "json")
        unknown = await shop.csms("certificate", "renew", "SIMPLE", "-o", "json")
        v2g = await shop.csms("certificate", "renew", "SIMPLE", "--purpose", "v2g", "-o", "json")
        shown = await shop.data("certificate", "show", "SIMPLE")
        alarms = await shop.data("certificate", "alarms", "STUBBORN")
    offline = await shop.csms("certificate", "renew", "STUBBORN")

    assert (refused.code, refused.json["outcome"], refused.json["detail"]) == (5, "refused", "Rejected")
    assert (unknown.code, unknown.json["outcome"]) == (5, "not_supported")
    assert (v2g.code, v2g.json["outcome"]) == (5, "not_supported")
    assert (shown["reported"], shown["trusted"], shown["number"]) == ("not_supported", [], None)
    assert [each["kind"] for each in alarms] == ["not_installed"]
    assert (offline.code, offline.error["code"]) == (1, "offline")


async def test_a_fleet_is_given_a_root_and_forgets_it_again(depot: Depot) -> None:
    shop, file = depot.shop, depot.home / "next.pem"
    following = trustme.CA()
    following.cert_pem.write_to_path(file)
    await shop.csms("site", "create", "yard", *SITE)
    async with (
        depot.station("FLEET-16", "ocpp1.6", site="yard") as old,
        depot.station("FLEET-201", "ocpp2.0.1", site="yard") as new,
    ):
        await shop.data("cp", "create", "FLEET-AWAY", "--site", "yard")
        foreseen = await shop.csms("certificate", "install", file, "--site", "yard", "--dry-run", "-o", "json")
        untouched = [len(each.certificates.trusted[OURS[each.build.protocol]]) for each in (old, new)]
        done = await shop.csms("certificate", "install", file, "--site", "yard", "-o", "json")
        listed = await shop.data("certificate", "list", "--trusted", "--site", "yard")
        numbers = {each["number"].upper().lstrip("0") for each in listed if each["subject"] is None}
        [server_root] = numbers
        given = next(each["number"] for each in listed if each["subject"] is not None)
        one = await shop.data("certificate", "delete", server_root, "FLEET-16")
        last = await shop.csms("certificate", "delete", given, "FLEET-16", "-o", "json")
        forced = await shop.csms("certificate", "delete", given, "--site", "yard", "--force", "-o", "json")
        left = await shop.data("certificate", "list", "--trusted", "--site", "yard")

    assert {row["id"]: row["outcome"] for row in foreseen.json} == {
        "FLEET-16": "would_be_asked", "FLEET-201": "would_be_asked", "FLEET-AWAY": "offline",
    }  # fmt: skip
    assert untouched == [1, 1]
    assert done.code == 8
    assert {row["id"]: row["outcome"] for row in done.json} == {
        "FLEET-16": "Accepted", "FLEET-201": "Accepted", "FLEET-AWAY": "offline",
    }  # fmt: skip
    assert len(listed) == 4
    assert {each["charge_point"] for each in listed if each["subject"]} == {"FLEET-16", "FLEET-201"}
    assert (one["outcome"], one["deleted"]) == ("Accepted", 1)
    assert (last.code, last.json["outcome"], "last one" in last.json["detail"]) == (5, "refused", True)
    assert forced.code == 8
    assert [row.get("deleted") for row in forced.json] == [1, 1, None]
    assert [each["charge_point"] for each in left] == ["FLEET-201"]


async def test_the_authority_is_shown_renewed_and_printed_and_what_ends_is_listed(depot: Depot) -> None:
    shop = depot.shop
    again = await shop.csms("certificate", "authority", "create", "--organisation", OPERATOR)
    before = await shop.data("certificate", "authority", "show")
    renewed = await shop.data("certificate", "authority", "renew", "--days", "10")
    printed = await shop.csms("certificate", "authority", "export")
    ends = await shop.csms("certificate", "expiring", "-o", "json")
    unknown = await shop.csms("certificate", "revoke", "5A1F09C3")
    wrong = await shop.csms("certificate", "install", depot.home / "server.key", "--all")
    nobody = await shop.csms("certificate", "inquiries", "NOBODY")
    mode, file = seen(Path(before["key"]))[0], seen(Path(renewed["certificates"]))[1]

    assert (again.code, again.error["code"]) == (7, "conflict")
    assert (before["organisation"], before["signs"], before["key_is_here"], before["roots"]) == (
        OPERATOR,
        "own",
        True,
        1,
    )
    assert mode == 0o600
    assert (renewed["roots"], renewed["key_is_here"], renewed["number"] != before["number"]) == (2, True, True)
    roots = x509.load_pem_x509_certificates(printed.out.encode())
    assert [f"{each.serial_number:X}" for each in roots] == [renewed["number"], before["number"]]
    assert file == printed.out
    assert ends.code == 6
    assert [(row["kind"], row["number"]) for row in ends.json] == [("authority", renewed["number"])]
    assert (unknown.code, nobody.code) == (3, 3)
    assert (wrong.code, "private key" in wrong.error["message"]) == (2, True)


def seen(path: Path) -> tuple[int, str]:
    """Who may read a file, and what is in it."""
    return path.stat().st_mode & 0o777, path.read_text()
