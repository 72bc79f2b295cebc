"""Templates: kept by version, given to charge points setting by setting, and looked after later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncpg import Record

from billing import AlreadyDone, NotFound, Queries, Refused
from csms.charge_points.device_settings import DeviceSettings, Send
from csms.charge_points.service import SQL as CHARGE_POINTS
from csms.charge_points.service import find as find_charge_point
from csms.protocol.redaction import REDACTED
from csms.protocol.vocabulary import Outcome, Protocol
from csms.templates.difference import Known, by_name
from csms.templates.plan import (
    NOT_KNOWN,
    NOT_SUPPORTED,
    READ_ONLY,
    UNCHANGED,
    Answer,
    Drift,
    Past,
    Planned,
    Result,
    Step,
    drift_of,
    planned,
    result_of,
)
from csms.templates.template import Section, Stored, Template, problems_of, section_of, to_document

SQL = Queries.load(__package__)
UNANSWERED = frozenset({"timeout", "offline", "invalid_answer", "call_error"})
"""Outcomes after which nobody knows what the charge point has set."""
_STANDING = {Step.READ_ONLY: READ_ONLY, Step.NOT_SUPPORTED: NOT_KNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What became of a template in one charge point; `settings` are its answers, newest of each."""

    charge_point: str
    result: Result
    settings: Sequence[Mapping[str, Any]] = ()
    before: bool = False
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    charge_point: str
    template: str
    version: int
    name: str
    wanted: str
    value: str | None
    drift: Drift
    read_at: datetime | None


# --- kept ------------------------------------------------------------------------------------------------------------


async def store(connection: Any, name: str, template: Template, *, actor: str) -> Stored:
    """A new template, or a new version of one.

    Raises:
        AlreadyDone: the newest version says the same.
    """
    async with connection.transaction():
        await SQL.lock_name.execute(connection, name=name)
        newest = await SQL.find_template.fetchrow(connection, name=name, version=None)
        if newest is not None and _template(newest) == template:
            raise AlreadyDone(
                f"template {name} version {newest['version']} says the same", f"see csms template show {name}"
            )
        version = 1 if newest is None else newest["version"] + 1
        document = to_document(template)
        document.pop("description", None)
        await SQL.insert_template.execute(
            connection, name=name, version=version, description=template.description, settings=document, actor=actor
        )
    return Stored(name=name, version=version, template=template)


async def get(connection: Any, name: str, *, version: int | None = None) -> Stored:
    """Raises:
    NotFound: there is no such template, or no such version of it.
    """
    row = await SQL.find_template.fetchrow(connection, name=name, version=version)
    if row is None:
        which = f"template {name}" if version is None else f"version {version} of template {name}"
        raise NotFound(f"no {which}", "see csms template list")
    return Stored(name=row["name"], version=row["version"], template=_template(row))


async def overview(connection: Any) -> list[dict[str, Any]]:
    rows = await SQL.list_templates.fetch(connection)
    return [
        {
            "name": row["name"],
            "version": row["version"],
            **{str(section): len(row["settings"].get(section, {})) for section in Section},
            "applied": row["applied"],
            "with_findings": row["with_findings"],
            "unfinished": row["unfinished"],
            "description": row["description"],
            "created_at": row["created_at"],
        }
        for row in rows
    ]


async def uses(connection: Any, stored: Stored) -> list[dict[str, Any]]:
    """Where it was given to, and what became of it there."""
    rows = await SQL.list_uses.fetch(connection, template=stored.name, version=stored.version)
    return [dict(row) for row in rows]


async def known_settings(connection: Any, charge_point: str) -> dict[str, Known]:
    """As the charge point last told them, by name in lower case."""
    rows = await CHARGE_POINTS.settings_of.fetch(connection, charge_point=charge_point)
    return by_name(
        Known(name=row["name"], value=row["value"], mutability=row["mutability"], read_at=row["read_at"])
        for row in rows
    )


