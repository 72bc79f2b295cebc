"""Plans as operators make them: a new plan, another version of one. Nothing of a plan ever changes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from billing.contracts.changes import Act, Noun
from billing.contracts.plan import ID, Plan, mistakes
from billing.contracts.plan_json import plan_from_json, plan_to_json
from billing.contracts.pricing import Indexed
from billing.contracts.store import SQL, Row
from billing.errors import AlreadyDone, NotFound, Refused
from billing.price_series import store as series
from billing.sql import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanVersion:
    """A version of a plan as it is stored."""

    id: str
    version: int
    plan: Plan
    actor: str
    created_at: datetime
    subscriptions: int | None = None


async def create_plan(connection: Connection, id_: str, plan: Plan, act: Act) -> PlanVersion:
    """A new plan with its first version.

    Raises:
        Refused: an id or a plan that cannot be.
        NotFound: the series that its price follows is not there.
        AlreadyDone: there is a plan of this id.
    """
    if not ID.fullmatch(id_):
        raise Refused(
            f"{id_!r} cannot name a plan", "use letters, digits, dot, dash and underscore, at most 64 of them"
        )
    await _require_sound(connection, id_, plan)
    async with connection.transaction():
        if await SQL.insert_plan.fetchval(connection, id=id_, created_at=act.now) is None:
            raise AlreadyDone(f"there is a plan {id_}", f"add a version to it: csms plan version {id_}")
        return await _insert(connection, id_, plan, None, act)


async def add_version(connection: Connection, id_: str, plan: Plan, act: Act) -> PlanVersion:
    """Another version: who subscribes from now on gets it, who has an older one keeps that.

    Raises:
        NotFound: no such plan, or no such series.
        Refused: a plan that cannot be.
        AlreadyDone: its newest version says the same.
    """
    newest = await require_plan(connection, id_)
    await _require_sound(connection, id_, plan)
    if newest.plan == plan:
        raise AlreadyDone(f"version {newest.version} of plan {id_} says the same", f"see csms plan show {id_}")
    async with connection.transaction():
        return await _insert(connection, id_, plan, newest.plan, act)


async def _insert(connection: Connection, id_: str, plan: Plan, before: Plan | None, act: Act) -> PlanVersion:
    body = plan_to_json(plan)
    version = await SQL.insert_plan_version.fetchval(
        connection, plan=id_, body=json.dumps(body), currency=plan.currency, actor=act.actor, created_at=act.now
    )
    await act.tell(
        connection, "version", id_, noun=Noun.PLAN, before=None if before is None else plan_to_json(before), after=body
    )
    return PlanVersion(id=id_, version=version, plan=plan, actor=act.actor, created_at=act.now)


async def _require_sound(connection: Connection, id_: str, plan: Plan) -> None:
    wrong = mistakes(plan)
    if wrong:
        raise Refused(f"plan {id_}: {wrong[0]}", "correct it", details={"problems": wrong})
    if isinstance(plan.pricing, Indexed):
        await series.require(connection, plan.pricing.series)


async def require_plan(connection: Connection, id_: str, version: int | None = None) -> PlanVersion:
    """A version of a plan, the newest unless said.

    Raises:
        NotFound: there is none.
    """
    row = await SQL.find_plan_version.fetchrow(connection, plan=id_, version=version)
    if row is None:
        what = f"no plan {id_}" if version is None else f"no version {version} of a plan {id_}"
        raise NotFound(what, "list them with csms plan list")
    return _version(row)


async def list_plans(connection: Connection, id_: str | None = None) -> list[PlanVersion]:
    """The versions of a plan, or the newest of every plan; each with how many subscriptions there have been."""
    return [_version(row, row["subscriptions"]) for row in await SQL.list_plan_versions.fetch(connection, plan=id_)]


def _version(row: Row, subscriptions: int | None = None) -> PlanVersion:
    return PlanVersion(
        id=row["plan"],
        version=row["version"],
        plan=plan_from_json(json.loads(row["body"])),
        actor=row["actor"],
        created_at=row["created_at"],
        subscriptions=subscriptions,
    )
