"""Policies in the database: versions are added, never edited. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from billing.errors import AlreadyDone, NotFound
from billing.policies.interim import DEFAULT_INTERIM, InterimPolicy
from billing.policies.kinds import PolicyKind
from billing.policies.policies import BAND_TOLERANCE_S, PRICE_MAX, Policies
from billing.rating.policy import DEFAULT_POLICY, RatingPolicy
from billing.sql import Connection, Queries
from billing.tariffs.ocpi_json import as_decimal, dump_json, load_json

SQL: Final = Queries.load("billing.policies")
Body: TypeAlias = "Mapping[str, Any]"
"""A policy as it is stored."""


async def current(connection: Connection) -> Policies:
    """The newest versions. The first call of an installation stores the defaults as version 1."""
    bodies = await _bodies(connection)
    if not {"interim", "rating"} <= bodies.keys():
        await _insert(connection, "interim", DEFAULT_INTERIM.to_dict())
        await _insert(connection, "rating", DEFAULT_POLICY.to_dict())
        bodies = await _bodies(connection)
    review = bodies.get("review", {})
    price_max, tolerance = as_decimal(review.get("price_max")), as_decimal(review.get("band_tolerance_s"))
    return Policies(
        interim=InterimPolicy.from_dict(bodies["interim"]),
        rating=RatingPolicy.from_dict(bodies["rating"]),
        price_max=PRICE_MAX if price_max is None else price_max,
        band_tolerance_s=BAND_TOLERANCE_S if tolerance is None else tolerance,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """One version. `since` None: the default, which no server has stored yet."""

    version: int
    since: datetime | None
    body: Body

    def to_dict(self) -> dict[str, object]:
        return {"version": self.version, "since": self.since}


async def newest(connection: Connection, kind: PolicyKind, *, version: int | None = None) -> StoredPolicy:
    """The version in use, or the one that is named.

    Raises:
        NotFound: no such version.
    """
    row = await SQL.policy_version.fetchrow(connection, kind=kind.name, version=version)
    if row is not None:
        return StoredPolicy(version=row["version"], since=row["created_at"], body=load_json(row["body"]))
    if version is not None:
        raise NotFound(f"the {kind.name} policy has no version {version}", f"see csms policy show {kind.name}")
    return StoredPolicy(version=1, since=None, body=kind.default)


async def change(
    connection: Connection, kind: PolicyKind, changes: Sequence[str], *, entry: tuple[str, str] | None = None
) -> StoredPolicy:
    """Store the policy as NAME=VALUE words change it, for everybody or for the customers of `entry`, as its next version.

    Raises:
        Refused: a word cannot be understood, or the policy would be none.
        AlreadyDone: it is so already, or somebody else stored that version.
    """
    before = await newest(connection, kind)
    if before.since is None:
        await _insert(connection, kind.name, {**before.body, "version": 1})
    body = kind.changed({**kind.default, **before.body}, changes, entry=entry)
    if body == kind.check({**kind.default, **before.body}):
        raise AlreadyDone(f"the {kind.name} policy says so already", f"see csms policy show {kind.name}")
    await _insert_new(connection, kind.name, {**body, "version": before.version + 1})
    return await newest(connection, kind)


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
