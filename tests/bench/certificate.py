"""A certificate for the servers of the benchmark, and the trust of its charge points in who signed it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """ECDSA P-256. `trusting` is what charge points connect with."""

    chain: Path
    key: Path
    trusting: ssl.SSLContext


def make_certificate(directory: Path) -> Certificate:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    chain, key = directory / "server.pem", directory / "server.key"
    chain.write_bytes(b"".join(each.bytes() for each in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    return Certificate(chain=chain, key=key, trusting=trusting)
