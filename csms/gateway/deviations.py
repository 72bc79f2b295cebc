"""One socket's deviations on their way to whoever counts them, and the refused transaction messages that are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from csms.gateway.application import Application, SocketInfo
from csms.protocol import frames
from csms.protocol.keys import malformed_key
from csms.protocol.quirks import Seen
from csms.protocol.quirks.catalogue import unrepaired
from csms.protocol.salvage import mend
from csms.protocol.translator import TRANSACTION_ACTIONS, Refusal

KEPT_MAX = 1000
"""Refused messages of one socket that are remembered: a charge point in strict mode may repeat them for ever."""


@dataclass(slots=True)
class Deviations:
    application: Application
    _kept: set[bytes] = field(default_factory=set)

    def note(self, socket: SocketInfo, names: Iterable[str], action: str | None, frame: str) -> None:
        self.application.deviated(socket.charge_point, names, action=action, frame=frame)

    async def keep_refused(
        self, socket: SocketInfo, frame: frames.Call | frames.Broken, text: str, why: Refusal
    ) -> None:
        """A transaction message that is answered with an error: its content goes to quarantine, once for each socket.

        Raises:
            DatabaseUnavailable: it could not be kept, so it must not be answered.
        """
        if frame.action not in TRANSACTION_ACTIONS:
            return
        key = _content_key(frame, text)
        if key in self._kept:
            return
        await self.application.quarantined(socket, text, f"refused: {why.code}: {why.description}")
        if len(self._kept) < KEPT_MAX:
            self._kept.add(key)

    def mended_call(self, socket: SocketInfo, broken: frames.Broken, text: str) -> dict[str, Any] | None:
        """The payload of a call that is no transaction message and only has commas too many.

        One that ends too early may have lost anything: it is refused, and the charge point sends it again.
        """
        if broken.action is None or broken.fault is not frames.Fault.NOT_RPC:
            return None
        match self._mended(socket, text, Seen.MESSAGE_MENDED, may_close=False):
            case [frames.CALL, _, str(action), dict(payload)] if action == broken.action:
                self.note(socket, [Seen.MESSAGE_MENDED], action, text)
                return payload
            case _:
                return None

    def mended_answer(self, socket: SocketInfo, text: str) -> str | None:
        """An answer as JSON that was none, where it has one meaning only."""
        match self._mended(socket, text, Seen.ANSWER_MENDED, may_close=True):
            case [frames.CALL_RESULT, str(message_id), dict(payload)]:
                self.note(socket, [Seen.ANSWER_MENDED], None, text)
                return frames.encode_result(message_id, payload)
            case _:
                return None

    def _mended(self, socket: SocketInfo, text: str, name: Seen, *, may_close: bool) -> Any:
        charge_point = socket.charge_point
        if unrepaired({name}, strict=charge_point.strict, switched_off=charge_point.switched_off):
            return None
        return mend(text, may_close=may_close)


def _content_key(frame: frames.Call | frames.Broken, text: str) -> bytes:
    """What is the same in a repeat under another message id."""
    if isinstance(frame, frames.Call):
        return malformed_key(frame.action, frame.payload)
    head, _, rest = text.partition(",")
    return hashlib.sha256(f"{head}{rest.partition(',')[2]}".encode("utf-8", "surrogatepass")).digest()
