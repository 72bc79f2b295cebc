"""What is odd in a handshake that was admitted all the same, and where it is refused for that. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from urllib.parse import unquote

from csms.charge_points.charge_point import IDENTITY_LENGTH_MAX, ChargePoint
from csms.gateway.habits import habits_of
from csms.gateway.handshake import PATH, Rejected, Subprotocol, basic_credentials, choose_subprotocol, shown
from csms.protocol.quirks import Accommodation, Seen
from csms.protocol.quirks.catalogue import unrepaired

# A proof holds no credentials.
_SHOWN_HEADERS = ("Host", "Upgrade", "Connection", "Origin", "Sec-WebSocket-Protocol", "User-Agent")
_HEADERS_SHOWN_MAX = 20
_NO_IDENTITY = re.compile(rf"/*(?:{PATH}/*)?", re.IGNORECASE)


def identity_in_credentials(path: str, authorization: Sequence[str]) -> str | None:
    """The identity of a charge point that was set to a URL without one, as Grizzl-E does it: its user name.

    The password is checked for that charge point like any other (A00.FR.204: the user name is the identity).
    """
    credentials = basic_credentials(authorization)
    if credentials is None or not _NO_IDENTITY.fullmatch(path.partition("?")[0]):
        return None
    try:
        name = credentials[0].decode()
    except UnicodeDecodeError:
        return None
    return name if 0 < len(name) <= IDENTITY_LENGTH_MAX and name.isprintable() else None


def of_request(path: str, identity: str, registered: str, origins: Sequence[str]) -> set[str]:
    """`identity` is what was found in the path (or credentials), `registered` the spelling of the charge point."""
    found: set[str] = set()
    bare = path.partition("?")[0]
    if "%" in bare:
        found.add(Seen.IDENTITY_ENCODED)
    if identity != registered:
        found.add(Seen.IDENTITY_CASE)
    if _NO_IDENTITY.fullmatch(bare):
        found.add(Seen.IDENTITY_FROM_CREDENTIALS)
    elif unquote(bare) != f"/{PATH}/{identity}":
        found.add(Seen.PATH_REPAIRED)
    if origins:
        found.add(Seen.ORIGIN_SENT)
    return found


def of_subprotocols(offered: Sequence[str], choice: Subprotocol) -> set[str]:
    if not offered:
        return {Seen.SUBPROTOCOL_MISSING}
    return {Seen.SUBPROTOCOL_ORDER} if choice.echo is not None and choice.echo != offered[0] else set()


def subprotocol_for(charge_point: ChargePoint, offered: Sequence[str]) -> Subprotocol:
    """What is spoken: the usual choice, unless the registered version is forced, or none must be offered to be spoken."""
    choice = choose_subprotocol(offered, charge_point)
    if choice.protocol is None:
        return choice
    if Accommodation.PROTOCOL_FORCED in habits_of(charge_point) and charge_point.protocol is not None:
        return Subprotocol(charge_point.protocol, choice.echo)
    if not offered and _refused(charge_point, {Seen.SUBPROTOCOL_MISSING}):
        return Subprotocol(None, None)
    return choice


def refusal_of(charge_point: ChargePoint, found: Iterable[str]) -> Rejected | None:
    """The refusal of a handshake that is not to be repaired for this charge point."""
    name = _refused(charge_point, set(found))
    if name is None:
        return None
    return Rejected(
        status=HTTPStatus.NOT_FOUND,
        reason="not_repaired",
        text=f"{name} is not repaired for this charge point (strict, or switched off)",
        next_step="csms cp set CP --lenient, or csms cp quirks set CP NAME auto",
    )


def as_proof(path: str, headers: Iterable[tuple[str, str]]) -> str:
    """The head of the handshake as evidence: no credentials, and nothing that a terminal obeys."""
    told = [
        (name, value) for name, value in headers if name.title().replace("Websocket", "WebSocket") in _SHOWN_HEADERS
    ]
    lines = [
        f"GET {shown(path.partition('?')[0])} HTTP/1.1",
        *(f"{name}: {shown(value)}" for name, value in told[:_HEADERS_SHOWN_MAX]),
    ]
    return "\n".join(lines)


def _refused(charge_point: ChargePoint, names: set[str]) -> str | None:
    if not names or not (charge_point.strict or charge_point.switched_off):
        return None
    refused = unrepaired(names, strict=charge_point.strict, switched_off=charge_point.switched_off)
    return refused[0].name if refused else None
