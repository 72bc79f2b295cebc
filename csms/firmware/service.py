"""Firmware to charge points, logs from them: asking, and what became of it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing import Refused
from csms.charge_points.charge_point import ChargePoint
from csms.firmware.store import SQL, read_statuses, request_of
from csms.firmware.transfer import Transfer, TransferKind, log_messages, put_together
from csms.nodes.routing import command_to_keep
from csms.protocol.blocks.firmware import LogKind
from csms.protocol.redaction import without_credentials
from csms.protocol.transfer_url import scheme_of
from csms.protocol.vocabulary import Command, Outcome, Protocol

PROFILES = "supportedfeatureprofiles"
PROTOCOLS = {
    Protocol.V16: "supportedfiletransferprotocols",
    Protocol.V201: "ocppcommctrlr.filetransferprotocols",
    Protocol.V21: "ocppcommctrlr.filetransferprotocols",
}
"""Where a charge point announces by which schemes it transfers files, in lower case."""
WHITE_PAPER_KEYS = (
    "additionalrootcertificatecheck",
    "certificatesignedmaxchainsize",
    "certificatestoremaxlength",
    "cponame",
    "securityprofile",
    PROTOCOLS[Protocol.V16],
)
"""Configuration keys that came to 1.6 with the security white paper: who has one has its messages, most likely."""
_MANAGED = frozenset({"UpdateFirmware", "GetDiagnostics"})
"""Messages of 1.6's firmware management profile."""

