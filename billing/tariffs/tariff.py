"""A tariff as OCPI 2.2.1 and 2.3.0 write it, and our extensions of it, as frozen values. Knows no session, no database and no clock.

`parse_tariff` reads either version and reports every mistake at once; `to_ocpi` writes back the version it was read in.
Fields that carry no price (texts, links, energy mix, fields we do not know) are kept as they came; an unknown field
where it could change a price is refused, since ignoring it would misprice silently. Negative prices are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from billing.money import MINOR_DIGITS
from billing.tariffs.extensions import COMPONENT_KEYS, Extensions, extensions_to_json, read_extensions
from billing.tariffs.extensions import NONE as NO_EXTENSIONS
from billing.tariffs.ocpi_json import ObjectReader, unsafe_text, with_decimals
from billing.tariffs.problem import DocumentInvalid, Problem

ELEMENTS_MAX: Final = 200
COMPONENTS_MAX: Final = 20
STEP_MAX: Final = 1_000_000
VAT_MAX: Final = 100
DAYS: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


class TariffInvalid(DocumentInvalid):
    """This tariff cannot be used; `problems` says where and why, all of them."""

    subject = "tariff"


class OcpiVersion(StrEnum):
    """Whose JSON this is: they differ in tax and in the names of price limits."""

    V2_2_1 = "2.2.1"
    V2_3_0 = "2.3.0"


class Dimension(StrEnum):
    """What a component prices (OCPI TariffDimensionType)."""

    ENERGY = "ENERGY"
    """Per kWh; step_size in Wh."""
    TIME = "TIME"
    """Charging time per hour (reservation time in a reservation element); step_size in seconds."""
    PARKING_TIME = "PARKING_TIME"
    """Per hour while the vehicle requests no power; step_size in seconds."""
    FLAT = "FLAT"
    """Once per phase (reservation, session); step_size is ignored."""
    OCCUPANCY = "X_OCCUPANCY"
    """Not OCPI's: the whole stay per hour, charging and parking alike, rounded up once to step_size; 60: started minutes."""


class TaxIncluded(StrEnum):
    """Whether prices hold tax (OCPI 2.3.0); 2.2.1 always means NO."""

    YES = "YES"
    NO = "NO"
    NOT_APPLICABLE = "N/A"


class TariffType(StrEnum):
    """Whom the tariff addresses; prices nothing."""

    AD_HOC_PAYMENT = "AD_HOC_PAYMENT"
    PROFILE_CHEAP = "PROFILE_CHEAP"
    PROFILE_FAST = "PROFILE_FAST"
    PROFILE_GREEN = "PROFILE_GREEN"
    REGULAR = "REGULAR"


class ReservationKind(StrEnum):
    """An element with one of these prices only reservations, and no session."""

    RESERVATION = "RESERVATION"
    RESERVATION_EXPIRES = "RESERVATION_EXPIRES"


