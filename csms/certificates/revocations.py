"""The file with the lists of revoked certificates: made of what the database says, one list for each root."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from csms.certificates import files, store
from csms.certificates.authority import LIST_VALID, Authority, Revoked, revocation_list


async def refresh(connection: Any, path: Path, authorities: Sequence[Authority], *, now: datetime) -> bool:
    """Write the file where it does not say what the database says, or half its time is over; whether that was so."""
    valid = [each for each in authorities if each.certificate.not_valid_after_utc > now]
    if not valid:
        return False
    wanted: list[tuple[Authority, list[Revoked]]] = [
        (each, await store.revoked(connection, each.certificate.subject)) for each in valid
    ]
    if not _is_old(path, wanted, now=now):
        return False
    files.write(path, b"".join(revocation_list(authority, each, now=now) for authority, each in wanted))
    return True


def _is_old(path: Path, wanted: Sequence[tuple[Authority, Sequence[Revoked]]], *, now: datetime) -> bool:
    try:
        content = path.read_bytes()
        listed = files.listed_numbers(content)
        ends = x509.load_pem_x509_crl(content).next_update_utc
    except (FileNotFoundError, ValueError):
        return True
    if ends is None or ends - now < LIST_VALID / 2:
        return True
    said = {each.certificate.subject.public_bytes(): frozenset(one.number for one in those) for each, those in wanted}
    return any(listed.get(issuer) is None or not numbers <= listed[issuer] for issuer, numbers in said.items())
