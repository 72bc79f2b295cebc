"""csms invoice self-bill: documents in a partner's name on what we owe it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, BinaryIO, Final
from uuid import uuid4

import click
from pydantic import TypeAdapter

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.options import REASON
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN, Connect, transaction
from billing.contracts.written import Written, read
from billing.errors import Refused
from billing.invoices.cli_words import ISSUED_ON, day_of_issue
from billing.invoices.document import Tax
from billing.invoices.rows import short_row
from billing.invoices.self_billing import Owed, SelfBill, self_bill
from billing.money import MINOR_DIGITS
from billing.tariffs.ocpi_json import load_json
from billing.taxes.tax_rule import Category

Actor = Callable[[], str]
FILE_BYTES_MAX: Final = 1_000_000
TEXT_MAX: Final = 200
_LINE: Final = re.compile(r"(?P<text>.+)=(?P<net>-?[0-9]{1,12}(?:\.[0-9]{1,6})?)", re.DOTALL)
_TAX: Final = re.compile(r"(?P<category>[A-Z]{1,2})(?::(?P<rate>[0-9]{1,3}(?:\.[0-9]{1,4})?))?(?::(?P<note>.+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLine(Written):
    """A line as a file has it."""

    text: str
    net: Decimal
    description: str | None = None
    tax: str | None = None


_FILE: Final = TypeAdapter(list[WrittenLine])


class _Tax(click.ParamType[Tax]):
    """Category of UNTDID 5305, rate, and why none is charged: S:19, AE:0:Reverse charge."""

    name = "tax"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Tax:
        found = _TAX.fullmatch(str(value))
        if found is None or found["category"] not in set(Category):
            self.fail(
                f"{value!r} is no tax: write its category and rate, such as S:19, or AE:0:Reverse charge", param, ctx
            )
        return Tax(found["category"], Decimal(found["rate"] or 0), found["note"])


TAX: Final = _Tax()


def add_self_bill(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("self-bill")
    @click.argument("account", metavar="ACCOUNT")
    @click.option(
        "--line", "lines", multiple=True, metavar="TEXT=NET", help="What is owed, without tax; may come more than once."
    )
    @click.option(
        "--file",
        type=click.File("rb"),
        help="Lines as JSON: a list of objects with text, net, and if they have one description, tax.",
    )
    @click.option("--currency", required=True, help="ISO 4217, such as EUR.")
    @click.option(
        "--tax",
        type=TAX,
        metavar="CODE:RATE[:WHY]",
        help="Of lines without one; as the partner's status and tax rules say unless given.",
    )
    @click.option("--from", "first", type=DAY, help="First day of what it is for; that of --to, else of issue.")
    @click.option("--to", "last", type=DAY, help="Its last day; that of --from, else of issue.")
    @click.option(
        "--key", metavar="TEXT", help="Names this document: asked for again under the same key, it is refused."
    )
    @ISSUED_ON
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, /, account: str, reason: str, dry_run: bool, output: Output, **said: Any
    ) -> None:  # fmt: skip
        """Write a document in a partner's name on what we owe it: the partner is its seller, we are its buyer.

        It needs an agreement that covers the day of issue (csms account set --self-billing-from), the partner's address and
        its VAT id or tax number. Taken back by csms credit create.

        \b
        Examples:
          csms invoice self-bill P-7 --line "Share of March, 412 sessions=118.40" --currency EUR --from 2026-03-01 --to 2026-03-31 --key 2026-03 --reason "March" --dry-run
          csms invoice self-bill P-7 --file share.json --currency EUR --tax S:19 --reason "second quarter"
        """
        now, owed = datetime.now(UTC), _owed_by(said)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            seller = await sellers.get(connection, (await accounts.get(connection, account)).seller)
            wanted = _wanted(account, owed, said, issued_on=day_of_issue(seller, said["issued_on"], now=now))
            issued = await self_bill(connection, wanted, now=now, actor=actor(), reason=reason)
        output.one(short_row(issued.document) | ({"dry_run": True} if dry_run else {}))


def _owed_by(said: dict[str, Any]) -> list[Owed]:
    owed = [*_of_options(said["lines"]), *([] if said["file"] is None else _of_file(said["file"]))]
    if not owed:
        raise click.UsageError("say what is owed: --line TEXT=NET, or --file")
    if said["currency"] not in MINOR_DIGITS:
        raise click.UsageError(f"{said['currency']!r} is no currency of ISO 4217; write one such as EUR")
    return owed


def _wanted(account: str, owed: list[Owed], said: dict[str, Any], *, issued_on: date) -> SelfBill:
    first, last = said["first"] or said["last"] or issued_on, said["last"] or said["first"] or issued_on
    if last < first:
        raise click.UsageError(f"--to {last} is before --from {first}")
    return SelfBill(
        account=account, owed=tuple(owed), currency=said["currency"], days=(first, last), issued_on=issued_on,
        key=said["key"] or uuid4().hex, tax=said["tax"],
    )  # fmt: skip


def _of_options(lines: tuple[str, ...]) -> list[Owed]:
    found = []
    for each in lines:
        match = _LINE.fullmatch(each)
        if match is None:
            raise click.UsageError(
                f"{each!r} is no line: write what it is and its net, such as 'Share of March=118.40'"
            )
        found.append(_owed(match["text"], Decimal(match["net"])))
    return found


def _owed(text: str, net: Decimal, **more: Any) -> Owed:
    if not text.strip() or not text.isprintable() or len(text) > TEXT_MAX:
        raise click.UsageError(f"what is owed is said in one line of at most {TEXT_MAX} characters")
    return Owed(text=text.strip(), net=net, **more)


def _of_file(file: BinaryIO) -> list[Owed]:
    body = file.read(FILE_BYTES_MAX + 1)
    if len(body) > FILE_BYTES_MAX:
        raise Refused(f"more than {FILE_BYTES_MAX} bytes", "write a shorter file")
    try:
        written = load_json(body.decode("utf-8-sig"))
    except ValueError as wrong:
        raise Refused(f"the file is no JSON: {wrong}", "correct it") from wrong
    return [
        _owed(
            each.text, each.net, description=each.description,
            tax=None if each.tax is None else TAX.convert(each.tax, None, None),
        )
        for each in read(_FILE, written, what="the file")
    ]  # fmt: skip
