"""Several senders, a mail server and an operator in any order of their steps, with crashes between them, on a real database.

Each world comes from a seed. A sender is a list of the steps that a shift takes, and may stop after any of them for ever; what
the mail server has is known here and to nobody in the world, but for an operator who reads its log.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from uuid import UUID, uuid4

import asyncpg
import pytest

from billing.mail import operating, store
from billing.mail.delivery import ENDED, Answered, CutOff, Outcome, State, Unanswered, next_step
from billing.mail.mail_policy import DEFAULT_MAIL, MailPolicy, WhenDoubtful
from billing.mail.reply import Reply, Stage
from billing.mail.store import Claimed
from tests.billing.mail.mail_room import SENDER, PostOffice, letter
from tests.examples import LONG

SEEDS = range(1, 1001 if LONG else 101)
MAILS = 2
STEPS = 120
LEASE = timedelta(hours=1)
"""Ends when the world says so."""
WHO = {"actor": "Olga", "reason": "by the log"}


@dataclass(slots=True)
class Sender:
    """One shift: what it holds, and how far it is with the first of them."""

    claim: UUID = field(default_factory=uuid4)
    holds: list[Claimed] = field(default_factory=list)
    outcome: Outcome | None = None
    is_at_its_end: bool = False


@dataclass(slots=True)
class World:
    pool: asyncpg.Pool
    chance: random.Random
    policy: MailPolicy
    senders: list[Sender] = field(default_factory=lambda: [Sender() for _ in range(3)])
    accepted: Counter[int] = field(default_factory=Counter)
    refused: set[int] = field(default_factory=set)

    async def step(self) -> None:
        acts = [
            *[self.claim] * 3,
            *[self.send] * 6,
            *[self.record] * 2,
            self.crash,
            *[self.end_leases] * 2,
            self.decide,
        ]
        act = self.chance.choice(acts)
        async with self.pool.acquire() as connection:
            await act(connection, self.chance.choice(self.senders))

    async def claim(self, connection: asyncpg.Connection, who: Sender) -> None:
        if not who.holds:
            who.claim = uuid4()
            who.holds = await store.claim(
                connection, who.claim, limit=self.chance.randint(1, 2), lease=LEASE, sender=SENDER, per_minute_max=None
            )

    async def send(self, connection: asyncpg.Connection, who: Sender) -> None:
        """The next step of a try: the books, then the end of the message, then what comes of it."""
        if not who.holds or who.outcome is not None:
            return
        mail = who.holds[0]
        if not who.is_at_its_end:
            if self.chance.random() < 0.3:
                code = self.chance.choice([451, 451, 451, 550])
                who.outcome = Answered(Stage.RCPT, Reply(code, "no"))
                self.refused |= {mail.id} if code == 550 else set()
            elif await store.begin_sending(connection, mail.id, who.claim, lease=LEASE):
                who.is_at_its_end = True
            else:
                who.holds.pop(0)
            return
        fate = self.chance.choice(["yes", "yes", "yes, unheard", "no", "no, unheard", "never written"])
        if fate.startswith("yes"):
            self.accepted[mail.id] += 1
        outcomes: dict[str, Outcome] = {
            "yes": Answered(Stage.DOT, Reply(250, "Ok")),
            "no": Answered(Stage.DOT, Reply(452, "later")),
            "never written": CutOff("lost"),
        }
        who.outcome = outcomes.get(fate, Unanswered("lost"))

    async def record(self, connection: asyncpg.Connection, who: Sender) -> None:
        if who.outcome is None:
            return
        mail = who.holds.pop(0)
        step = next_step(who.outcome, tries=mail.tries + 1, age=mail.age, policy=self.policy, jitter=Fraction(1, 2))
        await store.record(connection, mail.id, who.claim, step, is_try=True)
        if self.chance.random() < 0.1:
            await store.record(connection, mail.id, who.claim, step, is_try=True)
        who.outcome, who.is_at_its_end = None, False

    async def crash(self, _connection: asyncpg.Connection, who: Sender) -> None:
        if self.chance.random() < 0.3:
            self.senders[self.senders.index(who)] = Sender()

    async def end_leases(self, connection: asyncpg.Connection, _who: Sender) -> None:
        """Whether of the dead or of those who are only slow."""
        rows = await connection.fetch("SELECT id FROM mail_delivery WHERE next_at IS NOT NULL ORDER BY id")
        ended = [row["id"] for row in rows if self.chance.random() < 0.7]
        await connection.execute("UPDATE mail_delivery SET next_at = now() WHERE id = ANY ($1)", ended)
        await self.lapse(connection)

    async def lapse(self, connection: asyncpg.Connection) -> None:
        resend = self.policy.when_doubtful is WhenDoubtful.RESEND
        await store.lapse(connection, self.policy, resend=resend, limit=10)

    async def decide(self, connection: asyncpg.Connection, _who: Sender) -> None:
        """The operator knows what the mail server has, once nobody can hand it over any more."""
        rows = await connection.fetch("SELECT id FROM mail_delivery WHERE state = 'doubtful' ORDER BY id")
        for row in rows:
            if not any(each.holds and each.holds[0].id == row["id"] and each.is_at_its_end for each in self.senders):
                await operating.settle(connection, row["id"], delivered=bool(self.accepted[row["id"]]), **WHO)

    async def states(self, seed: int) -> dict[int, State]:
        rows = await self.pool.fetch(
            "SELECT d.id, d.state FROM mail_delivery d JOIN mail_message m ON m.id = d.message"
            " WHERE m.key LIKE $1 || '-%'", str(seed),
        )  # fmt: skip
        return {row["id"]: State(row["state"]) for row in rows}

    async def come_to_rest(self, seed: int) -> dict[int, State]:
        """The senders that there are die, and one that never does works off what is left."""
        self.senders = [last] = [Sender()]
        for _ in range(200):
            async with self.pool.acquire() as connection:
                await connection.execute("UPDATE mail_delivery SET next_at = now() WHERE next_at IS NOT NULL")
                await self.lapse(connection)
                await self.decide(connection, last)
                await self.claim(connection, last)
                while last.holds:
                    await self.send(connection, last)
                    await self.record(connection, last)
            states = await self.states(seed)
            if set(states.values()) <= ENDED:
                return states
        raise AssertionError("it does not come to rest")


@pytest.mark.parametrize(
    "policy", [DEFAULT_MAIL, MailPolicy(when_doubtful=WhenDoubtful.RESEND)], ids=["hold", "resend"]
)
async def test_in_no_world_is_a_mail_lost_and_in_none_does_it_go_twice_unless_that_was_chosen(
    office: PostOffice, policy: MailPolicy
) -> None:
    twice, ends = 0, Counter[State]()
    for seed in SEEDS:
        await office.queue(*(letter(f"{seed}-{n}") for n in range(MAILS)))
        world = World(office.pool, random.Random(seed), policy)
        for _ in range(STEPS):
            await world.step()
        states = await world.come_to_rest(seed)

        assert len(states) == MAILS
        for id_, state in states.items():
            if state is State.SENT or policy is DEFAULT_MAIL:
                assert (state is State.SENT) is (world.accepted[id_] > 0), f"seed {seed}: the books are wrong of {id_}"
            assert state is State.SENT or id_ in world.refused, f"seed {seed}: {id_} was lost"
            assert world.accepted[id_] <= 1 or policy is not DEFAULT_MAIL, f"seed {seed}: {id_} went twice by itself"
        twice += sum(each > 1 for each in world.accepted.values())
        ends.update(states.values())

    assert ends.keys() == {State.SENT, State.FAILED}
    assert (twice > 0) is (policy is not DEFAULT_MAIL), "what was chosen makes the difference"
