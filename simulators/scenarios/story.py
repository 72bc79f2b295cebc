"""A scenario file: TOML in, checked steps out. Reports every mistake at once. Pure but for reading the file.

Top level: ``title``, ``about``, ``protocol``, ``start``, ``token``, ``identity``, ``password``, ``evses``,
``register_wh``, ``sample_every``, ``stop_on_invalid``, ``seq_start``, ``retry_refused`` (keep trying though the central
system refuses the credentials), and ``steps``, a list of tables with ``do`` and that step's own keys.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

PROTOCOLS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
STEPS_MAX = 10_000
DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class ScenarioError(ValueError):
    """The scenario cannot be played; ``mistakes`` lists all of them."""

    def __init__(self, name: str, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        super().__init__(f"scenario {name}: " + "; ".join(mistakes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happens. ``number`` counts from 1, as in the messages about it."""

    number: int
    do: str
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A checked scenario."""

    name: str
    title: str
    about: str = ""
    protocol: str = "ocpp1.6"
    start: datetime | None = None
    token: str = "CARD-0001"  # noqa: S105 - a card number, no secret
    evses: int = 1
    register_wh: Decimal = Decimal(0)
    sample_every: timedelta | None = None
    identity: str | None = None
    password: str | None = None
    stop_on_invalid: bool = True
    seq_start: int = 0
    retry_refused: bool = False
    steps: tuple[Step, ...] = field(default=())

    @property
    def length(self) -> timedelta:
        """Model time from the first to the last step."""
        return sum((step.given["for"] for step in self.steps if "for" in step.given), start=timedelta())


# --- values


def duration(value: Any) -> timedelta:
    """``90`` (seconds), ``"15m"``, ``"1h30m"``."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return timedelta(seconds=value)
    match = DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError(f"{value!r} is no duration; write seconds, or like 15m, 1h30m")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def signed_duration(value: Any) -> timedelta:
    """A duration that may begin with a minus."""
    if isinstance(value, str) and value.startswith("-"):
        return -duration(value[1:])
    if isinstance(value, int) and value < 0:
        return timedelta(seconds=value)
    return duration(value)


def moment(value: Any) -> datetime:
    """An aware instant, as TOML date-time or RFC 3339 text."""
    try:
        parsed = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is no date and time") from None
    if parsed.tzinfo is None:
        raise ValueError(f"{value} has no zone; add Z or an offset")
    return parsed.astimezone(UTC)


def quantity(value: Any) -> Decimal:
    """An exact number, given as number or text."""
    if isinstance(value, bool | float):
        raise ValueError(f"{value!r} is not exact; write it as text or, in TOML, as a plain number")  # noqa: TRY004 - all mistakes are ValueErrors
    try:
        parsed = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError(f"{value!r} is no number") from None
    if not parsed.is_finite():
        raise ValueError(f"{value!r} is not finite")
    return parsed


def positive(value: Any) -> int:
    """A whole number from 1 on."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{value!r} must be a whole number from 1 on")
    return value


def natural(value: Any) -> int:
    """A whole number from 0 on."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} must be a whole number from 0 on")
    return value


