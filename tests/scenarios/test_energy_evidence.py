"""Signed meter values from the socket to the bill: each fault with its stated consequence (RULES.md 23)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing import Refused, Scope
from billing.tariffs import service as tariffs
from csms.database.pool import open_pool
from csms.evidence import service
from csms.evidence.service import KeyOf
from csms.sessions import listing
from csms.sessions.rehearsal import rerate
from simulators.charge_point import Credentials, ModelClock, Signing, SimulatedChargePoint
from simulators.charge_point.signing import Spoil, private_key, public_hex, signed_text
from simulators.scenarios.runner import QUICK
from tests.world import LONG_AGO, SITE, TOKENS, World, in_the_past, tariff_document

BOTH = ("ocpp1.6", "ocpp2.0.1")
LAW = "de-eichrecht"
HOUR = timedelta(hours=1)
ENERGY = Decimal(11_000)


def _tampered(reason: str, text: str) -> str | None:
    return text.replace('"RV":5', '"RV":6') if reason == "E" else text


def _slower(reason: str, text: str) -> str | None:
    """The same meter, had it counted a kWh less."""
    payload = text.split("|")[1].replace('"RV":51.0000', '"RV":50.0000')
    return signed_text(payload, private_key("METERED-1", "secp256r1"), "secp256r1") if reason == "E" else text


def _without(reason: str) -> Spoil:
    return lambda told, text: None if told == reason else text


@dataclass(frozen=True)
class Charged:
    """What a charge point with a signing meter left behind."""

    session: dict[str, Any]
    written: list[str]
    key: str


async def _charge(
    world: World,
    protocol: str,
    *,
    signing: Signing | None,
    key: str | None = "own",
    law: bool = True,
    revoked: bool = False,
) -> Charged:
    """11 kWh in an hour, from 40 kWh to 51; the key that is registered is the meter's own unless said."""
    if law:
        await _set_law(world)
    known = await world.charge_point("METERED", max_power_w=Decimal(22_000))
    credentials = Credentials(url=world.ocpp_url, identity=known.id, password=known.password)
    build = replace(
        QUICK, protocol=protocol, register_wh=Decimal(40_000), sample_every=timedelta(minutes=20), signs=signing
    )
    async with SimulatedChargePoint(credentials, ModelClock(in_the_past(minutes=70)), build) as station:
        signer = station.evses[1].signer
        own = "" if signer is None else signer.public_key
        registered = own if key == "own" else key
        if registered:
            known_key = await register(world, registered)
            if revoked:
                await _revoke(world, known_key["id"])
        await station.boot()
        await station.plug()
        await station.start(token=TOKENS[0])
        await station.charge(energy_wh=ENERGY, duration=HOUR)
        await station.stop()
        await world.quiet()
        (session,) = await world.sessions()
        return Charged(session=session, written=[] if signer is None else signer.written, key=own)


async def _set_law(world: World) -> None:
    await service.set_profile(
        world.connection,
        SITE,
        LAW,
        reason="sold to the public",
        actor="operator",
        now=datetime.now(UTC),
        valid_from=LONG_AGO,
    )


async def register(world: World, key: str, **whose: Any) -> dict[str, Any]:
    return await service.register_key(
        world.connection,
        KeyOf(charge_point="METERED", **whose),
        key,
        reason="type plate",
        actor="operator",
        now=datetime.now(UTC),
        valid_from=LONG_AGO,
    )


async def _revoke(world: World, key: int) -> None:
    now = datetime.now(UTC)
    await service.revoke_key(
        world.connection, key, reason="exchanged", actor="operator", now=now, valid_until=LONG_AGO + HOUR
    )


async def _why(world: World, session: int, rule: str) -> str:
    found = await listing.evidence(world.connection, session)
    return next(each["evidence"] for each in found if each["rule"] == rule)


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("samples", [False, True])
async def test_valid_signatures_are_billed_by_the_signed_readings(world: World, protocol: str, samples: bool) -> None:
    charged = await _charge(world, protocol, signing=Signing(samples=samples))

    shown = await world.show(charged.session["id"])
    assert (shown["state"], shown["energy_source"], shown["hold_reasons"]) == ("rated", "signed", [])
    assert shown["energy_wh"] == ENERGY
    [bill] = [each for each in await world.bills(shown["id"]) if each.kind == "final"]
    assert bill.energy_wh == ENERGY
    assert bill.total_excl.text == "5.39"


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize(
    ("signing", "key", "rule", "why"),
    [
        (Signing(spoil=_tampered), "own", "evidence_invalid", "T2: not signed by key"),
        (Signing(), public_hex(private_key("another", "secp256r1")), "evidence_invalid", "T1: not signed by key"),
        (Signing(), None, "evidence_no_key", "no key is registered for meter METERED-1"),
        (Signing(spoil=_without("B")), "own", "evidence_missing", "no signed begin"),
        (Signing(spoil=_without("E")), "own", "evidence_missing", "no signed end"),
        (None, "", "evidence_missing", "sent no signed values"),
        (Signing(samples=True, spoil=_without("C")), "own", "evidence_gap", "missing between T1 and T"),
    ],
    ids=["tampered", "wrong key", "no key", "missing begin", "missing end", "unsigned", "pagination gap"],
)
async def test_evidence_that_is_not_whole_is_held_and_says_why(
    world: World, protocol: str, signing: Signing | None, key: str | None, rule: str, why: str
) -> None:
    charged = await _charge(world, protocol, signing=signing, key=key)

    id_ = charged.session["id"]
    assert (charged.session["state"], charged.session["hold_reasons"]) == ("held", [rule])
    assert why in await _why(world, id_, rule)
    with pytest.raises(Refused, match=rule):
        await world.review(id_, "release")
    assert [bill.kind for bill in await world.bills(id_) if bill.kind == "final"] == []


