"""Brings together what a pack of evidence is made of: facts, keys, frames, bill. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from billing import NotFound, dossier_of
from csms.evidence.frames import ACTIONS, Frame, Told, of_transaction
from csms.evidence.judgement import judge
from csms.evidence.law import MeterKey
from csms.evidence.pack import Contents
from csms.evidence.service import NONE
from csms.evidence.store import SQL, keys_of
from csms.sessions import listing
from csms.sessions.proof import signed_values
from csms.sessions.store import SessionFacts, load_facts

FRAMES_MAX = 100_000
AROUND = timedelta(minutes=1)
"""Frames are stamped a little before and after the facts that came of them."""


async def contents_of(connection: Any, session: int, *, now: datetime) -> Contents:
    """Everything about a session's energy and amount, judged by the keys that held when it began.

    Raises:
        NotFound: there is no such session, or it has no facts (a reservation that nobody used).
    """
    shown = await listing.show(connection, session)
    facts = (await load_facts(connection, [session], now=now)).get(session)
    if facts is None or facts.kept is not None:
        raise NotFound(f"session {session} has no transaction", f"see csms session show {session}")
    evidence = judge(
        signed_values(facts.readings),
        await _keys(connection, facts),
        evse=shown["evse"],
        is_closed=shown["ended_at"] is not None,
    )
    return Contents(
        session=shown,
        profile=NONE if facts.law is None else facts.law.profile,
        evidence=evidence,
        frames=await _frames(connection, facts, evse=shown["evse"]),
        dossier=await dossier_of(connection, session),
    )


async def _keys(connection: Any, facts: SessionFacts) -> Sequence[MeterKey]:
    if facts.law is not None:
        return facts.law.keys
    return (await keys_of(connection, [facts.began()])).get(facts.id, ())


async def _frames(connection: Any, facts: SessionFacts, *, evse: int | None) -> list[Frame]:
    arrivals = [each.received_at for each in facts.events] + [each.received_at for each in facts.readings]
    rows = await SQL.frames_between.fetch(
        connection,
        charge_point=facts.charge_point,
        since=min(arrivals) - AROUND,
        until=max(arrivals) + AROUND,
        actions=list(ACTIONS),
        most=FRAMES_MAX,
    )
    frames = [
        Frame(
            direction=row["direction"],
            body=row["body"],
            socket=None if row["socket"] is None else str(row["socket"]),
            received_at=row["received_at"],
        )
        for row in rows
    ]
    return of_transaction(frames, Told(transaction=facts.transaction or "", evse=evse))