def text(value: Any) -> str:
    """Text, not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} must be text")
    return value


def yes_no(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} must be true or false")  # noqa: TRY004 - all mistakes are ValueErrors
    return value


def protocol_name(value: Any) -> str:
    """One of the two versions."""
    if value not in PROTOCOLS:
        raise ValueError(f"{value!r} is none of {', '.join(PROTOCOLS)}")
    return str(value)


def anything(value: Any) -> Any:
    """Whatever an expectation compares with."""
    return value


Parse = Callable[[Any], Any]

EVSE: dict[str, Parse] = {"evse": positive}
FOR: dict[str, Parse] = {"for": duration}
# step -> (keys that must be given, keys that may be given)
STEPS: dict[str, tuple[dict[str, Parse], dict[str, Parse]]] = {
    "boot": ({}, {}),
    "plug": ({}, EVSE),
    "unplug": ({}, EVSE),
    "authorize": ({}, {"token": text}),
    "start": ({}, EVSE | {"token": text, "lose": yes_no}),
    "charge": ({"kwh": quantity} | FOR, EVSE),
    "charge_battery": (FOR, EVSE | {"power_kw": quantity, "soc": natural, "capacity_kwh": quantity}),
    "wait": (FOR, {}),
    "suspend_ev": (FOR, EVSE),
    "suspend_evse": (FOR, EVSE),
    "sample": ({}, EVSE),
    "stop": ({}, EVSE | {"reason": text}),
    "lose_stop": ({}, EVSE | {"reason": text}),
    "offline": ({}, {}),
    "online": ({}, {"announce": yes_no}),
    "cut": ({}, {}),
    "reboot": ({}, {"reason": text}),
    "repeat_start": ({}, EVSE | {"times": positive}),
    "repeat_stop": ({}, EVSE | {"times": positive}),
    "register_jump": ({"wh": quantity}, EVSE),
    "register_set": ({"wh": quantity}, EVSE),
    "clock_off": ({}, {"by": signed_duration, "to": moment}),
    "clock_right": ({}, {}),
    "heartbeat": ({}, {}),
    "fail_transfer": ({"status": text}, {}),
    "send": ({"frame": text}, {}),
    "expect": (
        {},
        {
            "token_status": text,
            "connected": yes_no,
            "queued": natural,
            "discarded": natural,
            "displayed": anything,
        },
    ),
}
TOP: dict[str, Parse] = {
    "title": text,
    "about": text,
    "protocol": protocol_name,
    "start": moment,
    "token": text,
    "identity": text,
    "password": text,
    "evses": positive,
    "register_wh": quantity,
    "sample_every": duration,
    "stop_on_invalid": yes_no,
    "seq_start": natural,
    "retry_refused": yes_no,
}


# --- reading


def load(source: str | Path | Mapping[str, Any]) -> Scenario:
    """A scenario out of a TOML file, the name of a shipped one, or a mapping of the same shape."""
    if isinstance(source, Mapping):
        return parse(source, name=str(source.get("title", "inline")))
    path = Path(source)
    if not path.exists() and str(source) in shipped():
        path = shipped()[str(source)]
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as failure:
        known = ", ".join(shipped())
        raise ScenarioError(str(source), [f"{failure.strerror}; give a file or one of {known}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise ScenarioError(path.name, [str(failure)]) from None
    return parse(content, name=path.stem)


def shipped() -> dict[str, Path]:
    """The scenarios that come with the package, by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}


def parse(content: Mapping[str, Any], *, name: str) -> Scenario:
    """Check everything; raise once with all mistakes."""
    mistakes: list[str] = []
    top = {key: value for key, value in content.items() if key != "steps"}
    values = _values("top level", top, {"title": text}, TOP, mistakes)
    raw_steps = content.get("steps")
    if not isinstance(raw_steps, list) or not 0 < len(raw_steps) <= STEPS_MAX:
        mistakes.append(f"steps must be a list of 1 to {STEPS_MAX} tables")
        raw_steps = []
    steps = [_step(number, raw, mistakes) for number, raw in enumerate(raw_steps, start=1)]
    evses = values.get("evses", 1)
    mistakes += [
        f"step {step.number} ({step.do}): evse {step.given['evse']} of {evses}"
        for step in steps
        if step.given.get("evse", 1) > evses
    ]
    if mistakes:
        raise ScenarioError(name, mistakes)
    return Scenario(name=name, steps=tuple(steps), **values)


def _step(number: int, raw: Any, mistakes: list[str]) -> Step:
    if not isinstance(raw, Mapping) or raw.get("do") not in STEPS:
        given = raw.get("do") if isinstance(raw, Mapping) else raw
        mistakes.append(f"step {number}: {given!r} is no step; known are {', '.join(STEPS)}")
        return Step(number=number, do="", given={})
    do = str(raw["do"])
    must, may = STEPS[do]
    own = {key: value for key, value in raw.items() if key != "do"}
    return Step(number=number, do=do, given=_values(f"step {number} ({do})", own, must, may, mistakes))


def _values(
    where: str, raw: Mapping[str, Any], must: dict[str, Parse], may: dict[str, Parse], mistakes: list[str]
) -> dict[str, Any]:
    mistakes += [f"{where}: {key} is missing" for key in must if key not in raw]
    values: dict[str, Any] = {}
    for key, value in raw.items():
        parse_value = must.get(key) or may.get(key)
        if parse_value is None:
            mistakes.append(f"{where}: unknown key {key!r}; known are {', '.join(must | may)}")
            continue
        try:
            values[key] = parse_value(value)
        except ValueError as mistake:
            mistakes.append(f"{where}: {key}: {mistake}")
    return values
