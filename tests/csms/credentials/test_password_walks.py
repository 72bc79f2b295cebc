"""Whatever happens to changes of its password, a charge point gets in with the one that it holds."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from billing import Refused
from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import Proof, password_proof
from csms.charge_points.service import Choices
from csms.credentials import service
from csms.credentials.change import ChangeState
from csms.credentials.sealing import opened
from csms.protocol.vocabulary import Outcome
from csms.sites import service as sites

KEY = b"a key of the test installation.."
STEPS = 40
HAPPENINGS = ("accepted", "rejected", "lost before", "lost after", "no answer", "after restart", "asker died")


@dataclass
class Device:
    """A charge point as far as passwords go: what it holds, and what it will hold after a restart."""

    holds: str
    pending: str | None = None
    ever: list[str] = field(default_factory=list)

    def happens(self, what: str, password: str) -> Outcome | None:
        """Take a new password, or not; the outcome that this side sees, None: nobody is left to see it."""
        self.ever.append(password)
        match what:
            case "accepted":
                self.holds, self.pending = password, None
                return Outcome(accepted=True, status="Accepted")
            case "rejected":
                return Outcome(accepted=False, status="Rejected")
            case "lost after" | "asker died":
                self.holds, self.pending = password, None
            case "after restart":
                self.pending = password
                return Outcome(accepted=True, status="RebootRequired")
            case _:
                pass
        return None if what == "asker died" else Outcome(accepted=False, status="timeout")


async def come(connection: Any, device: Device) -> None:
    found = await charge_points.find(connection, "CP-1")
    assert found is not None
    proof = password_proof(found, device.holds.encode(), key=KEY)
    assert proof is not None, "the charge point is locked out"
    if service.is_undecided(found):
        await service.shown(connection, found, proof, at=datetime.now(UTC))


async def change(connection: Any, device: Device, what: str) -> None:
    password = service.new_password()
    command = await service.begin(connection, "CP-1", password, key=KEY, actor="test", timeout_s=30)
    assert opened(command.sealed, key=KEY, context="CP-1") == password
    outcome = device.happens(what, password)
    if outcome is not None:
        await service.settle(connection, "CP-1", command.change, outcome)


@pytest.mark.parametrize("seed", range(8))
async def test_no_sequence_of_changes_locks_a_charge_point_out(pool: asyncpg.Pool, seed: int) -> None:
    chance = random.Random(seed)
    async with pool.acquire() as connection:
        await sites.create(connection, "s", name="s", country="DE", time_zone="UTC", currency="EUR")
        _, first = await charge_points.create(connection, "CP-1", Choices(site="s"), key=KEY)
        assert first is not None
        device = Device(holds=first, ever=[first])
        for _ in range(STEPS):
            if chance.random() < 0.4:
                if device.pending is not None and chance.random() < 0.5:
                    device.holds, device.pending = device.pending, None
                await come(connection, device)
                continue
            try:
                await change(connection, device, chance.choice(HAPPENINGS))
            except Refused:  # too many of them wait for it to show what it holds
                await come(connection, device)
        device.holds, device.pending = device.pending or device.holds, None
        await come(connection, device)
        await change(connection, device, "accepted")
        await come(connection, device)
        known = await charge_points.get(connection, "CP-1")

    assert password_proof(known, device.holds.encode(), key=KEY) == Proof(profile=1, by_password=True)
    assert known.passwords_waiting == ()
    assert [each for each in device.ever if password_proof(known, each.encode(), key=KEY)] == [device.holds]


async def test_hashes_of_passwords_that_are_over_are_gone(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await sites.create(connection, "s", name="s", country="DE", time_zone="UTC", currency="EUR")
        _, first = await charge_points.create(connection, "CP-1", Choices(site="s"), key=KEY)
        assert first is not None
        device = Device(holds=first)
        for what in ("rejected", "lost before", "no answer", "accepted"):
            await change(connection, device, what)
        rows = await connection.fetch("SELECT state, hash, salt FROM password_change ORDER BY id")
        listed = await service.changes(connection, charge_point="CP-1", most=10)

    assert [(row["state"], row["hash"], row["salt"]) for row in rows] == [
        (ChangeState.REFUSED, None, None),
        (ChangeState.SUPERSEDED, None, None),
        (ChangeState.SUPERSEDED, None, None),
        (ChangeState.IN_USE, None, None),
    ]
    assert [row["state"] for row in listed] == ["in_use", "superseded", "superseded", "refused"]


async def test_a_password_that_the_operator_names_ends_all_changes(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await sites.create(connection, "s", name="s", country="DE", time_zone="UTC", currency="EUR")
        await charge_points.create(connection, "CP-1", Choices(site="s"), key=KEY)
        device = Device(holds="")
        await change(connection, device, "no answer")
        known, named = await charge_points.change(connection, "CP-1", Choices(), key=KEY, new_password=True)

    assert named is not None
    assert known.passwords_waiting == ()
    assert password_proof(known, named.encode(), key=KEY) is not None
    assert password_proof(known, device.ever[0].encode(), key=KEY) is None
