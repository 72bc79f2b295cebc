"""A simulated charge point keeps a local list and a cache, and authorises by them while it is offline."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from simulators.charge_point import Build, Credentials, ModelClock, ReconnectPolicy, SimulatedChargePoint
from tests.simulators.central_system import CentralSystem

QUICK = ReconnectPolicy(wait_s=0.01, range_s=0.01, doublings=1)
BOTH = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAMES = {
    "ocpp1.6": ("LocalAuthListEnabled", "SendLocalListMaxLength", "LocalPreAuthorize", "AuthorizationCacheEnabled"),
    "ocpp2.0.1": (
        "LocalAuthListCtrlr.Enabled", "LocalAuthListCtrlr.ItemsPerMessage", "AuthCtrlr.LocalPreAuthorize",
        "AuthCacheCtrlr.Enabled",
    ),
}  # fmt: skip


@contextlib.asynccontextmanager
async def booted(central: CentralSystem, protocol: str) -> AsyncIterator[SimulatedChargePoint]:
    credentials = Credentials(url=central.url, identity="CP-1", password=central.password)
    build = Build(protocol=protocol, reconnect=QUICK, boot_wait_max_s=5)
    async with SimulatedChargePoint(credentials, ModelClock(NOON), build) as station:
        await station.boot()
        yield station


def listing(protocol: str, version: int, tokens: dict[str, str | None], *, full: bool = True) -> Any:
    """SendLocalList; a token without status leaves the list. LATE's verdict ends at noon."""
    kind = "Full" if full else "Differential"
    end = {"LATE": NOON.isoformat()}
    if protocol == "ocpp1.6":
        entries16: list[dict[str, Any]] = [{"id_tag": token} for token in tokens]
        for entry, (token, status) in zip(entries16, tokens.items(), strict=True):
            if status is not None:
                entry["id_tag_info"] = {"status": status, **({"expiry_date": end[token]} if token in end else {})}
        return call16.SendLocalList(list_version=version, update_type=kind, local_authorization_list=entries16 or None)
    entries: list[dict[str, Any]] = [{"id_token": {"id_token": token, "type": "ISO14443"}} for token in tokens]
    for entry, (token, status) in zip(entries, tokens.items(), strict=True):
        if status is not None:
            expiry = {"cache_expiry_date_time": end[token]} if token in end else {}
            entry["id_token_info"] = {"status": status, **expiry}
    return call201.SendLocalList(version_number=version, update_type=kind, local_authorization_list=entries or None)


async def send(central: CentralSystem, request: Any) -> str:
    answer = await central.peers["CP-1"].call(request, suppress=False)
    return str(answer.status)


async def version(central: CentralSystem, protocol: str) -> int:
    ask = call16.GetLocalListVersion() if protocol == "ocpp1.6" else call201.GetLocalListVersion()
    answer = await central.peers["CP-1"].call(ask, suppress=False)
    return int(answer.list_version if protocol == "ocpp1.6" else answer.version_number)


@BOTH
async def test_a_list_is_taken_changed_and_emptied(central: CentralSystem, protocol: str) -> None:
    async with booted(central, protocol) as station:
        assert await version(central, protocol) == 0
        assert await send(central, listing(protocol, 3, {"ADA": "Accepted", "BOB": "Accepted"})) == "Accepted"
        assert await version(central, protocol) == 3
        assert await send(central, listing(protocol, 3, {"BOB": None}, full=False)) == "VersionMismatch"
        assert await send(central, listing(protocol, 4, {"BOB": None, "CYD": "Blocked"}, full=False)) == "Accepted"
        listed = dict(station.dialect.known_tokens.listed)
        assert await send(central, listing(protocol, 5, {})) == "Accepted"
        assert await version(central, protocol) == 0

    assert {token: entry.status for token, entry in listed.items()} == {"ADA": "Accepted", "CYD": "Blocked"}
    assert station.dialect.known_tokens.listed == {}


@BOTH
async def test_a_list_that_it_cannot_take_leaves_the_old_one(central: CentralSystem, protocol: str) -> None:
    enabled, items_max, *_ = NAMES[protocol]
    async with booted(central, protocol) as station:
        assert await send(central, listing(protocol, 3, {"ADA": "Accepted"})) == "Accepted"
        before = station.dialect.known_tokens.listed
        station.dialect.settings.entries[items_max].value = "1"
        assert await send(central, listing(protocol, 4, {"ADA": "Accepted", "BOB": "Accepted"})) == "Failed"
        assert await send(central, listing(protocol, 4, {"ADA": None})) == "Failed"
        station.dialect.settings.change(enabled, "false")
        refused = await send(central, listing(protocol, 5, {"BOB": "Accepted"}))

    assert station.dialect.known_tokens.listed == before
    assert refused == ("NotSupported" if protocol == "ocpp1.6" else "Failed")


@BOTH
async def test_offline_it_authorises_by_its_list(central: CentralSystem, protocol: str) -> None:
    async with booted(central, protocol) as station:
        await send(central, listing(protocol, 1, {"ADA": "Accepted", "LOST": "Blocked", "LATE": "Accepted"}))
        await station.offline()
        found = {token: await station.authorize(token) for token in ("ada", "LOST", "LATE", "NOBODY")}

    assert found == {"ada": "Accepted", "LOST": "Blocked", "LATE": "Expired", "NOBODY": "unanswered"}


@BOTH
async def test_what_it_has_learnt_it_knows_until_its_cache_is_cleared(central: CentralSystem, protocol: str) -> None:
    clear = call16.ClearCache() if protocol == "ocpp1.6" else call201.ClearCache()
    *_, cache = NAMES[protocol]
    async with booted(central, protocol) as station:
        online = await station.authorize("CARD-1")
        await station.offline()
        cached = await station.authorize("CARD-1")
        await station.online_again()
        cleared = await send(central, clear)
        await station.offline()
        forgotten = await station.authorize("CARD-1")
        await station.online_again()
        station.dialect.settings.change(cache, "false")
        refused = await send(central, clear)

    assert (online, cached, cleared, forgotten, refused) == (
        "Accepted", "Accepted", "Accepted", "unanswered", "Rejected",
    )  # fmt: skip


@BOTH
async def test_where_it_may_it_trusts_its_list_without_asking(central: CentralSystem, protocol: str) -> None:
    *_, pre_authorize, _ = NAMES[protocol]
    async with booted(central, protocol) as station:
        await send(central, listing(protocol, 1, {"ADA": "Accepted"}))
        station.dialect.settings.change(pre_authorize, "true")
        await station.authorize("ADA")
        await station.authorize("BOB")
        await station.advance(timedelta(seconds=1))

    [asked] = central.payloads("Authorize")
    assert "BOB" in str(asked)
