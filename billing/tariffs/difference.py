"""What differs between two tariffs, line by line. Knows JSON values and no prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from billing.tariffs.ocpi_json import dump_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One place at which they differ, as JSON text. `before` None: it was not there; `after` None: it is gone."""

    path: str
    before: str | None
    after: str | None

    def to_dict(self) -> dict[str, object]:
        return {"path": self.path, "before": self.before, "after": self.after}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Both as OCPI objects. Elements that were put in or taken out are one change each, not a shift of all that follow."""
    return list(_of_objects("", before, after))


def _of_objects(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in sorted(before.keys() | after.keys()):
        where = f"{path}.{key}" if path else key
        if key not in after:
            yield Change(path=where, before=dump_json(before[key]), after=None)
        elif key not in before:
            yield Change(path=where, before=None, after=dump_json(after[key]))
        else:
            yield from _of_values(where, before[key], after[key])


def _of_values(path: str, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _of_objects(path, before, after)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(path, before, after)
    elif before != after:
        yield Change(path=path, before=dump_json(before), after=dump_json(after))


def _of_lists(path: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[Change]:
    """Items that are the same stand side by side; what lies between two such is paired in its order."""
    old, new = ([dump_json(each) for each in side] for side in (before, after))
    for tag, old_from, old_to, new_from, new_to in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        pairs = min(old_to - old_from, new_to - new_from)
        for n in range(pairs):
            yield from _of_values(f"{path}[{new_from + n}]", before[old_from + n], after[new_from + n])
        for n in range(old_from + pairs, old_to):
            yield Change(path=f"{path}[{n}]", before=old[n], after=None)
        for n in range(new_from + pairs, new_to):
            yield Change(path=f"{path}[{n}]", before=None, after=new[n])
