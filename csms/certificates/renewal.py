"""Having a charge point ask for a new certificate: it makes a key and sends a request, of which all else comes."""

from __future__ import annotations

from csms.protocol.blocks.certificate_facts import CertificatePurpose
from csms.protocol.blocks.firmware import ExtendedTriggerMessage
from csms.protocol.vocabulary import Command, Protocol, TriggerMessage

TRIGGERS = {
    CertificatePurpose.CHARGE_POINT: "SignChargingStationCertificate",
    CertificatePurpose.V2G: "SignV2GCertificate",
    CertificatePurpose.COMBINED: "SignCombinedCertificate",
}
"""MessageTriggerEnumType of 2.0.1 (A02, A03)."""


def renewal(protocol: Protocol, purpose: CertificatePurpose) -> Command | None:
    """What to ask for; None where the version has no such certificates."""
    if protocol is not Protocol.V16:
        return TriggerMessage(message=TRIGGERS[purpose])
    if purpose is CertificatePurpose.V2G:
        return None
    return ExtendedTriggerMessage(message="SignChargePointCertificate")