def from_settings(protocol: Protocol, settings: Mapping[str, Known], names: Sequence[str] | None) -> Template:
    """A template of what a charge point has set and others may be set to; only `names` where they are given.

    Raises:
        Refused: there is nothing that a template can hold.
    """
    section = section_of(protocol)
    chosen = None if names is None else {name.casefold() for name in names}
    values = {
        known.name: known.value
        for key, known in sorted(settings.items())
        if (chosen is None or key in chosen) and known.value not in (None, REDACTED) and is_settable(known, section)
    }
    fit = {name: value for name, value in values.items() if value is not None}
    fit = {name: value for name, value in fit.items() if not any(problems_of(section, name, value))}
    if not fit:
        raise Refused(
            "none of its settings that are known here can stand in a template",
            "read them first: csms cp config get CP; read-only, secret and individual ones are left out",
        )
    return Template(settings={section: fit})


def is_settable(known: Known, section: Section) -> bool:
    """2.x says what can be written; 1.6 only what cannot."""
    return known.mutability == "ReadWrite" if section is Section.VARIABLES else not known.is_read_only


# --- given -----------------------------------------------------------------------------------------------------------


async def foresee(
    connection: Any, charge_point: str, wanted: Mapping[str, str], *, at: Stored, unknown: Sequence[str] = ()
) -> list[Planned]:
    """What giving it would do, by what is known here; a setting that nobody has read counts as to be set."""
    past = await _past(connection, charge_point, at, again=False)
    return planned(wanted, await known_settings(connection, charge_point), unknown=unknown, past=past)


async def completed(connection: Any, charge_point: str, stored: Stored) -> Given | None:
    """What became of this version, if the charge point has answered to all of it; None where it has not.

    Nor where it wanted a reboot and has had one: then somebody must look whether that has helped.
    """
    use = await SQL.find_use.fetchrow(
        connection, charge_point=charge_point, template=stored.name, version=stored.version
    )
    if use is None or use["completed_at"] is None:
        return None
    if use["outcome"] == Result.REBOOT_REQUIRED and use["rebooted"]:
        return None
    settings = await _answers(connection, charge_point, stored)
    return Given(charge_point=charge_point, result=Result(use["outcome"]), settings=settings, before=True)


async def give(
    connection: Any, charge_point: str, protocol: Protocol, stored: Stored, send: Send, *, actor: str, again: bool
) -> Given:
    """Read what is set, ask for what differs, and keep each answer as it comes: broken off, it goes on from there."""
    wanted = stored.template.for_protocol(protocol)
    if not wanted:
        return Given(charge_point=charge_point, result=Result.NOTHING_FOR_IT)
    if not await SQL.lock_charge_point.fetchval(connection, charge_point=charge_point):
        return Given(charge_point=charge_point, result=Result.BUSY, detail="another template is on its way into it")
    try:
        use = _Use(connection, charge_point, stored)
        device = DeviceSettings(
            charge_point=charge_point, protocol=protocol, send=send, books=lambda: nullcontext(connection)
        )
        past = await _past(connection, charge_point, stored, again=again)
        await use.begin(actor)
        detail = await _give(use, device, wanted, past)
        return await use.end(wanted, detail)
    finally:
        await SQL.unlock_charge_point.fetchval(connection, charge_point=charge_point)


async def _give(use: _Use, device: DeviceSettings, wanted: Mapping[str, str], past: Past) -> str | None:
    """Why it was broken off, None where every setting was answered."""
    read = await device.read(list(wanted))
    if read.status in UNANSWERED:
        return _why(read)
    present = await known_settings(use.connection, use.charge_point)
    unknown = [str(name) for name in read.data.get("unknown", [])]
    for each in planned(wanted, present, unknown=unknown, past=past):
        answer = past.answers.get(each.name)
        match each.step:
            case Step.SAME:
                kept = None if answer is None or answer.wanted != each.wanted else answer.status
                await use.note(each, UNCHANGED if kept != "Accepted" else kept)
            case Step.READ_ONLY | Step.NOT_SUPPORTED:
                await use.note(each, _STANDING[each.step])
            case Step.AWAITS_REBOOT | Step.REFUSED:
                pass  # what it said stands
            case Step.SET:
                outcome = await use.ask(each, device)
                if outcome.status in UNANSWERED:
                    return _why(outcome)
    return None