def _require_decimal(*amounts: Decimal | None) -> None:
    """A binary float in an amount is a bug of the caller: it would be billed to its last wrong digit."""
    for amount in amounts:
        if amount is not None and not isinstance(amount, Decimal):
            raise TypeError(f"an amount is a Decimal, not {type(amount).__name__}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One price: per kWh, per hour or once. `vat` is a percentage; None: the tariff names none."""

    type: Dimension
    price: Decimal
    vat: Decimal | None = None
    step_size: int = 1
    extensions: Extensions = NO_EXTENSIONS

    def __post_init__(self) -> None:
        _require_decimal(self.price, self.vat)

    @property
    def step(self) -> int:
        """The step that counts: 0, which OCPI's free example has and nobody defines, is 1."""
        return self.step_size or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrictions:
    """When an element applies; all that are set must match. min_* and start_* inclusive, max_* and end_* exclusive.

    Times and days are the site's wall clock; kWh and duration (seconds, parking included) are the session's running
    totals; current (A, sum over phases) and power (kW) are the moment's.
    """

    start_time: time | None = None
    end_time: time | None = None
    start_date: date | None = None
    end_date: date | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: tuple[int, ...] = ()
    """Days, Monday is 0; empty means every day."""
    reservation: ReservationKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """Components that share restrictions."""

    components: tuple[Component, ...]
    restrictions: Restrictions = Restrictions()


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLimit:
    """A limit on the total before tax and, where given, after tax; both hold, each by itself."""

    before_taxes: Decimal
    after_taxes: Decimal | None = None

    def __post_init__(self) -> None:
        _require_decimal(self.before_taxes, self.after_taxes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Prices of one currency. `version` is ours, given by the store; OCPI knows none."""

    id: str
    currency: str
    elements: tuple[Element, ...]
    ocpi: OcpiVersion = OcpiVersion.V2_3_0
    tax_included: TaxIncluded = TaxIncluded.NO
    min_price: PriceLimit | None = None
    max_price: PriceLimit | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    version: int | None = None
    other: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields that price nothing, as they came."""
    worked_out: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What follows from the rest alone, kept by those who ask for it again and again; a changed tariff begins anew."""


_PRICED_KEYS: Final = frozenset(
    {"id", "currency", "elements", "tax_included", "min_price", "max_price", "start_date_time", "end_date_time"}
)
DESCRIPTIVE_KEYS: Final = frozenset(
    {
        "country_code",
        "party_id",
        "type",
        "tariff_alt_text",
        "tariff_alt_url",
        "energy_mix",
        "preauthorize_amount",
        "last_updated",
    }
)
"""OCPI fields that we keep and that price nothing."""
_COMPONENT_KEYS: Final = frozenset({"type", "price", "vat", "step_size"}) | COMPONENT_KEYS
_ELEMENT_KEYS: Final = frozenset({"price_components", "restrictions"})
_RESTRICTION_KEYS: Final = frozenset(item.name for item in fields(Restrictions))
_LIMIT_NAMES: Final = {
    OcpiVersion.V2_2_1: ("excl_vat", "incl_vat"),
    OcpiVersion.V2_3_0: ("before_taxes", "after_taxes"),
}


def parse_tariff(document: Any, *, version: int | None = None) -> Tariff:
    """Read OCPI 2.2.1 or 2.3.0 tariff JSON (numbers as Decimal, int or text); raises TariffInvalid with every mistake.

    2.3.0 is known by `tax_included` or by limits named before_taxes and after_taxes, everything else is 2.2.1.
    """
    if not isinstance(document, Mapping):
        raise TariffInvalid(
            [Problem(path="$", message="a tariff is a JSON object", next_step="write the OCPI tariff itself")]
        )
    problems: list[Problem] = []
    tariff = _read_tariff(ObjectReader(document, "$", problems), version)
    if problems or tariff is None:
        raise TariffInvalid(problems)
    return tariff


def _read_tariff(reader: ObjectReader, version: int | None) -> Tariff | None:
    ocpi = _version_of(reader)
    tariff_id = reader.text("id", length_max=36)
    currency = _read_currency(reader)
    tax_included = _read_tax_included(reader, ocpi)
    minimum, maximum = _read_limit(reader, "min_price", ocpi), _read_limit(reader, "max_price", ocpi)
    elements = tuple(_read_element(child) for child in reader.children("elements", count_max=ELEMENTS_MAX))
    reader.choice("type", TariffType)
    valid_from, valid_to = reader.instant("start_date_time"), reader.instant("end_date_time")
    other = _read_other(reader)
    if reader.problems or tariff_id is None or currency is None or tax_included is None:
        return None
    return Tariff(
        id=tariff_id,
        currency=currency,
        elements=elements,
        ocpi=ocpi,
        tax_included=tax_included,
        min_price=minimum,
        max_price=maximum,
        valid_from=valid_from,
        valid_to=valid_to,
        version=version,
        other=other,
    )


def _version_of(reader: ObjectReader) -> OcpiVersion:
    limits = [reader.value.get(key) for key in ("min_price", "max_price")]
    named_230 = any(isinstance(limit, Mapping) and "before_taxes" in limit for limit in limits)
    return OcpiVersion.V2_3_0 if "tax_included" in reader.value or named_230 else OcpiVersion.V2_2_1


def _read_currency(reader: ObjectReader) -> str | None:
    currency = reader.text("currency", length_max=3)
    if currency is not None and currency not in MINOR_DIGITS:
        reader.blame("currency", f"{currency!r} is not an ISO 4217 code", "write one such as EUR, in capitals")
        return None
    return currency


def _read_tax_included(reader: ObjectReader, ocpi: OcpiVersion) -> TaxIncluded | None:
    if ocpi is OcpiVersion.V2_2_1:
        return TaxIncluded.NO
    if reader.required("tax_included") is None:
        return None
    return reader.choice("tax_included", TaxIncluded)


def _read_limit(reader: ObjectReader, key: str, ocpi: OcpiVersion) -> PriceLimit | None:
    limit = reader.child(key)
    if limit is None:
        return None
    before_name, after_name = _LIMIT_NAMES[ocpi]
    limit.refuse_unknown(frozenset((before_name, after_name)), f"OCPI {ocpi.value} limits have only these two")
    before, after = limit.number(before_name, required=True), limit.number(after_name)
    if before is None:
        return None
    if after is not None and after < before:
        limit.blame(after_name, f"is below {before_name}, so tax would be negative", f"raise it to {before} or more")
    return PriceLimit(before_taxes=before, after_taxes=after)


def _read_element(reader: ObjectReader) -> Element:
    reader.refuse_unknown(_ELEMENT_KEYS, "ignoring it could change the price")
    parts = [_read_component(child) for child in reader.children("price_components", count_max=COMPONENTS_MAX)]
    restrictions = reader.child("restrictions")
    return Element(
        components=tuple(part for part in parts if part is not None),
        restrictions=Restrictions() if restrictions is None else _read_restrictions(restrictions),
    )


def _read_component(reader: ObjectReader) -> Component | None:
    reader.refuse_unknown(_COMPONENT_KEYS, "ignoring it could change the price")
    kind = reader.choice("type", Dimension) if reader.required("type") is not None else None
    price = reader.number("price", required=True, sign_note="negative prices are not supported")
    vat = reader.number("vat", sign_note="a VAT rate is not negative")
    step_size = reader.integer("step_size", required=True)
    extensions = read_extensions(reader)
    if vat is not None and vat > VAT_MAX:
        reader.blame("vat", f"is above {VAT_MAX} %", "write a percentage such as 19")
    if step_size is not None and step_size > STEP_MAX:
        reader.blame("step_size", f"is above {STEP_MAX}", "write Wh or seconds, best 1")
    if kind is None or price is None or step_size is None:
        return None
    return Component(type=kind, price=price, vat=vat, step_size=step_size, extensions=extensions)


def _read_restrictions(reader: ObjectReader) -> Restrictions:
    reader.refuse_unknown(_RESTRICTION_KEYS, "an element without it would apply too often")
    return Restrictions(
        start_time=reader.clock("start_time"),
        end_time=reader.clock("end_time"),
        start_date=reader.day("start_date"),
        end_date=reader.day("end_date"),
        min_kwh=reader.number("min_kwh"),
        max_kwh=reader.number("max_kwh"),
        min_current=reader.number("min_current"),
        max_current=reader.number("max_current"),
        min_power=reader.number("min_power"),
        max_power=reader.number("max_power"),
        min_duration=reader.integer("min_duration"),
        max_duration=reader.integer("max_duration"),
        day_of_week=_read_days(reader),
        reservation=reader.choice("reservation", ReservationKind),
    )


def _read_days(reader: ObjectReader) -> tuple[int, ...]:
    raw = reader.value.get("day_of_week")
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(day, str) and day in DAYS for day in raw):
        reader.blame("day_of_week", "must be a list of English day names", "write MONDAY to SUNDAY")
        return ()
    return tuple(DAYS.index(day) for day in dict.fromkeys(raw))


def _read_other(reader: ObjectReader) -> dict[str, Any]:
    other = {key: value for key, value in reader.value.items() if key not in _PRICED_KEYS and value is not None}
    for key, value in other.items():
        trouble = unsafe_text(key) or unsafe_text(value)
        if trouble:
            reader.blame(key.encode("ascii", "backslashreplace").decode(), trouble, "remove it")
    return {} if reader.problems else {key: with_decimals(value) for key, value in other.items()}


def to_ocpi(tariff: Tariff) -> dict[str, Any]:
    """The tariff as JSON of the OCPI version it was read in; numbers are Decimal (write it with `dump_json`).

    Extensions stand in it as they were read: for documents that go to others see `billing.tariffs.export`.
    """
    body: dict[str, Any] = {"id": tariff.id, "currency": tariff.currency}
    if tariff.ocpi is OcpiVersion.V2_3_0:
        body["tax_included"] = tariff.tax_included.value
    for key, limit in (("min_price", tariff.min_price), ("max_price", tariff.max_price)):
        if limit is not None:
            before_name, after_name = _LIMIT_NAMES[tariff.ocpi]
            body[key] = _present({before_name: limit.before_taxes, after_name: limit.after_taxes})
    body["elements"] = [_element_to_ocpi(element) for element in tariff.elements]
    for key, moment in (("start_date_time", tariff.valid_from), ("end_date_time", tariff.valid_to)):
        if moment is not None:
            body[key] = moment.isoformat().replace("+00:00", "Z")
    return body | dict(tariff.other)


def _element_to_ocpi(element: Element) -> dict[str, Any]:
    body: dict[str, Any] = {
        "price_components": [
            _present({"type": part.type.value, "price": part.price, "vat": part.vat, "step_size": part.step_size})
            | extensions_to_json(part.extensions)
            for part in element.components
        ]
    }
    if element.restrictions != Restrictions():
        body["restrictions"] = _restrictions_to_ocpi(element.restrictions)
    return body


def _restrictions_to_ocpi(restrictions: Restrictions) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for item in fields(restrictions):
        value = getattr(restrictions, item.name)
        match value:
            case None | ():
                continue
            case time():
                body[item.name] = value.strftime("%H:%M")
            case date():
                body[item.name] = value.isoformat()
            case tuple():
                body[item.name] = [DAYS[day] for day in value]
            case ReservationKind():
                body[item.name] = value.value
            case _:
                body[item.name] = value
    return body


def _present(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}
