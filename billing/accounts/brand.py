"""A brand as it is entered: under which name and in which looks a seller writes, and what its mails say. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from billing.accounts.party import LANGUAGES, LINE_LENGTH_MAX
from billing.accounts.seller import mistakes_in_id
from billing.documents.brand import EVERY_LANGUAGE
from billing.documents.mail_text import MailText, mistakes_in_text
from billing.mail.address import mistake_in


@dataclass(frozen=True, slots=True, kw_only=True)
class BrandFile:
    """A logo or a template: the name that it came with, and the SHA-256 of what is in it."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrandMail:
    """Who writes for a brand, the operator's usual sender unless said; who reads the answers; what mails say, by language."""

    address: str | None = None
    name: str | None = None
    reply_to: str | None = None
    texts: Mapping[str, MailText] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrandDetails:
    """`sender` stands below the logo, `footer` at the foot of each page, by language, `*` being every other one."""

    name: str
    accent: str | None = None
    sender: tuple[str, ...] = ()
    footer: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    logo: BrandFile | None = None
    template: BrandFile | None = None
    mail: BrandMail = field(default_factory=BrandMail)


@dataclass(frozen=True, slots=True, kw_only=True)
class SellersBrand:
    """A brand with its id and whose it is."""

    id: str
    seller: str
    details: BrandDetails


def mistakes_in_brand(brand: SellersBrand) -> list[str]:
    """Why there can be no such brand, but for what its looks refuse by themselves; all of it."""
    return [*mistakes_in_id(brand.id), *_of_lines(brand.details), *_of_mail(brand.details.mail)]


def _of_lines(details: BrandDetails) -> Iterator[str]:
    if not details.name.strip() or len(details.name) > LINE_LENGTH_MAX:
        yield f"a brand has a name of at most {LINE_LENGTH_MAX} characters"
    for language, lines in {"": (details.name, *details.sender), **details.footer}.items():
        if language not in {"", EVERY_LANGUAGE, *LANGUAGES}:
            yield f"documents are written in {', '.join(LANGUAGES)}, not in {language!r}; {EVERY_LANGUAGE} is every other one"
        if not all(each.isprintable() for each in lines):
            yield "name, sender and footer are lines of text"


def _of_mail(mail: BrandMail) -> Iterator[str]:
    for name, address in (("mail address", mail.address), ("address for answers", mail.reply_to)):
        if address is not None and (wrong := mistake_in(address)) is not None:
            yield f"the {name} is none: {wrong}"
    if mail.name is not None and (not mail.name.strip() or not mail.name.isprintable()):
        yield "the name of the sender is one line, and not empty"
    if mail.name is not None and mail.address is None:
        yield "a sender's name comes with its address: give --mail-address as well"
    for language, text in mail.texts.items():
        if language not in LANGUAGES:
            yield f"mails are written in {', '.join(LANGUAGES)}, not in {language!r}"
        for wrong in mistakes_in_text(text):
            yield f"mail text {language}: {wrong}"
