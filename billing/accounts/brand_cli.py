"""csms brand: under which names and in which looks sellers write to their customers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from billing.accounts import brands
from billing.accounts.brand import BrandDetails, BrandFile, BrandMail, SellersBrand
from billing.accounts.brands import Wanted
from billing.accounts.options import CLEAR, REASON, said
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, Connect, transaction
from billing.documents.mail_text import MailText
from billing.errors import Refused

Actor = Callable[[], str]
COLUMNS: Final = ("id", "seller", "name", "accent", "logo", "template", "mail_address")
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_SUBJECT: Final = "Subject:"
HELP: Final = """Brands: under which names and in which looks sellers write to their customers.

Several brands may be of one seller. A document goes out under the brand of its account, a receipt under that of its site; with
neither, plainly in the seller's name.

\b
Examples:
  csms brand create harbour --seller north --name "Harbour Charging" --accent '#8b1f3a' --logo logo.svg --reason "white label"
  csms brand set harbour --template invoice.typ --mail-address billing@harbour.example --reason "own letter"
  csms account set C-1001 --brand harbour --reason "customer of theirs"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What was said of a brand, and the contents of the files that were named."""

    values: Mapping[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)


def brand_group(connect: Connect, *, actor: Actor) -> click.Group:
    """The command group on connections of whoever mounts it."""
    group = click.Group("brand", help=HELP)
    _add_create(group, connect, actor)
    _add_set(group, connect, actor)
    _add_reading(group, connect)
    return group


def _by_language(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in values:
        language, equals, text = each.partition("=")
        if not equals or not language or not text:
            raise click.BadParameter(f"{each[:80]!r} is not LANGUAGE=...", param=parameter)
        found.setdefault(language, []).append(text)
    return found


_OPTIONS: Final = (
    click.option("--name", help="As customers know it."),
    click.option("--accent", metavar="#RRGGBB", help="Colour of its documents."),
    click.option("--sender", multiple=True, metavar="LINE", help="Below the logo; may come up to four times."),
    click.option(
        "--footer", multiple=True, callback=_by_language, metavar="LANGUAGE=LINE",
        help="At the foot of each page, in this language; * in every other one. May come more than once.",
    ),
    click.option("--logo", type=_FILE, help="SVG or PNG, at most 512 KiB."),
    click.option("--template", type=_FILE, help="A .typ or .docx of your own; see csms document template and fields."),
    click.option("--mail-address", help="Who writes its mails; the usual sender of this installation unless said."),
    click.option("--mail-name", help="The name beside that address."),
    click.option("--mail-reply-to", help="Where answers go."),
    click.option(
        "--mail-text", multiple=True, callback=_by_language, metavar="LANGUAGE=FILE",
        help="What its mails say: first line Subject: ..., an empty line, then the text, with places such as {number}.",
    ),
)  # fmt: skip
_NAMES: Final = (
    "name", "accent", "sender", "footer", "logo", "template", "mail_address", "mail_name", "mail_reply_to", "mail_text",
)  # fmt: skip


def _brand_options(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _add_create(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("create")
    @click.argument("id_", metavar="ID")
    @click.option("--seller", required=True, help="Whose brand it is.")
    @_brand_options
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, /, id_: str, seller: str, reason: str, dry_run: bool, output: Output, **values: Any
    ) -> None:
        """Make a brand known. Its looks are tried on a sample in each language before they are taken.

        \b
        Examples:
          csms brand create harbour --seller north --name "Harbour Charging" --reason "white label"
          csms brand create depot --seller north --name "Depot Power" --logo depot.png --footer 'de=Depot Power ist eine Marke der Northern Example Energy GmbH' --mail-text de=mail.de.txt --reason "white label"
        """
        if values["name"] is None:
            raise click.UsageError("give the brand a --name")
        given = _given(values, ())
        details = _with(BrandDetails(name=""), given.values)
        wanted = Wanted(brand=SellersBrand(id=id_, seller=seller, details=details), files=given.files)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            made = await brands.create(connection, wanted, now=datetime.now(UTC), actor=actor(), reason=reason)
        output.one(_shown(made) | ({"dry_run": True} if dry_run else {}))


def _add_set(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("set")
    @click.argument("id_", metavar="ID")
    @_brand_options
    @CLEAR
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        /,
        id_: str,
        cleared: tuple[str, ...],
        reason: str,
        dry_run: bool,
        output: Output,
        **values: Any,
    ) -> None:
        """Change how a brand looks and writes from now on. Documents whose PDF has been made stay as they are.

        Lines of a sender are replaced as a whole; footers and mail texts language by language.

        \b
        Examples:
          csms brand set harbour --accent '#1f5f8b' --reason "new colours"
          csms brand set harbour --clear template --clear mail-text --reason "as the others"
        """
        given = _given(values, cleared)
        if not given.values:
            raise click.UsageError("say what to change")
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            changed = await brands.change(
                connection, id_, lambda details: _with(details, given.values), files=given.files,
                now=datetime.now(UTC), actor=actor(), reason=reason,
            )  # fmt: skip
        output.one(_shown(changed) | ({"dry_run": True} if dry_run else {}))


def _given(values: Mapping[str, Any], cleared: tuple[str, ...]) -> _Given:
    """What was said, by name of the field; None where it is to be emptied."""
    found: dict[str, Any] = said({name: values[name] or None for name in _NAMES}, cleared)
    files: dict[str, bytes] = {}
    for name in ("logo", "template"):
        path = found.get(name)
        if isinstance(path, Path):
            content = path.read_bytes()
            named = brands.file_of(path.name, content)
            found[name], files[named.sha256] = named, content
    if found.get("mail_text"):
        found["mail_text"] = {
            language: _text_of(Path(paths[-1])) for language, paths in found["mail_text"].items()
        }  # fmt: skip
    return _Given(values=found, files=files)


def _text_of(path: Path) -> MailText:
    """Raises: Refused: it does not begin with its subject."""
    try:
        head, _, body = path.read_text(encoding="utf-8-sig").partition("\n")
    except UnicodeDecodeError:
        raise Refused(f"{path} is no text", "save it as UTF-8") from None
    if not head.startswith(_SUBJECT):
        raise Refused(f"{path} does not begin with {_SUBJECT}", "write the subject into its first line")
    return MailText(subject=head.removeprefix(_SUBJECT).strip(), body=body.strip())


def _with(details: BrandDetails, given: Mapping[str, Any]) -> BrandDetails:
    plain: dict[str, Any] = {
        name: given[name] for name in ("name", "accent", "logo", "template") if name in given
    }  # fmt: skip
    if "name" in plain:
        plain["name"] = (plain["name"] or "").strip()
    if "sender" in given:
        plain["sender"] = tuple(given["sender"] or ())
    if "footer" in given:
        lines = {language: tuple(each) for language, each in (given["footer"] or {}).items()}
        plain["footer"] = {} if given["footer"] is None else {**details.footer, **lines}
    return replace(details, **plain, mail=_mail_with(details.mail, given))


def _mail_with(mail: BrandMail, given: Mapping[str, Any]) -> BrandMail:
    plain = {
        name: given[f"mail_{name}"] for name in ("address", "name", "reply_to") if f"mail_{name}" in given
    }  # fmt: skip
    if "mail_text" in given:
        plain["texts"] = {} if given["mail_text"] is None else {**mail.texts, **given["mail_text"]}
    return replace(mail, **plain)


def _add_reading(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @click.option("--seller", help="Only of this seller.")
    @output_options
    @click.pass_context
    @async_command
    async def list_(context: click.Context, seller: str | None, output: Output) -> None:
        """List brands.

        \b
        Example:
          csms brand list --seller north
        """
        async with connect(context) as connection:
            found = await brands.list_brands(connection, seller=seller)
        output.rows([_listed(each) for each in found], columns=COLUMNS)

    @group.command("show")
    @click.argument("id_", metavar="ID")
    @output_options
    @click.pass_context
    @async_command
    async def show(context: click.Context, id_: str, output: Output) -> None:
        """Show a brand: how it looks, who writes for it, and what its mails say.

        \b
        Example:
          csms brand show harbour -o json
        """
        async with connect(context) as connection:
            found = await brands.get(connection, id_)
        output.one(_shown(found))


def _name(file: BrandFile | None) -> str | None:
    return None if file is None else file.name


def _listed(brand: SellersBrand) -> dict[str, object]:
    details = brand.details
    return {
        "id": brand.id,
        "seller": brand.seller,
        "name": details.name,
        "accent": details.accent,
        "logo": _name(details.logo),
        "template": _name(details.template),
        "mail_address": details.mail.address,
    }


def _shown(brand: SellersBrand) -> dict[str, object]:
    return {"id": brand.id, "seller": brand.seller, **brands.values_of(brand.details)}
