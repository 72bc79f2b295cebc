"""OCPP 2.1 as a charging station speaks it that does nothing new: the 2.0.1 dialect, held to the schemas of 2.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocpp.v21 import ChargePoint as Peer

from simulators.charge_point.dialect import route_map
from simulators.charge_point.v201 import Dialect201

if TYPE_CHECKING:
    from simulators.charge_point.link import Connection


class Dialect21(Dialect201):
    """The package takes the dataclasses of 2.0.1 for the messages that both versions have: it goes by their names."""

    subprotocol = "ocpp2.1"

    def peer(self, connection: Connection) -> Any:
        """The package's ChargePoint for one connection."""
        station = self._station
        peer = Peer(station.identity, connection, response_timeout=station.build.call_timeout_s)
        peer.route_map = route_map(self._handlers(), station.run_follow_ups)
        return peer
