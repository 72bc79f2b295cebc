"""Ways to spoil a message: payloads with things deleted, replaced and added, and texts that no JSON writer makes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True, slots=True)
class Raw:
    """A piece of JSON text as it stands, right or wrong."""

    text: str


@dataclass(frozen=True, slots=True)
class Twice:
    """An object with one key twice."""

    first: dict[str, Any]
    again: dict[str, Any]


HUGE = "x" * 60_000
DEEP = 40
RAWS = [
    Raw(text)
    for text in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" + "0" * 60, "0." + "3" * 60, "-0", "1E+2")
] + [
    Raw('"\\ud800"'),
    Raw('"a\\udc00b"'),
    Raw('"\\u0000"'),
    Raw('"a\\u0000b"'),
    Raw("[" * DEEP + "]" * DEEP),
    Raw('{"a":' * DEEP + "1" + "}" * DEEP),
]
ODD = (
    None, True, False, [], {}, "", " ", 0, -1, 1.5, 2**31, 2**63, -(2**70), "null", "NaN", "12", "1,5", "-0.0", "1e999",
    "\x00", "x" * 300, HUGE, [[]], [None], [{}], {"": None}, "2026-02-30T10:00:00Z", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z", "2026-03-01T10:00:00+14:00", "'; DROP TABLE session; --", "\u202e<b>x</b>", "A" * 21,
)  # fmt: skip
JSON = st.one_of(
    st.sampled_from(ODD).map(copy.deepcopy),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
)
WILD = st.sampled_from(RAWS) | JSON


@st.composite
def spoilt(draw: st.DrawFn, payload: Any, *, wild: bool = False) -> Any:
    """`payload` with one to three places changed. `wild`: also what Python has no value for (Raw, Twice)."""
    result = copy.deepcopy(payload)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(result))
        if not places or draw(st.integers(0, 40)) == 0:
            return draw(WILD if wild else JSON)
        container, key = draw(st.sampled_from(places))
        _spoil(draw, container, key, wild=wild)
    return result


def _spoil(draw: st.DrawFn, container: Any, key: Any, *, wild: bool) -> None:
    anything = WILD if wild else JSON
    deeds = ["delete", "replace", "retype", "add", "many"] + (["twice"] if wild else [])
    value = container[key]
    match draw(st.sampled_from(deeds)):
        case "delete":
            del container[key]
        case "replace":
            container[key] = draw(anything)
        case "retype":
            container[key] = str(value) if isinstance(value, int | float) else [value]
        case "many" if isinstance(value, list) and value:
            container[key] = value * draw(st.sampled_from([2, 20, 200]))
        case "twice" if isinstance(value, dict) and value:
            name = draw(st.sampled_from(sorted(value)))
            container[key] = Twice(value, {name: draw(anything)})
        case _ if isinstance(container, dict):
            container[draw(st.text(min_size=1, max_size=8))] = draw(anything)
        case _:
            container.append(draw(anything))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    names = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        yield value, name
        yield from _places(value[name])


def as_text(value: Any) -> str:
    """JSON text, in which Raw stands as it is."""
    match value:
        case Raw():
            return value.text
        case Twice():
            return as_text(value.first)[:-1] + "," + as_text(value.again)[1:]
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{as_text(each)}" for name, each in value.items()) + "}"
        case list():
            return "[" + ",".join(map(as_text, value)) + "]"
        case _:
            return json.dumps(value)
