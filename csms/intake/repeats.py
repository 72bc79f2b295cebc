"""A status that says again what has just been stored: charge points with a loose contact send hundreds a second. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from csms.protocol.vocabulary import StatusReported

WITHIN: Final = timedelta(seconds=1)
ANSWER_PAUSE_S: Final = 0.01
"""How long each repeat waits for its answer: whoever floods is slowed, to a hundred a second, and nobody else."""
CONNECTORS_MAX: Final = 64
"""Of one socket that are remembered; beyond, all are stored."""


@dataclass(slots=True)
class StatusRepeats:
    """What each open socket has told last of each connector, as it is stored.

    Sessions are folded without repeats, so of a run of them one a second is enough; a change is always stored.
    """

    _stored: dict[UUID, dict[tuple[int, int], tuple[StatusReported, datetime]]] = field(default_factory=dict)

    def holds(self, socket: UUID, status: StatusReported, *, at: datetime) -> bool:
        """Whether it is the same as what was stored of this connector last, within the last second by both clocks."""
        known = self._stored.get(socket, {}).get((status.evse, status.connector))
        if known is None:
            return False
        before, stored_at = known
        if replace(before, at=status.at) != status or not timedelta(0) <= at - stored_at < WITHIN:
            return False
        if before.at is None or status.at is None:
            return before.at is status.at
        return timedelta(0) <= status.at - before.at < WITHIN

    def stored(self, socket: UUID, status: StatusReported, *, at: datetime) -> None:
        """It is committed, as it came `at`."""
        of_socket = self._stored.setdefault(socket, {})
        connector = (status.evse, status.connector)
        if connector in of_socket or len(of_socket) < CONNECTORS_MAX:
            of_socket[connector] = (status, at)

    def closed(self, socket: UUID) -> None:
        """Nothing more comes from there."""
        self._stored.pop(socket, None)
