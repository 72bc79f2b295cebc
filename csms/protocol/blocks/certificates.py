"""Certificates: what is asked of charge points."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from csms.protocol.blocks.certificate_facts import CertificateHash, CertificatePurpose
from csms.protocol.vocabulary import Command


class CertificateUse(StrEnum):
    """What an installed certificate is trusted for. `csms`: us; `v2g_chain`: the charge point's own towards EVs."""

    CSMS = "csms"
    MANUFACTURER = "manufacturer"
    V2G = "v2g"
    MO = "mo"
    V2G_CHAIN = "v2g_chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSignedCertificate(Command):
    """`chain`: PEM, the charge point's own certificate first (CertificateSigned)."""

    chain: str
    purpose: CertificatePurpose = CertificatePurpose.CHARGE_POINT


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallCertificate(Command):
    """`certificate`: PEM, of a root."""

    use: CertificateUse
    certificate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteCertificate(Command):
    certificate: CertificateHash


@dataclass(frozen=True, slots=True, kw_only=True)
class GetInstalledCertificates(Command):
    """`uses` empty: of all uses (2.0.1 only; 1.6 asks for one at a time)."""

    uses: tuple[CertificateUse, ...] = ()
