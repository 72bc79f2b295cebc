"""Plays the acts of a quarter: a day and what is done on it, one act a line, by the command line and the services behind it.

2026-01-05  s1: VAN-1 charges 20 kWh at FC-1                  a session of an hour at noon (UTC), with its final bill
2026-02-10  l1: FLAT-2 charged 8 kWh at CY-1 on 2026-01-30    the same, of which we hear only today
2026-01-28  s2: GUEST-3 charges 99 kWh at FC-1, held energy_over_power
2026-02-28  s3: VAN-1 charges 15 kWh at FC-1 from 2026-02-28T23:30+01:00
2026-02-16  s2 is released
2026-02-12  s1 was 10 kWh                                     what it was rated by was wrong: a correction bill
2026-02-05  HOTEL pays 4407.40 for R2026-000002               into the bank account; "card" pays for receipts
2026-02-12  csms credit correct {s1} --issued-on 2026-02-12 --reason "meter exchanged"
2026-03-01  csms contract run --until 2026-03-01 --reason "each day" -> 6      and its exit status, 0 unless said
2026-01-31  look at the unbilled                              what the report says now is kept for the figures
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import asyncpg
from click.testing import CliRunner

from billing.bills.rerating import rerate
from billing.bills.service import BillingService, BillingSettings
from billing.ledger import service as ledger
from billing.ledger.posting_rules import Fact, Part, Settlement, entry_of_settlement
from billing.tariffs import service as tariffs
from billing.tariffs.assignment import Audience, Scope
from csms.cli.main import csms
from tests.billing.bills.conftest import Clock
from tests.billing.bills.world import TableSource, World

SELLER: Final = "meadow"
ACTOR: Final = "ada"
_ACT: Final = re.compile(r"(\d{4}-\d\d-\d\d) +(\S.*)")
_HOUR: Final = timedelta(hours=1)


@dataclass
class Operator:
    """Does what is written; `sessions` are known by the names that the acts give them."""

    pool: asyncpg.Pool
    database: str
    place: Path
    tariffs: Mapping[str, Mapping[str, str]]
    sessions: dict[str, int] = field(default_factory=dict)
    unbilled: list[str] = field(default_factory=list)
    """What the report of the unbilled said whenever somebody looked."""

    def __post_init__(self) -> None:
        self.world = World(self.pool)
        self.clock = Clock()
        self.source = TableSource()
        settings = BillingSettings(sweep_interval_s=0.01, batch_size=20)
        self.billing = BillingService(self.pool, self.source, settings, on_bill=lambda _: None, clock=self.clock)
        self.place.joinpath("december.csv").write_text("start,value\n2025-12-01T00:00:00+01:00,120.0\n")
        self.place.joinpath("february.csv").write_text("start,value\n2026-02-01T00:00:00+01:00,124.2\n")

    async def play(self, acts: str) -> None:
        for line in acts.splitlines():
            text = line.strip()
            if text and not text.startswith("#"):
                try:
                    await self._act(text)
                except Exception as why:
                    raise AssertionError(f"{text}\n{type(why).__name__}: {why}") from why

    async def _act(self, text: str) -> None:
        found = _ACT.fullmatch(text)
        assert found is not None, "an act is a day and what is done on it"
        self.clock.now = datetime.combine(date.fromisoformat(found[1]), time(18), tzinfo=UTC)
        for pattern, act in self._acts().items():
            if told := re.fullmatch(pattern, found[2]):
                await act(**told.groupdict())
                return
        raise AssertionError("nobody knows how to do this")

    def _acts(self) -> dict[str, Callable[..., Awaitable[None]]]:
        return {
            r"csms (?P<arguments>.+?)(?: -> (?P<status>\d))?": self._command,
            r"the tariffs hold": self._tariffs,
            r"(?P<name>\w+): (?P<token>\S+) charge[sd] (?P<kwh>[\d.]+) kWh at (?P<at>[\w-]+)(?: on (?P<on>\S+))?"
            r"(?: from (?P<start>\S+))?(?:, held (?P<held>\w+))?": self._charges,
            r"(?P<name>\w+) is released": self._released,
            r"(?P<name>\w+) was (?P<kwh>[\d.]+) kWh": self._rerated,
            r"(?P<who>\S+) pays (?P<amount>[\d.]+) for (?P<document>\S+)": self._paid,
            r"look at the unbilled": self._look,
        }

    async def _command(self, arguments: str, status: str | None) -> None:
        names = {name: str(id_) for name, id_ in self.sessions.items()}
        files = {"index_december": self.place / "december.csv", "index_february": self.place / "february.csv"}
        words = (each.format(**names, **files) for each in shlex.split(arguments))
        await self.csms(*words, status=int(status or 0))

    async def csms(self, *arguments: str, status: int = 0) -> str:
        """What the command prints; it has to end with this status."""
        environment = {"CSMS_DATABASE_URL": self.database, "CSMS_DATA_DIR": str(self.place), "CSMS_ACTOR": ACTOR}
        done = await asyncio.to_thread(CliRunner().invoke, csms, arguments, env=environment)
        assert done.exit_code == status, (done.exit_code, done.stderr or done.exception)
        return done.stdout

    async def rows(self, *arguments: str) -> Any:
        return json.loads(await self.csms(*arguments, "-o", "json"))

    async def _tariffs(self) -> None:
        now = self.clock.now
        for id_, each in self.tariffs.items():
            body = {
                "id": id_, "currency": "EUR", "tax_included": each["tax_included"],
                "elements": [{"price_components": [{"type": "ENERGY", "price": each["price"], "vat": "19", "step_size": 1}]}],
            }  # fmt: skip
            kind, _, whom = each["for"].partition(" ")
            async with self.pool.acquire() as connection:
                await tariffs.create(connection, json.dumps(body), now=now)
                await tariffs.assign(
                    connection, id_, scope=Scope.SITE if kind == "site" else Scope.DEFAULT,
                    target=whom if kind == "site" else None, now=now,
                    audience=Audience(token_group=whom if kind == "group" else None),
                )  # fmt: skip

    async def _charges(
        self, name: str, token: str, kwh: str, at: str, on: str | None, start: str | None, held: str | None
    ) -> None:
        noon = datetime.combine(date.fromisoformat(on) if on else self.clock.now.date(), time(12), tzinfo=UTC)
        begin = datetime.fromisoformat(start) if start else noon
        self.clock.now = max(self.clock.now, begin + 2 * _HOUR)
        group = await self.pool.fetchval("SELECT group_id FROM token_event WHERE uid = $1", token)
        if group is not None:
            self.source.groups[token] = group
        self.sessions[name] = await self.world.session(
            charge_point=at, token=token, started_at=begin, ended_at=begin + _HOUR, complete_at=begin + _HOUR,
            energy_wh=Decimal(kwh) * 1000, holds=[held] if held else [],
        )  # fmt: skip
        await self.billing.drain()

    async def _released(self, name: str) -> None:
        held = await self.pool.fetchval("SELECT holds FROM session WHERE id = $1", self.sessions[name])
        await self.world.release(self.sessions[name], *held)
        await self.billing.drain()

    async def _rerated(self, name: str, kwh: str) -> None:
        session = self.sessions[name]
        await self.world.change(session, energy_wh=Decimal(kwh) * 1000)
        await self.billing.drain()
        async with self.pool.acquire() as connection, connection.transaction():
            await rerate(connection, self.source, session, now=self.clock.now, reason="meter exchanged", actor=ACTOR)

    async def _paid(self, who: str, amount: str, document: str) -> None:
        by_card = who == "card"
        minor = int(Decimal(amount) * 100)
        settlement = Settlement(
            fact=Fact.CARD_CAPTURED if by_card else Fact.PAYMENT_RECEIVED, seller=SELLER, key=f"paid:{document}",
            on=self.clock.now.date(), currency="EUR", items=(Part("" if by_card else who, minor, document),),
            through="example-cards" if by_card else "", text=f"for {document}",
        )  # fmt: skip
        async with self.pool.acquire() as connection:
            await ledger.post(connection, [entry_of_settlement(settlement)], now=self.clock.now, actor=ACTOR)

    async def _look(self) -> None:
        rows = await self.rows("report", "unbilled")
        self.unbilled += [f"{self.clock.now.date()}: {' '.join(map(str, each.values()))}" for each in rows]
