"""Four captured charge points, replayed against the whole server: energy, holds, and no absurd amount at any time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from simulators.replay import ReplayReport, replay
from tests.world import World

OURS = Path(__file__).parent / "captures"
ORIGINALS = Path(__file__).parents[3] / "shared" / "frames"
LATE_AFTER = timedelta(days=90)


@dataclass(frozen=True)
class Expected:
    """`flags` leave out what hangs on when the replay runs: the clock's offset and the age."""

    energy_wh: int
    holds: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)
    ended_at: str = ""

    def holds_at(self, now: datetime) -> set[str]:
        """With what the age alone adds: a replay years after the capture is late, one before it from the future."""
        ended_at = datetime.fromisoformat(self.ended_at).replace(tzinfo=UTC)
        if now - ended_at > LATE_AFTER:
            return self.holds | {"late"}
        return self.holds | {"time_invalid"} if ended_at - now > timedelta(minutes=5) else self.holds


CAPTURES = {
    "vcp_16": [
        # Stamped by hand with the first of January, told in November: held as late, for nothing else.
        # Its one reading is stamped long after the end and is evidence.
        Expected(1500, set(), {"readings_outside"}, "2026-01-01T01:00:00"),
        # 36 kW is more than AC has, and the register begins anew: worth a flag each, no hold, as nobody told the power.
        Expected(320, set(), {"power_unknown", "register_gap"}, "2026-11-22T03:14:30"),
    ],
    "java_201": [
        # 2 kWh in two seconds: more than any power allows, as a whole and from one reading to the next.
        Expected(2000, {"energy_over_power", "register_jump"}, {"power_unknown"}, "2026-11-22T03:58:31"),
        # The same in five seconds; the register begins again at 1 kWh although it had ended at 3.
        Expected(
            2000, {"energy_over_power", "register_jump"}, {"power_unknown", "register_gap"}, "2026-11-22T03:58:51"
        ),
    ],
    "tfocpp_16": [
        # 1234 Wh at the start and at the stop. The phases' registers stand at 123 kWh: never progress.
        Expected(0, set(), {"zero_energy"}, "2026-11-22T03:43:05"),
        Expected(0, set(), {"zero_energy", "phases_only"}, "2026-11-22T03:43:24"),
        # This one was cut by kill -9; its stop came after the restart.
        Expected(0, set(), {"zero_energy", "phases_only"}, "2026-11-22T03:43:39"),
    ],
    "vcp_201": [
        # kWh a thousand times too high on the way (150 kWh in 15 s), right at the end: the register ran back.
        # seqNo is 0 in every event: complete by time only. No reading is declared as the begin.
        Expected(
            320,
            {"register_jump", "register_backwards"},
            {"sequence_unusable", "no_begin_reading", "power_unknown"},
            "2026-11-22T03:11:52",
        ),
    ],
}
BY_THE_TIME_OF_REPLAY = {"clock_offset", "late"}


async def _replayed(world: World, source: Path, *, now: bool = False) -> ReplayReport:
    for uid in ("TAG001", "TAG002"):
        await world.token(uid)
    key = await world.charge_point("REPLAYED")
    report = await replay(source, world.ocpp_url, key.id, key.password, now=now, answer_timeout_s=10)
    await world.quiet()
    return report


async def _require_no_money_while_held(world: World) -> None:
    for session in await world.sessions():
        bills = await world.bills(session["id"])
        if session["hold_reasons"]:
            assert session["state"] == "held"
            assert session["total_incl_tax"] is None
            assert bills == []
        # 2 kWh at 0.49 EUR plus 19 % are 1.17 EUR: neither interim nor final bill, nor display, goes beyond.
        assert all(bill.energy_wh <= 2000 and bill.total_incl.minor <= 117 for bill in bills)
    assert all(total <= 2 for total in await world.displayed())


async def _require_as_expected(world: World, name: str) -> None:
    sessions, now = await world.sessions(), datetime.now(UTC)
    assert [each["energy_wh"] for each in sessions] == [each.energy_wh for each in CAPTURES[name]]
    assert [set(each["hold_reasons"]) for each in sessions] == [each.holds_at(now) for each in CAPTURES[name]]
    shown = [await world.show(each["id"]) for each in sessions]
    assert [set(each["flags"]) - BY_THE_TIME_OF_REPLAY for each in shown] == [each.flags for each in CAPTURES[name]]
    assert all(each["ended_at"] is not None for each in sessions)
    await _require_no_money_while_held(world)


@pytest.mark.parametrize("name", CAPTURES)
async def test_a_captured_charge_point_gets_the_declared_energy_and_the_right_holds(world: World, name: str) -> None:
    report = await _replayed(world, OURS / f"{name}.jsonl")

    assert report.ok, (report.refused, report.unanswered)
    await _require_as_expected(world, name)


@pytest.mark.parametrize("name", CAPTURES)
async def test_the_original_capture_says_the_same(world: World, name: str) -> None:
    source = ORIGINALS / f"{name}.jsonl"
    if not source.exists():
        pytest.skip(f"no {source}: the originals are not part of the repository, our transcripts were replayed")
    report = await _replayed(world, source)

    assert report.ok, (report.refused, report.unanswered)
    await _require_as_expected(world, name)


@pytest.mark.parametrize("name", CAPTURES)
async def test_a_capture_moved_to_now_is_judged_the_same_but_for_its_age(world: World, name: str) -> None:
    await _replayed(world, OURS / f"{name}.jsonl", now=True)

    sessions = await world.sessions()
    # Moved so that the first stamp is now, the other stamps of vcp_16 lie an hour and ten months ahead.
    too_early = {"time_invalid"} if name == "vcp_16" else set()
    assert [each["energy_wh"] for each in sessions] == [each.energy_wh for each in CAPTURES[name]]
    assert [set(each["hold_reasons"]) for each in sessions] == [each.holds | too_early for each in CAPTURES[name]]
    await _require_no_money_while_held(world)


async def test_a_stop_whose_transaction_id_is_a_word_is_answered_kept_and_ends_nothing(world: World) -> None:
    await _replayed(world, OURS / "vcp_16.jsonl")

    orphans, kept = await world.orphans(), await world.quarantined()
    assert [(each["kind"], each["transaction"], each["paired_with"]) for each in orphans] == [("ended", "oops", None)]
    assert ['{"transactionId":"oops"}' in frame for frame in kept] == [True]