@pytest.mark.parametrize("protocol", BOTH)
async def test_without_the_profile_nothing_is_held(world: World, protocol: str) -> None:
    charged = await _charge(world, protocol, signing=Signing(spoil=_tampered), law=False)

    assert (charged.session["state"], charged.session["hold_reasons"]) == ("rated", [])


@pytest.mark.parametrize("wrapped", ["plain", "hex", "base64", "object"])
async def test_makers_wrap_signed_data_as_they_like(world: World, wrapped: str) -> None:
    charged = await _charge(world, "ocpp1.6", signing=Signing(wrapped=wrapped))

    assert charged.session["state"] == "rated"


@pytest.mark.parametrize("curve", ["secp192r1", "secp256k1", "secp384r1", "brainpool256r1", "brainpool384r1"])
async def test_meters_sign_with_any_curve(world: World, curve: str) -> None:
    charged = await _charge(world, "ocpp2.0.1", signing=Signing(curve=curve))

    assert charged.session["state"] == "rated"


async def test_the_right_key_makes_a_held_session_billable(world: World) -> None:
    charged = await _charge(world, "ocpp1.6", signing=Signing(), key=None)
    await register(world, charged.key)
    await world.quiet()

    (session,) = await world.sessions()
    assert (session["state"], session["hold_reasons"]) == ("rated", [])


async def test_a_key_that_holds_no_longer_verifies_nothing_that_begins_later(world: World) -> None:
    charged = await _charge(world, "ocpp1.6", signing=Signing(), revoked=True)

    assert charged.session["hold_reasons"] == ["evidence_no_key"]


async def test_the_law_cannot_be_taken_away_for_the_past(world: World) -> None:
    charged = await _charge(world, "ocpp1.6", signing=Signing(spoil=_tampered))
    now = datetime.now(UTC)
    with pytest.raises(Refused, match="for the past"):
        await service.set_profile(
            world.connection, SITE, "none", reason="r", actor="operator", now=now, valid_from=LONG_AGO
        )
    await service.set_profile(world.connection, SITE, "none", reason="sold", actor="operator", now=now)
    await world.quiet()

    (session,) = await world.sessions()
    assert (session["id"], session["state"]) == (charged.session["id"], "held")


async def test_signed_energy_that_is_not_that_of_the_messages_is_what_is_billed(world: World) -> None:
    charged = await _charge(world, "ocpp2.0.1", signing=Signing(spoil=_slower))

    shown = await world.show(charged.session["id"])
    assert (shown["state"], shown["energy_wh"], shown["flags"]) == ("rated", 10_000, ["evidence_differs"])
    assert "10000.000 Wh signed, 11000.000 Wh by the registers" in await _why(world, shown["id"], "evidence_differs")


async def test_a_session_of_no_energy_needs_no_signed_values(world: World) -> None:
    await _set_law(world)
    known = await world.charge_point("METERED", max_power_w=Decimal(22_000))
    credentials = Credentials(url=world.ocpp_url, identity=known.id, password=known.password)
    async with SimulatedChargePoint(credentials, ModelClock(in_the_past(minutes=70)), QUICK) as station:
        await station.boot()
        await station.plug()
        await station.start(token=TOKENS[0])
        await station.charge(energy_wh=Decimal(60), duration=timedelta(minutes=1))
        await station.stop()
        await world.quiet()

    (session,) = await world.sessions()
    assert (session["state"], session["energy_wh"], session["total_incl_tax"]) == ("rated", 0, "0.00")


async def test_a_tariff_that_needs_more_proof_than_there_is_holds_until_another_is_chosen(world: World) -> None:
    parts = ("TIME", "6"), ("ENERGY", "0.49")
    by_time = [
        {"price_components": [{"type": type_, "price": price, "vat": "19", "step_size": 1}]} for type_, price in parts
    ]
    await world.tariff(tariff_document("TIMED", *by_time), assigned=False)
    await tariffs.assign(
        world.connection, "TIMED", scope=Scope.SITE, target=SITE, now=datetime.now(UTC), valid_from=LONG_AGO
    )
    charged = await _charge(world, "ocpp1.6", signing=Signing())
    id_ = charged.session["id"]

    assert (charged.session["state"], charged.session["hold_reasons"]) == ("held", ["evidence_time"])
    with pytest.raises(Refused, match="evidence_time"):
        await world.review(id_, "release")
    pool = await open_pool(world.dsn, size=1, name="operator")
    async with pool:
        for choice in (None, ("TIMED", None)):
            with pytest.raises(Refused, match="the meter is not registered as one for time"):
                await rerate(pool, world.settings, id_, choice=choice, reason="r", actor="operator", dry_run=False)
        done = await rerate(
            pool, world.settings, id_, choice=("PLAIN", None), reason="by energy alone", actor="operator", dry_run=False
        )
    assert done.after.total_excl.text == "5.39"
