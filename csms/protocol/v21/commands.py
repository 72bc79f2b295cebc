"""Commands that OCPP 2.1 wants written otherwise than 2.0.1."""

from __future__ import annotations

from csms.protocol.blocks.monitoring import SetNetworkProfile
from csms.protocol.outgoing import Call, Writers
from csms.protocol.v201 import monitoring


def set_network_profile(command: SetNetworkProfile) -> Call:
    """Without `ocppVersion`: the handshake settles it, and 2.1 ignores the field."""
    _, payload = monitoring.set_network_profile(command)
    data = payload["connectionData"]
    assert isinstance(data, dict), "a network profile is an object"
    return "SetNetworkProfile", payload | {
        "connectionData": {name: data[name] for name in data if name != "ocppVersion"}
    }


CALLS: Writers = {SetNetworkProfile: set_network_profile}