Send = Callable[[Command], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A message to try, written once the request has its id."""

    message: str
    command: Callable[[int], Command]


class Undelivered(Exception):
    """The command did not reach the charge point, or its answer not us. `answer` is our word for it."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        super().__init__(answer)


async def carry_out(
    connection: Any,
    charge_point: ChargePoint,
    kind: TransferKind,
    attempts: Sequence[Attempt],
    *,
    actor: str,
    send: Send,
) -> tuple[int, Outcome]:
    """Ask, by the next message where the charge point does not know the first; the request's id, and the last outcome.

    The request is in the books before it is sent: the first status may come on the heels of the answer.
    """
    request = await open_request(connection, charge_point, kind, attempts[0], actor=actor)
    return request, await deliver(connection, request, attempts, send=send)


async def deliver(connection: Any, request: int, attempts: Sequence[Attempt], *, send: Send) -> Outcome:
    """Send what is in the books, and enter what came of it. `connection` may be a pool: none is held meanwhile."""
    for number, attempt in enumerate(attempts):
        command = attempt.command(request)
        if number:
            await SQL.ask_otherwise.execute(
                connection, id=request, message=attempt.message, wish=command_to_keep(command)
            )
        try:
            outcome = await send(command)
        except Undelivered as lost:
            accepted = None if lost.answer == "timeout" else False
            await _answered(connection, request, accepted, Outcome(accepted=False, status=lost.answer))
            raise
        if outcome.status != "not_supported":
            break
    await _answered(connection, request, outcome.accepted, outcome)
    return outcome


async def open_request(
    connection: Any, charge_point: ChargePoint, kind: TransferKind, first: Attempt, *, actor: str
) -> int:
    """Enter what is about to be asked; its id, which goes along on the wire."""
    while True:
        id_ = secrets.randbelow(2**31 - 1) + 1
        made: int | None = await SQL.insert_request.fetchval(
            connection, id=id_, charge_point=charge_point.id, kind=str(kind), message=first.message,
            wish=command_to_keep(first.command(id_)), firmware=charge_point.firmware, actor=actor,
        )  # fmt: skip
        if made is not None:
            return made


async def _answered(connection: Any, request: int, accepted: bool | None, outcome: Outcome) -> None:
    await SQL.answer_request.execute(
        connection,
        id=request,
        accepted=accepted,
        answer=outcome.status,
        detail=None if outcome.detail is None else without_credentials(outcome.detail),
        file=outcome.data.get("file"),
    )


async def require_announced(
    connection: Any, charge_point: ChargePoint, protocol: Protocol, message: str, url: str | None
) -> None:
    """Refuse what the charge point has said it cannot do, as far as its settings are known here.

    Raises:
        Refused: naming the setting that says so.
    """
    announced = await _announced(connection, charge_point, [PROFILES, PROTOCOLS[protocol]])
    excluded = protocol is Protocol.V16 and _excludes_management(announced)
    if excluded and message in _MANAGED:
        raise Refused(
            f"{charge_point.id} does not know {message}: its SupportedFeatureProfiles have no FirmwareManagement",
            f"if that has changed, have it told again: csms cp config get {charge_point.id} SupportedFeatureProfiles",
        )
    schemes = announced.get(PROTOCOLS[protocol])
    if url is not None and schemes and scheme_of(url) not in schemes:
        raise Refused(
            f"{charge_point.id} transfers no files by {scheme_of(url)}, only by {', '.join(sorted(schemes))}",
            "give a URL of one of these schemes",
        )


async def _announced(connection: Any, charge_point: ChargePoint, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """What settings list, in lower case, by their names in lower case."""
    rows = await SQL.announced.fetch(connection, charge_point=charge_point.id, names=list(names))
    return {row["name"]: _words(row["value"] or "") for row in rows}


def _excludes_management(announced: Mapping[str, frozenset[str]]) -> bool:
    profiles = announced.get(PROFILES)
    return bool(profiles) and "firmwaremanagement" not in (profiles or ())


def _words(value: str) -> frozenset[str]:
    return frozenset(word.strip().casefold() for word in value.split(",") if word.strip())


async def ways_to_log(connection: Any, charge_point: ChargePoint, protocol: Protocol, kind: LogKind) -> tuple[str, ...]:
    """The messages by which to ask this charge point for a log, in order."""
    knows, lacks = set[str](), set[str]()
    rows = await SQL.known_messages.fetch(connection, charge_point=charge_point.id, firmware=charge_point.firmware)
    for row in rows:
        (knows if row["known"] else lacks).add(row["message"])
    announced = await _announced(connection, charge_point, [PROFILES, *WHITE_PAPER_KEYS])
    if _excludes_management(announced):
        lacks.add("GetDiagnostics")
    if announced.keys() - {PROFILES} or await SQL.has_security_events.fetchval(
        connection, charge_point=charge_point.id
    ):
        knows.add("GetLog")
    only = protocol is not Protocol.V16 or kind is LogKind.SECURITY
    return log_messages(has_get_log_only=only, knows=frozenset(knows - lacks), lacks=frozenset(lacks))


async def transfers(
    connection: Any, kinds: Sequence[TransferKind], *, charge_point: str | None = None, most: int = 20
) -> list[Transfer]:
    """What became of the newest requests of a charge point; of the newest one of each where none is named."""
    named = [str(kind) for kind in kinds]
    if charge_point is None:
        rows = await SQL.newest_requests.fetch(connection, kinds=named)
    else:
        rows = await SQL.requests_of.fetch(connection, charge_point=charge_point, kinds=named, most=most)
    requests = [request_of(row) for row in rows]
    if charge_point is None:
        told = await read_statuses(connection, kinds, [(each.charge_point, each.asked_at) for each in requests])
        return [each for each in put_together(requests, told) if each.request is not None]
    since = requests[-1].asked_at if len(requests) == most else None
    return put_together(requests, await read_statuses(connection, kinds, [(charge_point, since)]))


async def transfer(connection: Any, charge_point: str, kind: TransferKind, request: int) -> Transfer:
    """What became of one request so far."""
    known = await transfers(connection, [kind], charge_point=charge_point)
    return next(each for each in known if each.request is not None and each.request.id == request)


async def transfers_since(
    connection: Any, kind: TransferKind, since: Sequence[tuple[str, datetime]]
) -> dict[int, Transfer]:
    """What became of the requests of charge points, each since an instant of its own, by request."""
    rows = await SQL.requests_since.fetch(
        connection, kind=str(kind), charge_points=[each for each, _ in since], sinces=[at for _, at in since]
    )
    told = await read_statuses(connection, [kind], since)
    known = put_together([request_of(row) for row in rows], told)
    return {each.request.id: each for each in known if each.request is not None}


async def firmware_of(connection: Any, known: Sequence[Transfer]) -> dict[str, str | None]:
    """What the charge points of these transfers said they run when they last booted."""
    names = sorted({each.charge_point for each in known})
    rows = await SQL.firmware_versions.fetch(connection, charge_points=names)
    return {row["id"]: row["firmware"] for row in rows}
