"""Passwords and security profiles of charge points: changed over OCPP, so that none is ever locked out by a change.

A new password is stored before it is sent, and counts beside the present one until the charge point has shown which of
them it holds: by its answer, or by the one that it comes with (OCPP 2.0.1 A01, A05).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from billing import Queries, Refused
from csms.charge_points.charge_point import (
    PASSWORD_LENGTH_MAX,
    PASSWORD_LENGTH_MIN,
    ChargePoint,
    Proof,
    password_hash,
)
from csms.credentials.change import WAITING_MAX, ChangeState, state_after
from csms.credentials.sealing import NONCE_LENGTH, sealed
from csms.nodes.routing import GRACE
from csms.protocol.blocks.credentials import ChangePassword
from csms.protocol.vocabulary import Outcome

SQL = Queries.load(__package__)
PASSWORD_BYTES = 20  # 160 bit, 40 characters: as long as both versions take
SALT_BYTES = 16

log = structlog.get_logger()


def new_password() -> str:
    return secrets.token_hex(PASSWORD_BYTES)


def require_password(password: str) -> None:
    """Nothing, for a password that can be one.

    Raises:
        Refused: it is too short or too long for any version.
    """
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise Refused(
            f"a charge point password has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters "
            "(OCPP 2.0.1 A00.FR.205)",
            "choose another, or have one made: csms cp password rotate",
        )


async def begin(
    connection: Any, charge_point: str, password: str, *, key: bytes, actor: str, timeout_s: float
) -> ChangePassword:
    """Remember the new password, and give the command that brings it to the charge point.

    Raises:
        Refused: too many passwords wait for the charge point to show which it holds.
    """
    require_password(password)
    salt = secrets.token_bytes(SALT_BYTES)
    patience = timedelta(seconds=timeout_s) + GRACE
    async with connection.transaction():
        await SQL.lock_charge_point.execute(connection, charge_point=charge_point)
        if await SQL.count_waiting.fetchval(connection, charge_point=charge_point) >= WAITING_MAX:
            raise Refused(
                f"{WAITING_MAX} changes of the password of {charge_point} had no answer, so nobody knows which it holds",
                f"have it connect again: csms cp reset {charge_point}",
            )
        change = await SQL.insert_change.fetchval(
            connection, charge_point=charge_point, salt=salt, actor=actor, patience=patience,
            hash=password_hash(password.encode(), salt=salt, key=key),
        )  # fmt: skip
    nonce = secrets.token_bytes(NONCE_LENGTH)
    return ChangePassword(change=change, sealed=sealed(password, key=key, nonce=nonce, context=charge_point))


async def settle(connection: Any, charge_point: str, change: int, outcome: Outcome) -> ChangeState:
    """Act on what became of a change. One that a handshake has settled meanwhile stays as that showed it."""
    state = state_after(outcome)
    async with connection.transaction():
        await SQL.lock_charge_point.execute(connection, charge_point=charge_point)
        if state is ChangeState.IN_USE:
            await _take_into_use(connection, charge_point, change, outcome.status)
        elif state.is_waiting:
            await SQL.keep_waiting.execute(connection, id=change, state=state.value, outcome=outcome.status)
        else:
            await SQL.drop_change.execute(connection, id=change, state=state.value, outcome=outcome.status)
        reached = await state_of(connection, change)
    log.info("password_change_settled", charge_point=charge_point, state=reached.value, outcome=outcome.status)
    return reached


async def withdraw(connection: Any, change: int) -> ChangeState:
    """It was never sent."""
    await SQL.drop_change.execute(connection, id=change, state=ChangeState.NOT_TAKEN.value, outcome="offline")
    return await state_of(connection, change)


async def state_of(connection: Any, change: int) -> ChangeState:
    return ChangeState(await SQL.state_of_change.fetchval(connection, id=change))


async def _take_into_use(connection: Any, charge_point: str, change: int, outcome: str | None) -> bool:
    if await SQL.take_into_use.fetchval(connection, id=change) is None:
        return False
    await SQL.drop_change.execute(connection, id=change, state=ChangeState.IN_USE.value, outcome=outcome)
    await SQL.drop_older.execute(connection, charge_point=charge_point, id=change)
    return True


# --- what a handshake shows ---


def is_undecided(charge_point: ChargePoint) -> bool:
    """Whether the way in which it comes tells us anything new."""
    return bool(charge_point.passwords_waiting) or charge_point.security_profile_wanted is not None


async def shown(connection: Any, charge_point: ChargePoint, proof: Proof, *, at: datetime) -> None:
    """It has come in at `at`, in this way: what it did not use any more, or not yet, is over."""
    async with connection.transaction():
        await SQL.lock_charge_point.execute(connection, charge_point=charge_point.id)
        if proof.change is not None and await _take_into_use(connection, charge_point.id, proof.change, None):
            log.info("password_change_shown", charge_point=charge_point.id, state=ChangeState.IN_USE.value)
        if proof.by_password:
            await SQL.drop_unanswered.execute(connection, charge_point=charge_point.id, at=at)
        reached = await SQL.reach_profile.fetchval(connection, charge_point=charge_point.id, profile=proof.profile)
    if reached is not None:
        log.info("security_profile_reached", charge_point=charge_point.id, security_profile=reached)


# --- for operators ---


async def fleet(connection: Any, *, id_: str | None = None, site: str | None = None) -> list[Mapping[str, Any]]:
    """Charge points with what a change of their credentials needs to know."""
    return [dict(row) for row in await SQL.fleet.fetch(connection, id=id_, site=site)]


async def changes(connection: Any, *, charge_point: str | None, most: int) -> list[dict[str, Any]]:
    return [dict(row) for row in await SQL.changes.fetch(connection, charge_point=charge_point, most=most)]


async def want_profile(connection: Any, charge_point: str, profile: int | None) -> None:
    await SQL.want_profile.execute(connection, charge_point=charge_point, profile=profile)
