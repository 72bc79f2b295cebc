"""How command lines take a password: from stdin, a file or a prompt; as an argument everybody on the machine can read it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import IO, Any, TypeVar, cast

import click

ASKED = "\x00ask"  # no argument can hold U+0000
LENGTH_READ_MAX = 1000
HELP = (
    "16 to 40 characters; cp create makes a random one where it is left out. `-` reads it from stdin, and without a "
    "value it is asked for: given as it is, it stands in the list of processes and in the shell's history."
)
FILE_HELP = "The file that it stands in."

C = TypeVar("C", bound=Callable[..., Any])


def takes_password(*, help_: str = HELP) -> Callable[[C], C]:
    """Give a command --password and --password-file, and hand it `password`: text, or None where neither was given."""

    def decorate(command: C) -> C:
        @functools.wraps(command)
        def with_password(*args: Any, password: str | None, password_file: IO[str] | None, **kwargs: Any) -> Any:
            return command(*args, password=_read(password, password_file), **kwargs)

        option = click.option("--password", is_flag=False, flag_value=ASKED, metavar="[PASSWORD|-]", help=help_)
        file = click.option("--password-file", type=click.File("r"), help=FILE_HELP)
        return cast("C", option(file(with_password)))

    return decorate


def _read(password: str | None, file: IO[str] | None) -> str | None:
    if password is not None and file is not None:
        raise click.UsageError("--password or --password-file, not both")
    if file is not None:
        return _text_of(file, "--password-file")
    match password:
        case "-":
            return _text_of(sys.stdin, "stdin")
        case str(asked) if asked == ASKED:
            return ask_for_password()
        case _:
            return password


def _text_of(file: IO[str], name: str) -> str:
    try:
        text = file.read(LENGTH_READ_MAX).rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.BadParameter("a password is UTF-8 text", param_hint=name) from None
    if not text:
        raise click.BadParameter("there is no password in it", param_hint=name)
    return text


def ask_for_password() -> str:
    """At the terminal, twice, without showing it."""
    if not sys.stdin.isatty():
        raise click.UsageError("no terminal to ask for the password at; use --password - or --password-file")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
