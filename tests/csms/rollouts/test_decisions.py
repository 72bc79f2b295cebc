"""How a roll-out is decided: waves, stops, windows, and what counts as done. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.firmware.transfer import Request, Told, Transfer, TransferKind, put_together
from csms.rollouts.judgement import Seen, Verdict, judge
from csms.rollouts.plan import (
    Plan,
    PlanInvalid,
    Share,
    Window,
    plan_from_json,
    plan_to_json,
    share,
    wave_of_each,
    waves,
    window,
)
from csms.rollouts.rollout import OVER, UNDER_WAY, Decision, Kind, Member, Rollout, Standing, State, decide

NOW = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
ASKED = NOW - timedelta(minutes=10)
ONLINE = Seen(online=True, firmware="1.0")


def rollout(**given: Any) -> Rollout:
    plan = given.pop("plan", Plan())
    return Rollout(
        **{
            "id": 1, "kind": Kind.FIRMWARE, "plan": plan, "state": State.RUNNING, "wave": 1, "wave_at": ASKED,
            "version": "2.0", **given,
        }
    )  # fmt: skip


def member(name: str = "CP-1", **given: Any) -> Member:
    return Member(**{"charge_point": name, "wave": 1, "changed_at": ASKED, "seen": ONLINE, **given})


def transfer(*statuses: str, accepted: bool | None = True, answer: str | None = "Accepted", **told: Any) -> Transfer:
    """A request of ten minutes ago, and what was told of it, a minute apart."""
    request = Request(
        id=7, charge_point="CP-1", kind=told.pop("kind", TransferKind.FIRMWARE), message="UpdateFirmware", url="https://x/",
        asked_at=ASKED, accepted=accepted, answer=answer, answered_at=None if answer is None else ASKED, firmware="1.0",
        detail=told.pop("detail", None), retries=told.pop("retries", None),
    )  # fmt: skip
    heard = [
        Told(charge_point="CP-1", kind=request.kind, status=status, at=ASKED + timedelta(minutes=n), request=7)
        for n, status in enumerate(statuses, 1)
    ]
    [found] = put_together([request], heard)
    return found


def verdict(seen: Seen, *, plan: Plan | None = None, firmware: bool = True, now: datetime = NOW) -> Verdict:
    found, _ = judge(
        seen, plan or Plan(), is_firmware=firmware, version="2.0", now=now, answer_within_s=65.0, known_within_s=275.0
    )
    return found


# --- what has come of asking


def booted(version: str, *, after: float = 300) -> dict[str, Any]:
    return {"firmware": version, "booted_at": ASKED + timedelta(seconds=after)}


@pytest.mark.parametrize(
    ("transfer_", "told", "expected"),
    [
        (transfer("Downloading"), {}, Verdict.UNDER_WAY),
        (transfer(), {}, Verdict.UNDER_WAY),
        (transfer("Downloading", "Downloaded"), booted("2.0"), Verdict.DONE),  # never says Installed
        (transfer("Downloading"), booted("v2.0 "), Verdict.DONE),
        (transfer(accepted=None, answer=None), booted("2.0"), Verdict.DONE),  # its answer was lost
        (transfer("Downloading"), booted("2.0", after=-300), Verdict.UNDER_WAY),  # a boot of before proves nothing
        (transfer("Installed"), booted("1.0"), Verdict.ATTEMPT_FAILED),  # its word against its boot
        (transfer("Installed"), booted("2.0-rc7"), Verdict.DONE),  # it has changed, by another name
        (transfer("Installed"), {}, Verdict.DONE),  # it never boots
        (transfer(*["Downloading"] * 8, "Installed"), {}, Verdict.UNDER_WAY),  # the boot may still come
        (transfer("Downloading", "DownloadFailed"), {}, Verdict.ATTEMPT_FAILED),
        (transfer("Downloading", "DownloadFailed", retries=3), {}, Verdict.UNDER_WAY),
        (transfer("Downloading", "InvalidSignature"), {}, Verdict.FAILED_FOR_GOOD),
        (transfer("Installing", "InstallationFailed"), {}, Verdict.ATTEMPT_FAILED),
        (transfer(accepted=False, answer="Rejected"), {}, Verdict.ATTEMPT_FAILED),
        (transfer(accepted=False, answer="not_supported"), {}, Verdict.FAILED_FOR_GOOD),
        (transfer(accepted=False, answer="RevokedCertificate"), {}, Verdict.FAILED_FOR_GOOD),
        (transfer(accepted=False, answer="offline"), {}, Verdict.NOT_REACHED),
        (transfer(accepted=None, answer=None), {}, Verdict.ATTEMPT_FAILED),  # whoever asked died, and may have asked
        (transfer(accepted=None, answer="timeout"), {}, Verdict.ATTEMPT_FAILED),
        (transfer("Downloading", accepted=None, answer="timeout"), {}, Verdict.UNDER_WAY),
    ],
)
def test_the_acknowledgement_proves_nothing_and_the_boot_does(
    transfer_: Transfer, told: dict[str, Any], expected: Verdict
) -> None:
    seen = Seen(**{"online": True, "firmware": "1.0", "transfer": transfer_, **told})

    assert verdict(seen) is expected


def test_a_log_is_proven_by_the_file_alone() -> None:
    uploaded = transfer("Uploading", "Uploaded", kind=TransferKind.LOG)
    said = Seen(online=True, transfer=uploaded)
    silent = replace(said, transfer=transfer(kind=TransferKind.LOG))

    assert verdict(said, firmware=False, plan=Plan(proof_s=3600)) is Verdict.UNDER_WAY
    assert verdict(said, firmware=False, plan=Plan(proof_s=60)) is Verdict.ATTEMPT_FAILED
    assert verdict(replace(silent, received="file 3 is here"), firmware=False) is Verdict.DONE
    nothing = transfer(accepted=False, answer="NoDiagnostics", kind=TransferKind.LOG)
    assert verdict(replace(said, transfer=nothing), firmware=False) is Verdict.NOTHING_TO_DO


def test_silence_counts_only_where_it_means_something() -> None:
    at_it = Seen(online=True, firmware="1.0", transfer=transfer("Downloading"))
    plan = Plan(silence_s=300, patience_s=3600)

    assert verdict(at_it, plan=plan) is Verdict.ATTEMPT_FAILED
    assert verdict(replace(at_it, busy=True), plan=plan) is Verdict.UNDER_WAY
    assert verdict(replace(at_it, online=False), plan=plan) is Verdict.UNDER_WAY
    assert verdict(replace(at_it, **booted("1.0", after=590)), plan=plan) is Verdict.UNDER_WAY
    later = NOW + timedelta(hours=2)
    assert verdict(replace(at_it, online=False), plan=plan, now=later) is Verdict.ATTEMPT_FAILED


def test_one_that_was_given_up_and_is_at_it_after_all_has_come_round() -> None:
    late = transfer("Downloading")
    waits = member(asked=1, failures=1, reason="no answer", changed_at=ASKED, seen=replace(ONLINE, transfer=late))
    silent = replace(waits, changed_at=NOW)

    assert step(waits).standing is Standing.RUNNING
    assert step(silent).asked == 2


def step(one: Member, **given: Any) -> Member:
    return decide(rollout(**given), [one], now=NOW).members[0]


# --- who is asked


def test_nobody_is_asked_who_has_it_is_of_another_make_is_away_or_charges() -> None:
    wanted = rollout(model="Pump", plan=Plan(window=window("22:00-05:00")))
    reasons = {
        "it runs V2.0 already": Seen(online=True, firmware="V2.0"),
        "its model is Hose, this firmware is for Pump": Seen(online=True, model="Hose"),
        "it is offline": Seen(online=False),
        "a session is under way": Seen(online=True, busy=True),
        "outside 22:00-05:00 (America/New_York)": Seen(online=True, time_zone="America/New_York"),
    }
    found = decide(wanted, [member(f"CP-{n}", seen=seen) for n, seen in enumerate(reasons.values())], now=NOW)

    assert [each.reason for each in found.members] == list(reasons)
    assert [each.standing for each in found.members] == [Standing.SKIPPED] * 2 + [Standing.WAITING] * 3
    assert found.asks == ()
    again = decide(wanted, found.members, now=NOW + timedelta(seconds=1))
    assert again.changes == ()  # the same reason is told once


@pytest.mark.parametrize(
    ("text", "at", "zone", "inside"),
    [
        ("22:00-05:00", "2026-03-01T21:30:00Z", "Europe/Berlin", True),
        ("22:00-05:00", "2026-03-01T20:30:00Z", "Europe/Berlin", False),
        ("22:00-05:00", "2026-03-01T03:59:00Z", "Europe/Berlin", True),
        ("22:00-05:00", "2026-03-01T04:00:00Z", "Europe/Berlin", False),
        ("02:00-03:00", "2026-03-29T00:30:00Z", "Europe/Berlin", False),  # the hour that does not exist
        ("02:00-03:00", "2026-10-25T01:30:00Z", "Europe/Berlin", True),  # the hour that comes twice
        ("09:00-17:00", "2026-03-01T12:00:00Z", "UTC", True),
    ],
)
def test_a_window_is_of_the_clock_on_the_wall(text: str, at: str, zone: str, inside: bool) -> None:
    assert window(text).holds(datetime.fromisoformat(at), zone) is inside


def test_a_failed_one_is_asked_again_after_a_while_and_not_for_ever() -> None:
    plan = Plan(attempts_max=2, retry_wait_s=600)
    broken = replace(ONLINE, transfer=transfer("Downloading", "DownloadFailed"))
    first = step(member(standing=Standing.RUNNING, asked=1, seen=broken), plan=plan)
    waiting = decide(rollout(plan=plan), [first], now=NOW + timedelta(seconds=599))
    again = decide(rollout(plan=plan), [first], now=NOW + timedelta(seconds=601))
    last = step(member(standing=Standing.RUNNING, asked=2, failures=1, seen=broken), plan=plan)

    assert (first.standing, first.reason, first.failures) == (Standing.WAITING, "DownloadFailed", 1)
    assert (waiting.asks, waiting.members[0].reason, waiting.changes) == ((), "DownloadFailed", ())
    assert again.asks == ("CP-1",)
    assert (last.standing, last.failures) == (Standing.FAILED, 2)


@pytest.mark.parametrize("retry_wait_s", [0, 600])
def test_one_that_is_not_reached_is_not_asked_again_at_once(retry_wait_s: int) -> None:
    plan = Plan(retry_wait_s=retry_wait_s)
    away = replace(ONLINE, transfer=transfer(accepted=False, answer="offline"))
    [back] = decide(rollout(plan=plan), [member(standing=Standing.ASKED, asked=1, seen=away)], now=NOW).members
    pause = timedelta(seconds=max(retry_wait_s, 5))
    early = decide(rollout(plan=plan), [back], now=NOW + pause - timedelta(seconds=1))
    late = decide(rollout(plan=plan), [back], now=NOW + pause)

    assert (back.standing, back.failures) == (Standing.WAITING, 0)
    assert (early.asks, late.asks) == ((), ("CP-1",))


def test_one_whose_registration_is_rejected_waits_though_it_is_connected() -> None:
    barred = member(seen=replace(ONLINE, rejected=True))
    found = decide(rollout(), [barred], now=NOW)

    assert (found.asks, found.members[0].reason) == ((), "its registration is Rejected")


@given(st.integers(0, 290), st.sampled_from([None, "timeout"]))
def test_nobody_is_asked_again_while_the_first_time_may_be_under_way(seconds: int, answer: str | None) -> None:
    """Time-outs of 30 s: sent within one or never, then two messages of four waits each; an answer that stayed away, two."""
    asked = replace(ONLINE, transfer=transfer(accepted=None, answer=answer))
    before = member(standing=Standing.ASKED, asked=1, seen=asked)
    found = decide(rollout(), [before], now=ASKED + timedelta(seconds=seconds)).members[0]

    assert (found.standing is Standing.ASKED) == (seconds < (275 if answer is None else 65))


# --- waves


def test_a_wave_begins_when_the_one_before_is_through() -> None:
    plan = Plan(offline_s=600)
    fleet = [
        member("CP-1", standing=Standing.DONE), member("CP-2"), member("CP-3", wave=2), member("CP-4", wave=2),
    ]  # fmt: skip
    busy = decide(rollout(plan=plan, wave_at=NOW), fleet, now=NOW)
    away = [fleet[0], replace(fleet[1], seen=Seen(online=False)), *fleet[2:]]
    early = decide(rollout(plan=plan, wave_at=NOW), away, now=NOW)
    late = decide(rollout(plan=plan, wave_at=NOW - timedelta(seconds=601)), away, now=NOW)
    nobody = [replace(away[0], standing=Standing.WAITING, seen=Seen(online=False)), *away[1:]]
    unproven = decide(rollout(plan=plan, wave_at=NOW - timedelta(seconds=601)), nobody, now=NOW)

    assert busy.asks == ("CP-2",)
    assert early.asks == ()
    assert (late.rollout.wave, late.asks) == (2, ("CP-3", "CP-4"))
    assert unproven.asks == ()  # a wave of which nobody has it proves nothing


def test_failures_of_a_wave_stop_it_before_the_next() -> None:
    plan = Plan(stop_at=share("50%"))
    fleet = [
        member("CP-1", standing=Standing.FAILED), member("CP-2", standing=Standing.DONE), member("CP-3", wave=2),
    ]  # fmt: skip
    stopped = decide(rollout(plan=plan), fleet, now=NOW)
    forgiven = decide(rollout(plan=plan), [replace(fleet[0], forgiven=True), *fleet[1:]], now=NOW)
    enough = decide(rollout(plan=Plan(stop_at=Share(2))), fleet, now=NOW)

    assert (stopped.rollout.state, stopped.asks) == (State.STOPPED, ())
    assert stopped.changes[-1].reason == "1 of 2 in wave 1 have failed: CP-1"
    assert forgiven.asks == enough.asks == ("CP-3",)


@pytest.mark.parametrize("state", [State.PAUSED, State.STOPPED, State.ABORTED])
def test_who_was_asked_is_seen_through_whatever_becomes_of_the_rollout(state: State) -> None:
    done = replace(ONLINE, transfer=transfer("Downloading"), **booted("2.0"))
    found = decide(
        rollout(state=state), [member(standing=Standing.RUNNING, asked=1, seen=done), member("CP-2")], now=NOW
    )

    assert found.members[0].standing is Standing.DONE
    assert (found.asks, found.rollout.state) == ((), state)


SEENS = st.builds(
    Seen,
    online=st.booleans(),
    busy=st.booleans(),
    firmware=st.sampled_from([None, "1.0", "2.0"]),
    booted_at=st.sampled_from([None, ASKED - timedelta(days=1), ASKED + timedelta(minutes=5)]),
    transfer=st.one_of(
        st.builds(
            lambda statuses, accepted: transfer(
                *statuses, accepted=accepted, answer={True: "Accepted", False: "Rejected", None: None}[accepted]
            ),
            st.lists(
                st.sampled_from(
                    ["Downloading", "DownloadFailed", "Downloaded", "Installing", "Installed", "InvalidSignature"]
                ),
                max_size=4,
            ),
            st.sampled_from([True, False, None]),
        )
    ),
)
MEMBERS = st.lists(
    st.builds(
        lambda wave, standing, seen, failures: member(
            "", wave=wave, standing=standing, seen=seen, asked=3, failures=failures
        ),
        st.integers(1, 3), st.sampled_from(list(Standing)), SEENS, st.integers(0, 3),
    ),
    min_size=1, max_size=12,
).map(lambda found: [replace(each, charge_point=f"CP-{n}") for n, each in enumerate(found)])  # fmt: skip
ROLLOUTS = st.builds(
    lambda state, wave, parallel, stop_at: rollout(state=state, wave=wave, plan=Plan(parallel=parallel, stop_at=stop_at)),
    st.sampled_from(list(State)), st.integers(1, 3), st.integers(1, 4), st.sampled_from([None, Share(1), Share(50, True)]),
)  # fmt: skip


@given(ROLLOUTS, MEMBERS)
def test_whatever_has_happened_nobody_is_asked_out_of_turn(before: Rollout, members: Sequence[Member]) -> None:
    after = decide(before, members, now=NOW)
    was = {each.charge_point: each for each in members}
    now = {each.charge_point: each for each in after.members}

    assert list(now) == list(was)
    if after.asks:
        assert after.rollout.state is State.RUNNING
        assert sum(each.standing in UNDER_WAY for each in after.members) <= max(
            before.plan.parallel, sum(each.standing in UNDER_WAY for each in members)
        )
    for name in after.asks:
        assert now[name].wave <= after.rollout.wave
        assert now[name].seen.online
        assert not now[name].seen.busy
        assert (now[name].standing, now[name].asked) == (Standing.ASKED, was[name].asked + 1)
    for name, each in now.items():
        assert each.standing in OVER or was[name].standing not in OVER  # what is over stays over
    assert before.wave <= after.rollout.wave


@given(ROLLOUTS, MEMBERS)
def test_a_decision_that_was_kept_is_not_made_twice(before: Rollout, members: Sequence[Member]) -> None:
    after = decide(before, members, now=NOW)
    settled = [
        replace(each, seen=replace(each.seen, transfer=transfer(accepted=None, answer=None)))
        if each.charge_point in after.asks
        else each
        for each in after.members
    ]
    again: Decision = decide(after.rollout, settled, now=NOW - timedelta(minutes=9, seconds=50))

    assert not set(again.asks) & set(after.asks)


# --- plans


def test_waves_count_everybody_so_far() -> None:
    assert wave_of_each(10, waves("2,50%,100%")) == [1, 1, 2, 2, 2, 3, 3, 3, 3, 3]
    assert wave_of_each(3, waves("5,20,100%")) == [1, 1, 1]
    assert wave_of_each(1, waves("5%,25%,100%")) == [1]
    assert wave_of_each(200, waves("5,20,100%")) == [1] * 5 + [2] * 15 + [3] * 180
    assert wave_of_each(8, waves("5,20%,100%")) == [1, 1, 1, 1, 1, 2, 2, 2]


@given(st.integers(1, 500), st.lists(st.integers(1, 100), max_size=5))
def test_everybody_is_in_one_wave_and_no_wave_is_empty(total: int, shares: list[int]) -> None:
    found = wave_of_each(total, waves(",".join([*(f"{each}%" for each in sorted(shares)), "100%"])))

    assert len(found) == total
    assert found == sorted(found)
    assert set(found) == set(range(1, max(found) + 1))


@pytest.mark.parametrize(
    "text", ["5,20", "", "0,100%", "101%", "a,100%", "5;100%", "-1,100%", "1.5,100%", "20,5,100%", "20%,5%,100%"]
)
def test_waves_that_reach_nobody_or_not_everybody_are_no_plan(text: str) -> None:
    with pytest.raises(PlanInvalid):
        waves(text)


@pytest.mark.parametrize("text", ["25:00-05:00", "22:00", "22:00-22:00", "22-5", "9:00-17:00", ""])
def test_what_is_no_time_of_day_is_no_window(text: str) -> None:
    with pytest.raises(PlanInvalid):
        window(text)


@given(
    st.builds(
        Plan,
        waves=st.just(waves("5,20%,100%")),
        stop_at=st.sampled_from([None, Share(3), Share(10, is_percent=True)]),
        window=st.one_of(st.none(), st.just(Window(window("22:00-05:00").begin, window("22:00-05:00").end))),
        attempts_max=st.integers(1, 20),
        wait_for_sessions=st.booleans(),
    )
)
def test_a_plan_is_kept_as_it_was_made(plan: Plan) -> None:
    assert plan_from_json({**plan_to_json(plan), "of a later version": 1}) == plan
