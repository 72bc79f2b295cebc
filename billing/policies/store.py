"""Policies in the database: versions are added, never edited. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from billing.errors import AlreadyDone
from billing.policies.interim import DEFAULT_INTERIM, InterimPolicy
from billing.policies.policies import PRICE_MAX, Policies
from billing.rating.policy import DEFAULT_POLICY, RatingPolicy
from billing.sql import Connection, Queries
from billing.tariffs.ocpi_json import as_decimal, dump_json, load_json

SQL: Final = Queries.load("billing.policies")


async def current(connection: Connection) -> Policies:
    """The newest versions. The first call of an installation stores the defaults as version 1."""
    bodies = await _bodies(connection)
    if not {"interim", "rating"} <= bodies.keys():
        await _insert(connection, "interim", DEFAULT_INTERIM.to_dict())
        await _insert(connection, "rating", DEFAULT_POLICY.to_dict())
        bodies = await _bodies(connection)
    price_max = as_decimal(bodies.get("review", {}).get("price_max"))
    return Policies(
        interim=InterimPolicy.from_dict(bodies["interim"]),
        rating=RatingPolicy.from_dict(bodies["rating"]),
        price_max=PRICE_MAX if price_max is None else price_max,
    )


async def set_interim(connection: Connection, policy: InterimPolicy) -> InterimPolicy:
    """Store `policy` as the next version, which it returns."""
    version = (await current(connection)).interim.version + 1
    return InterimPolicy.from_dict(await _insert_new(connection, "interim", replace(policy, version=version).to_dict()))


async def set_rating(connection: Connection, policy: RatingPolicy) -> RatingPolicy:
    """Store `policy` as the next version, which it returns."""
    version = (await current(connection)).rating.version + 1
    return RatingPolicy.from_dict(await _insert_new(connection, "rating", replace(policy, version=version).to_dict()))


async def rating_policy(connection: Connection, version: int) -> RatingPolicy:
    """The rating policy that a bill names; it was stored before the bill was."""
    return RatingPolicy.from_dict(load_json(await SQL.rating_policy.fetchval(connection, version=version)))


async def _bodies(connection: Connection) -> dict[str, Mapping[str, Any]]:
    return {row["kind"]: load_json(row["body"]) for row in await SQL.newest_policies.fetch(connection)}


async def _insert(connection: Connection, kind: str, body: Mapping[str, Any]) -> bool:
    stored = await SQL.insert_policy.fetchval(connection, kind=kind, version=body["version"], body=dump_json(body))
    return stored is not None


async def _insert_new(connection: Connection, kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    if not await _insert(connection, kind, body):
        raise AlreadyDone(
            f"somebody else stored version {body['version']} of the {kind} policy meanwhile",
            "look at it, and store yours again if it still holds",
        )
    return body
