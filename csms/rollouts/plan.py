"""How a roll-out goes: waves, when it stops itself, when charge points may be asked, how long they are waited for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, time
from itertools import accumulate
from typing import Any

from billing import zone_named

WAVES_MAX = 50
EVERYBODY = 100  # per cent
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_SHARE = re.compile(r"(\d{1,6})(%?)")


class PlanInvalid(ValueError):
    """What was asked for makes no plan."""


@dataclass(frozen=True, slots=True)
class Share:
    """A number of charge points, or per cent of all of them."""

    number: int
    is_percent: bool = False

    def of(self, total: int) -> int:
        """How many; of a share at least one."""
        if not self.is_percent:
            return min(self.number, total)
        return min(max(-(-total * self.number // 100), 1), total)

    def __str__(self) -> str:
        return f"{self.number}{'%' if self.is_percent else ''}"


def share(text: str) -> Share:
    """Raises:
    PlanInvalid: it is neither a number nor a percentage above 0.
    """
    found = _SHARE.fullmatch(text.strip())
    if found is None or int(found[1]) == 0 or (found[2] and int(found[1]) > EVERYBODY):
        raise PlanInvalid(f"{text.strip()!r} is neither a number nor a percentage above 0")
    return Share(int(found[1]), bool(found[2]))


def waves(text: str) -> tuple[Share, ...]:
    """`5,20,100%`: how many have been asked, all in all, when each wave is through. The last one is everybody.

    Raises:
        PlanInvalid: it does not end with 100%, does not grow, or has too many.
    """
    found = tuple(share(each) for each in text.split(","))
    if found[-1] != Share(EVERYBODY, is_percent=True):
        raise PlanInvalid("the last wave is 100%: everybody that was chosen")
    for numbers in ([each.number for each in found if each.is_percent is kind] for kind in (True, False)):
        if numbers != sorted(numbers):
            raise PlanInvalid(f"waves count everybody so far, so they grow: not {', '.join(map(str, numbers))}")
    if len(found) > WAVES_MAX:
        raise PlanInvalid(f"at most {WAVES_MAX} waves")
    return found


def wave_of_each(total: int, plan: Sequence[Share]) -> list[int]:
    """The wave of each of so many charge points, in their order; waves that add nobody are left out.

    20% of a small fleet may be less than the 5 before: such a wave adds nobody.
    """
    steps = sorted(set(accumulate((each.of(total) for each in plan), max)))
    return [next(n for n, end in enumerate(steps, 1) if place < end) for place in range(total)]


@dataclass(frozen=True, slots=True)
class Window:
    """A time of day by the wall clock of the site; it may go over midnight."""

    begin: time
    end: time

    def holds(self, now: datetime, zone: str) -> bool:
        clock = now.astimezone(zone_named(zone)).time()
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"


def window(text: str) -> Window:
    """Raises:
    PlanInvalid: it is no time of day.
    """
    found = _WINDOW.fullmatch(text.strip())
    if found is None or found[0][:5] == found[0][6:]:
        raise PlanInvalid(f"{text!r} is no time of day such as 22:00-05:00")
    return Window(time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`stop_at`: so many failures in a wave stop the roll-out. `attempts_max`: how often a charge point is asked.

    `silence_s`: one that is online and was asked may be silent for so long. `patience_s`: so long an attempt may take
    where it is not online. `offline_s`: so long after a wave began one that is not online holds the next wave up.
    `proof_s`: so long after its word that it is done the proof of it (the boot, the file) may take.
    """

    waves: tuple[Share, ...] = (Share(100, is_percent=True),)
    stop_at: Share | None = None
    window: Window | None = None
    attempts_max: int = 3
    retry_wait_s: int = 300
    parallel: int = 50
    silence_s: int = 3600
    patience_s: int = 86_400
    offline_s: int = 3600
    proof_s: int = 300
    wait_for_sessions: bool = True
    even_if_current: bool = False
    transfer_retries: int = 3
    transfer_interval_s: int = 60
    address_s: int = 7 * 86_400


def plan_to_json(plan: Plan) -> dict[str, Any]:
    return {
        **asdict(plan),
        "waves": [str(each) for each in plan.waves],
        "stop_at": None if plan.stop_at is None else str(plan.stop_at),
        "window": None if plan.window is None else str(plan.window),
    }


def plan_from_json(body: Mapping[str, Any]) -> Plan:
    """The inverse; fields that a later version has added keep their defaults."""
    known = {name: value for name, value in body.items() if name in Plan.__dataclass_fields__}
    return Plan(
        **{
            **known,
            "waves": waves(",".join(body["waves"])),
            "stop_at": None if body["stop_at"] is None else share(body["stop_at"]),
            "window": None if body["window"] is None else window(body["window"]),
        }
    )