def _why(outcome: Outcome) -> str:
    return outcome.status if outcome.detail is None else f"{outcome.status}: {outcome.detail}"


@dataclass(frozen=True, slots=True)
class _Use:
    """The books of one template in one charge point."""

    connection: Any
    charge_point: str
    stored: Stored

    @property
    def key(self) -> dict[str, Any]:
        return {"charge_point": self.charge_point, "template": self.stored.name, "version": self.stored.version}

    async def begin(self, actor: str) -> None:
        await SQL.begin_use.execute(self.connection, **self.key, actor=actor)

    async def note(self, each: Planned, status: str) -> None:
        await SQL.note_standing.execute(
            self.connection, **self.key, name=each.name, wanted=each.wanted, before=each.value, status=status
        )

    async def ask(self, each: Planned, device: DeviceSettings) -> Outcome:
        """It is in the books before it is sent."""
        await SQL.note_asked.execute(self.connection, **self.key, name=each.name, wanted=each.wanted, before=each.value)
        outcome = await device.change(each.name, each.wanted)
        if outcome.status not in UNANSWERED:
            status = NOT_KNOWN if outcome.status in {*NOT_SUPPORTED, "not_supported"} else outcome.status
            await SQL.note_answer.execute(self.connection, **self.key, name=each.name, status=status)
        return outcome

    async def end(self, wanted: Mapping[str, str], detail: str | None) -> Given:
        settings = await _answers(self.connection, self.charge_point, self.stored)
        said = {row["name"]: row["status"] for row in settings}
        result = result_of([said.get(name) for name in wanted])
        await SQL.end_use.execute(
            self.connection, **self.key, outcome=str(result), detail=detail,
            complete=result is not Result.UNFINISHED,
        )  # fmt: skip
        return Given(charge_point=self.charge_point, result=result, settings=settings, detail=detail)


async def _past(connection: Any, charge_point: str, stored: Stored, *, again: bool) -> Past:
    rows = await _answers(connection, charge_point, stored)
    known = await find_charge_point(connection, charge_point)
    return Past(
        answers={row["name"]: _answer(row) for row in rows},
        booted_at=None if known is None else known.booted_at,
        again=again,
    )


async def _answers(connection: Any, charge_point: str, stored: Stored) -> list[dict[str, Any]]:
    rows = await SQL.answers.fetch(connection, charge_point=charge_point, template=stored.name, version=stored.version)
    return [dict(row) for row in rows]


def _answer(row: Mapping[str, Any]) -> Answer:
    return Answer(wanted=row["wanted"], status=row["status"], answered_at=row["answered_at"])


# --- looked after ----------------------------------------------------------------------------------------------------


async def given_to(connection: Any, charge_points: Sequence[str], template: str | None) -> list[dict[str, Any]]:
    """The newest version of each template that these charge points were given."""
    return [dict(row) for row in await SQL.given.fetch(connection, charge_points=charge_points, template=template)]


async def drifted(connection: Any, given: Mapping[str, Any]) -> list[Drifted]:
    """What no longer is as the charge point took it, by what is known here."""
    stored = Stored(name=given["template"], version=given["version"])
    known = await known_settings(connection, given["charge_point"])
    found = []
    for row in await _answers(connection, given["charge_point"], stored):
        setting = known.get(row["name"].casefold())
        drift = drift_of(_answer(row), setting, booted_at=given["booted_at"])
        if drift is not None:
            found.append(_drifted(given, row["name"], row["wanted"], setting, drift))
    if given["newest"] > given["version"]:
        found.append(_drifted(given, "", f"version {given['newest']}", None, Drift.OUTDATED))
    return found


def _drifted(given: Mapping[str, Any], name: str, wanted: str, known: Known | None, drift: Drift) -> Drifted:
    return Drifted(
        charge_point=given["charge_point"],
        template=given["template"],
        version=given["version"],
        name=name,
        wanted=wanted,
        value=None if known is None else known.value,
        drift=drift,
        read_at=None if known is None else known.read_at,
    )


def _template(row: Record) -> Template:
    settings = {Section(section): values for section, values in row["settings"].items()}
    return Template(settings=settings, description=row["description"])
