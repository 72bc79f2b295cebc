"""Reservations between us and charge points: what was asked and answered, what was told, what has become of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from asyncpg import Record

from billing import AlreadyDone, NotFound, Queries, Refused
from csms.protocol.blocks.reservation_facts import ReservationReported
from csms.protocol.vocabulary import Acknowledged, Decision, Outcome, TokenStatus
from csms.reservations.reservation import (
    OPEN,
    Answered,
    Question,
    Reservation,
    ReservationFact,
    Standing,
    State,
    Told,
    Used,
    next_step,
    standing,
)
from csms.tokens.service import verdicts_at
from csms.tokens.token import canonical

SQL = Queries.load(__package__)
ID_MAX = 2**31 - 1
PAGE = 500
"""So many reservations are folded at once."""
UNKNOWN_ANSWERS = frozenset({"timeout", "invalid_answer"})
"""Outcomes after which nobody knows what the charge point does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A reservation with all that is known of it."""

    reservation: Reservation
    facts: tuple[ReservationFact, ...]
    now: Standing

    @property
    def next_step(self) -> str | None:
        return next_step(self.reservation, self.now, self.facts)


# --- what charging stations tell -------------------------------------------------------------------------------------


async def record(connection: Any, charge_point: str, fact: ReservationReported, *, at: datetime) -> Decision:
    """Keep what was told before it is acknowledged."""
    await SQL.insert_report.execute(
        connection, charge_point=charge_point, reservation=fact.reservation, status=fact.status,
        quirks=",".join(fact.quirks), received_at=at,
    )  # fmt: skip
    return Acknowledged()


# --- what we ask -----------------------------------------------------------------------------------------------------


async def require_token(connection: Any, uid: str, *, at: datetime) -> str:
    """The token as it is known here.

    Raises:
        Refused: nobody may charge by it now, so that nothing is kept for it.
    """
    name = canonical(uid)
    verdicts = await verdicts_at(connection, [(name, at)])
    status = verdicts[name, at].status
    if status is TokenStatus.ACCEPTED:
        return name
    rules = {
        TokenStatus.INVALID: ("is not known", f"issue it: csms token issue {name}"),
        TokenStatus.BLOCKED: ("is blocked", f"unblock it: csms token unblock {name}"),
        TokenStatus.EXPIRED: ("has expired", f"issue it with a later end: csms token issue {name} --expires ..."),
    }
    rule, step = rules.get(status, (f"may not charge ({status})", "see csms token list"))
    raise Refused(f"token {name} {rule}: nothing is reserved for it", step)


async def open_reservation(
    connection: Any,
    *,
    charge_point: str,
    evse: int | None,
    token: str,
    group: str | None,
    until: datetime,
    actor: str,
) -> int:
    """What is about to be asked for, in the books before it is sent; its id."""
    id_: int = await SQL.insert_reservation.fetchval(
        connection, charge_point=charge_point, evse=evse, token=token, group_id=group, until=until, actor=actor
    )
    return id_


async def record_answer(connection: Any, reservation: int, question: Question, outcome: Outcome, *, actor: str) -> None:
    accepted = None if outcome.status in UNKNOWN_ANSWERS else outcome.accepted
    await SQL.insert_answer.execute(
        connection, reservation=reservation, question=str(question), accepted=accepted, status=outcome.status,
        detail=outcome.detail, actor=actor,
    )  # fmt: skip


def require_open(known: Known) -> None:
    """Only what the charge point keeps, or may keep, can be cancelled.

    Raises:
        AlreadyDone: it has been cancelled.
        Refused: it is over otherwise.
    """
    id_ = known.reservation.id
    if known.now.state in OPEN:
        return
    if known.now.state is State.CANCELLED:
        raise AlreadyDone(f"reservation {id_} is cancelled already", "nothing to do")
    raise Refused(
        f"reservation {id_} is {known.now.state}: there is nothing to cancel", f"see csms reservation show {id_}"
    )


# --- settings --------------------------------------------------------------------------------------------------------


async def known_settings(connection: Any, charge_point: str, names: Sequence[str]) -> dict[str, str | None]:
    """Settings that were read since the charge point booted last, by names in lower case."""
    lowered = [name.lower() for name in names]
    rows = await SQL.known_settings.fetch(connection, charge_point=charge_point, names=lowered)
    return {row["name"]: row["value"] for row in rows}


# --- what has become of them -----------------------------------------------------------------------------------------


async def get(connection: Any, id_: int) -> Known:
    """One reservation by its id.

    Raises:
        NotFound: no reservation was ever given this id.
    """
    row = await SQL.find_reservation.fetchrow(connection, id=id_)
    if row is None:
        raise NotFound(f"no reservation {id_}", "see csms reservation list")
    [known] = await _known(connection, [row])
    return known


async def newest(
    connection: Any, *, charge_point: str | None = None, state: State | None = None, most: int
) -> list[Known]:
    """Reservations as they stand now, the newest first."""
    found: list[Known] = []
    before = ID_MAX + 1
    while len(found) < most:
        rows = await SQL.newest_reservations.fetch(connection, charge_point=charge_point, before=before, most=PAGE)
        found += [each for each in await _known(connection, rows) if state in {None, each.now.state}]
        if len(rows) < PAGE:
            break
        before = rows[-1]["id"]
    return found[:most]


async def _known(connection: Any, rows: Sequence[Record]) -> list[Known]:
    facts = await _facts(connection, [row["id"] for row in rows])
    now = datetime.now(UTC)
    known = []
    for row in rows:
        told = tuple(facts.get(row["id"], ()))
        folded = standing(row["until"], told, now=now)
        if folded.session is None:
            folded = replace(folded, session=row["unused"])
        known.append(Known(reservation=_reservation(row), facts=told, now=folded))
    return known


async def _facts(connection: Any, ids: Sequence[int]) -> dict[int, list[ReservationFact]]:
    facts: dict[int, list[ReservationFact]] = {id_: [] for id_ in ids}
    for row in await SQL.answers_of.fetch(connection, ids=ids):
        facts[row["reservation"]].append(
            Answered(
                question=Question(row["question"]),
                accepted=row["accepted"],
                status=row["status"],
                at=row["at"],
                detail=row["detail"],
                actor=row["actor"],
            )
        )
    for row in await SQL.reports_of.fetch(connection, ids=ids):
        facts[row["reservation"]].append(Told(status=row["status"], at=row["received_at"]))
    for row in await SQL.uses_of.fetch(connection, ids=ids):
        facts[row["reservation"]].append(
            Used(
                at=row["at"],
                heard_at=row["received_at"],
                transaction=row["transaction"],
                session=row["session"],
                token=row["token"],
            )
        )
    return facts


def _reservation(row: Record) -> Reservation:
    return Reservation(
        id=row["id"],
        charge_point=row["charge_point"],
        evse=row["evse"],
        token=row["token"],
        group=row["group_id"],
        until=row["until"],
        asked_at=row["at"],
        actor=row["actor"],
    )
