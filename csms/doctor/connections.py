"""What connections and boots show. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

from csms.doctor.chart import RESULT, Chart, Found, Message, Socket, found, many, seconds
from csms.protocol.quirks.catalogue import Make, is_known_make

REDIAL_LATE = timedelta(minutes=3)
REDIALS_MIN = 2
LOOP_MIN, LOOP_WITHIN = 10, timedelta(minutes=10)
BOOTS_MIN, BOOTS_WITHIN = 5, timedelta(hours=1)
RETRY_WITHIN = timedelta(minutes=5)
SOCKETS_MIN = 3
HEARTBEATS_MISSED = 3
SHOWN_MAX = 10


def protocol_changes(chart: Chart) -> Found | None:
    changed = [later for earlier, later in pairwise(chart.sockets) if earlier.protocol != later.protocol]
    if len(changed) < 2:  # noqa: PLR2004 - one change is an update of its firmware
        return None
    return _of_sockets(changed, f"{many(changed, 'change')} within {many(chart.sockets, 'connection')}", chart.sockets)


def redial_late(chart: Chart) -> Found | None:
    late: list[Socket] = []
    longest = timedelta()
    for earlier, later in pairwise(chart.sockets):
        gap = timedelta() if earlier.closed_at is None else later.opened_at - earlier.closed_at
        if gap >= REDIAL_LATE:
            late.append(later)
            longest = max(longest, gap)
    if len(late) < REDIALS_MIN:
        return None
    return _of_sockets(late, f"{many(late, 'time')}, {seconds(longest)} s at most")


def reconnect_loop(chart: Chart) -> Found | None:
    for first, last in zip(chart.sockets, chart.sockets[LOOP_MIN - 1 :], strict=False):
        if last.opened_at - first.opened_at <= LOOP_WITHIN:
            since = first.opened_at
            loop = [each for each in chart.sockets if since <= each.opened_at <= since + LOOP_WITHIN]
            return _of_sockets(loop, f"{many(loop, 'connection')} within {seconds(LOOP_WITHIN)} s")
    return None


def boot_missing(chart: Chart) -> Found | None:
    if chart.charge_point.booted_at is not None:
        return None
    return found(list(chart.calls), f"{many(chart.calls, 'message')} and no boot")


def boot_on_reconnect(chart: Chart) -> Found | None:
    boots = chart.told("BootNotification")
    heard = _sockets_heard(chart)
    booted = {each.socket for each in boots}
    if len(heard) < SOCKETS_MIN or not heard <= booted:
        return None
    return found(boots, f"{many(boots, 'boot')} on {many(heard, 'connection')}")


def boot_loop(chart: Chart) -> Found | None:
    boots = chart.told("BootNotification")
    for first, last in zip(boots, boots[BOOTS_MIN - 1 :], strict=False):
        if last.at - first.at <= BOOTS_WITHIN:
            loop = [each for each in boots if first.at <= each.at <= first.at + BOOTS_WITHIN]
            return found(loop, f"{many(loop, 'boot')} within an hour")
    return None


def boot_retried(chart: Chart) -> Found | None:
    boots = chart.told("BootNotification")
    retried = [
        later
        for earlier, later in pairwise(boots)
        if earlier.socket == later.socket and earlier.content == later.content and later.at - earlier.at <= RETRY_WITHIN
    ]
    return found(retried, f"{many(retried, 'boot')} repeat the one before on the same connection")


def calls_before_boot(chart: Chart) -> Found | None:
    early: list[Message] = []
    for of_socket in _by_socket(chart).values():
        actions = [each.action for each in of_socket]
        if "BootNotification" in actions[1:] and actions[0] != "BootNotification":
            early += of_socket[: actions.index("BootNotification")]
    if not early:
        return None
    words = ", ".join(sorted({each.action or "?" for each in early}))
    return found(early, f"{words} before the boot", proof=early[0])


def heartbeat_missing(chart: Chart) -> Found | None:
    """Only of connections of which every message is kept; what was asked of it shows that the socket was alive."""
    if not chart.messages:
        return None
    beats = {each.socket for each in chart.told("Heartbeat")}
    known_since = chart.messages[0].at
    by_socket = _by_socket(chart)
    patience = timedelta(seconds=HEARTBEATS_MISSED * chart.heartbeat_interval_s)
    for socket in reversed(chart.sockets):
        of_socket = by_socket.get(socket.id, [])
        lived = (socket.closed_at or chart.now) - max(socket.opened_at, known_since)
        if of_socket and socket.id not in beats and lived >= patience:
            return found(
                of_socket, f"a connection of {seconds(lived)} s without one, told every {chart.heartbeat_interval_s} s"
            )
    return None


def vendor_unknown(chart: Chart) -> Found | None:
    known = chart.charge_point
    if not known.vendor or is_known_make(Make(known.vendor, known.model, known.firmware)):
        return None
    return found(chart.told("BootNotification"), f"{known.vendor} {known.model or ''}".strip())


def template_rejected(chart: Chart) -> Found | None:
    """By the answer that is kept, else by what was stored of it."""
    taken = {"Accepted", "RebootRequired", "AcceptedCanceled", "Scheduled"}
    rejected = [(name, wanted, status) for name, wanted, status in chart.template if status not in taken]
    if not rejected:
        return None
    evidence = ", ".join(f"{name}={wanted}: {status}" for name, wanted, status in rejected)
    answers = [
        each
        for each in chart.answers
        if each.action in {"ChangeConfiguration", "SetVariables"} and not _is_accepted(each)
    ]
    at = chart.charge_point.booted_at or chart.now
    return found(answers, evidence) or Found(
        evidence=evidence, frame=evidence, count=len(rejected), first_at=at, last_at=at
    )


def _is_accepted(answer: Message) -> bool:
    return answer.kind == RESULT and '"Rejected"' not in answer.body and '"NotSupported"' not in answer.body


def _of_sockets(sockets: Sequence[Socket], evidence: str, shown: Sequence[Socket] = ()) -> Found:
    lines = [str(each) for each in (shown or sockets)[-SHOWN_MAX:]]
    return Found(
        evidence=evidence,
        frame="\n".join(lines),
        count=len(sockets),
        first_at=sockets[0].opened_at,
        last_at=sockets[-1].opened_at,
    )


def _by_socket(chart: Chart) -> dict[UUID, list[Message]]:
    """The charge point's calls by connection, of those connections whose begin is in sight."""
    seen: dict[UUID, list[Message]] = defaultdict(list)
    opened = {socket.id: socket.opened_at for socket in chart.sockets}
    oldest = chart.messages[0].at if chart.messages else chart.now
    for each in chart.calls:
        if each.socket in opened and opened[each.socket] >= oldest - timedelta(seconds=5):
            seen[each.socket].append(each)
    return seen


def _sockets_heard(chart: Chart) -> set[UUID]:
    return set(_by_socket(chart))
