"""Commands as charge points with a habit want them: rewritten, or divided into several. Pure.

Which habits a charge point has is the catalogue's to say (`accommodations`); here stands what each means for commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from csms.protocol.blocks.smart_charging import ClearChargingProfile, SetChargingProfile
from csms.protocol.quirks.names import Accommodation
from csms.protocol.vocabulary import Command, GetSettings, Outcome, Protocol


def accommodated(command: Command, wanted: frozenset[Accommodation], protocol: Protocol) -> list[Command]:
    """What to send instead of `command`, one after the other; the outcomes go to `outcome_of`."""
    match command:
        case GetSettings(names=names) if names:
            if Accommodation.SETTINGS_WITHOUT_LIST in wanted and protocol is Protocol.V16:
                return [GetSettings()]
            if Accommodation.ONE_SETTING_PER_CALL in wanted:
                return [GetSettings(names=(name,)) for name in names]
        case SetChargingProfile(profile=profile) if Accommodation.STACK_LEVEL_FROM_ONE in wanted:
            level = _one_up(profile.stack_level, command.stack_level_max)
            return [replace(command, profile=replace(profile, stack_level=level))]
        case ClearChargingProfile(stack_level=int(level)) if Accommodation.STACK_LEVEL_FROM_ONE in wanted:
            return [replace(command, stack_level=_one_up(level, command.stack_level_max))]
        case _:
            pass
    return [command]


def _one_up(level: int, highest: int | None) -> int:
    """Counted from one, but not above the highest that the charge point knows: it would refuse it."""
    return level + 1 if highest is None else max(min(level + 1, highest), level)


def outcome_of(command: Command, sent: Sequence[Command], outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome for `command` out of those of what was sent instead; the first that is no answer stands for all."""
    assert outcomes, "at least one command was sent"
    if not isinstance(command, GetSettings) or list(sent) == [command]:
        return outcomes[-1]
    failed = next((each for each in outcomes if "settings" not in each.data), None)
    return failed or _of_settings(command.names, outcomes, is_whole=list(sent) == [GetSettings()])


def _of_settings(names: Sequence[str], outcomes: Sequence[Outcome], *, is_whole: bool) -> Outcome:
    """`is_whole`: the outcome tells all settings, of which `names` were meant."""
    settings: dict[str, str | None] = {}
    lists: dict[str, list[str]] = {"readonly": [], "unknown": []}
    statuses: dict[str, str] = {}
    for each in outcomes:
        settings |= each.data["settings"]
        statuses |= each.data.get("statuses", {})
        for name, found in lists.items():
            found.extend(each.data.get(name, []))
    if is_whole:
        asked = {name.casefold() for name in names}
        settings = {name: value for name, value in settings.items() if name.casefold() in asked}
        known = {name.casefold() for name in settings}
        lists["readonly"] = [name for name in lists["readonly"] if name in settings]
        lists["unknown"] = [name for name in names if name.casefold() not in known]
    data: dict[str, Any] = {"settings": settings, **lists} | ({"statuses": statuses} if statuses else {})
    refused = next((each for each in outcomes if not each.accepted), outcomes[-1])
    return Outcome(accepted=refused.accepted, status=refused.status, data=data, detail=refused.detail)
