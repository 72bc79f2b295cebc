"""What `csms serve` says of certificate files before it starts anything."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from tls_room import Authority, Files

from csms.gateway.tls import SUITES_TLS_1_2, Tls, TlsFilesInvalid, load_tls
from csms.settings import SettingsInvalid, load_settings


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def loaded(*servers: Files, now: datetime | None = None, **more: Any) -> Tls | None:
    certificates = tuple(each.certificate for each in servers)
    keys = tuple(each.key for each in servers)
    settings = load_settings({}, tls_cert=certificates, tls_key=keys, **more)
    return load_tls(settings, now=now or datetime.now(UTC))


def test_without_certificate_there_is_no_tls() -> None:
    assert loaded() is None


def test_both_kinds_of_certificate_make_one_context_with_the_four_suites(authority: Authority) -> None:
    tls = loaded(authority.server(rsa_key=True), authority.server(rsa_key=False))

    assert tls is not None
    assert tls.rules is None
    old = [each["name"] for each in tls.context.get_ciphers() if each["protocol"] != "TLSv1.3"]
    assert old == list(SUITES_TLS_1_2)


def missing(files: Files, _: Authority) -> Files:
    files.key.unlink()
    return files


def swapped(files: Files, _: Authority) -> Files:
    return Files(certificate=files.key, key=files.certificate)


def of_another(files: Files, authority: Authority) -> Files:
    return Files(certificate=files.certificate, key=authority.signed().key)


def with_pass_phrase(files: Files, _: Authority) -> Files:
    key = load_pem_private_key(files.key.read_bytes(), password=None)
    files.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a pass phrase"))
    )
    return files


def a_directory(files: Files, _: Authority) -> Files:
    return Files(certificate=files.certificate.parent, key=files.key)


def expired(_: Files, authority: Authority) -> Files:
    return authority.signed(valid_until=timedelta(hours=-1))


def from_tomorrow(_: Files, authority: Authority) -> Files:
    return authority.signed(valid_from=timedelta(days=1), valid_until=timedelta(days=2))


def weak(_: Files, authority: Authority) -> Files:
    return authority.signed(key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - weak on purpose


def of_no_kind_of_ours(_: Files, authority: Authority) -> Files:
    return authority.signed(key=ed25519.Ed25519PrivateKey.generate())


@pytest.mark.parametrize(
    ("spoil", "problem", "next_step"),
    [
        (missing, "there is no such file", "path"),
        (swapped, "holds no certificate", "mixed up"),
        (of_another, "is not the key of", "same order"),
        (with_pass_phrase, "pass phrase", "openssl pkey"),
        (a_directory, "cannot be read", "account"),
        (expired, "expired on", "renew it"),
        (from_tomorrow, "is not valid before", "clock"),
        (weak, "key of 1024 bits", "2048"),
        (of_no_kind_of_ours, "neither RSA nor ECDSA", "use RSA"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_to_do(
    authority: Authority, spoil: Callable[[Files, Authority], Files], problem: str, next_step: str
) -> None:
    files = spoil(authority.server(rsa_key=False), authority)

    with pytest.raises(TlsFilesInvalid, match=problem) as invalid:
        loaded(files)

    assert next_step in invalid.value.next_step
    assert str(authority.directory) in str(invalid.value)


def test_two_certificates_of_one_kind_are_refused(authority: Authority) -> None:
    with pytest.raises(TlsFilesInvalid, match="second RSA certificate"):
        loaded(authority.server(rsa_key=True), authority.server(rsa_key=True, name="other"))


def test_a_certificate_that_ends_soon_is_told(authority: Authority) -> None:
    files = authority.signed(valid_until=timedelta(days=20))
    tls = loaded(files)

    assert tls is not None
    assert [(each.file, each.what) for each in tls.expiries] == [(files.certificate, "server certificate")]


def test_a_list_of_revoked_certificates_counts_by_issuer(authority: Authority) -> None:
    stolen = authority.signed()
    crl = authority.revocation_list(stolen)
    tls = loaded(authority.server(rsa_key=False), tls_client_ca=authority.file, tls_client_crl=crl)

    assert tls is not None
    assert tls.rules is not None
    assert [len(numbers) for numbers in tls.rules.revoked.values()] == [1]


def test_a_list_past_its_date_still_revokes_and_is_told(authority: Authority) -> None:
    crl = authority.revocation_list(authority.signed(), next_update=timedelta(days=-1))
    tls = loaded(authority.server(rsa_key=False), tls_client_ca=authority.file, tls_client_crl=crl)

    assert tls is not None
    assert tls.rules is not None
    assert tls.rules.revoked
    assert ["revocation list" in each.what for each in tls.expiries] == [True]


def test_a_list_that_nobody_signed_whom_we_trust_is_refused(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    with pytest.raises(TlsFilesInvalid, match="is signed by no certificate"):
        loaded(authority.server(rsa_key=False), tls_client_ca=authority.file, tls_client_crl=stranger.revocation_list())


@pytest.mark.parametrize(
    ("name", "problem"), [("tls_client_ca", "no certificate"), ("tls_client_crl", "no revocation")]
)
def test_files_for_client_certificates_are_checked_too(authority: Authority, name: str, problem: str) -> None:
    wrong = authority.directory / "wrong.pem"
    shutil.copy(authority.signed().key, wrong)
    with pytest.raises(TlsFilesInvalid, match=problem):
        loaded(authority.server(rsa_key=False), **{"tls_client_ca": authority.file, name: wrong})


def test_a_client_ca_that_has_expired_is_refused(authority: Authority) -> None:
    old = authority.signed(valid_until=timedelta(hours=-1))
    with pytest.raises(TlsFilesInvalid, match="every certificate in it has expired"):
        loaded(authority.server(rsa_key=False), tls_client_ca=old.certificate)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tls_cert": ("a.pem",)}, "each certificate needs its key"),
        ({"tls_cert": ("a.pem",), "tls_key": ("a.key", "b.key")}, "each certificate needs its key"),
        ({"tls_client_ca": "ca.pem"}, "needs TLS"),
        ({"tls_cert": ("a.pem",), "tls_key": ("a.key",), "tls_client_crl": "crl.pem"}, "needs the issuer"),
        ({"ocpp_plain": False}, "without a plain port"),
        ({"tls_cert": ("a.pem",), "tls_key": ("a.key",), "tls_port": 9000}, "one port cannot be plain and TLS"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        load_settings({}, **given)


def test_files_can_be_set_in_the_environment() -> None:
    settings = load_settings({"CSMS_TLS_CERT": "rsa.pem,ec.pem", "CSMS_TLS_KEY": "rsa.key,ec.key"})

    assert settings.tls_cert == (Path("rsa.pem"), Path("ec.pem"))
    assert settings.tls_key == (Path("rsa.key"), Path("ec.key"))
