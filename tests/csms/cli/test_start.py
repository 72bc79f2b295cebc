"""What a command imports before it does something: people wait for it each time."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "cryptography",
    "csms.database.pool",
    "csms.protocol.v201",
    "prometheus_client",
    "pydantic",
    "rich",
    "structlog",
}


@pytest.mark.parametrize("command", ["--version", "site list --help", "site create --help"])
def test_what_a_command_is_for_is_said_before_what_it_needs_is_imported(command: str) -> None:
    program = (
        "import sys\nfrom csms.cli.main import main\ntry:\n    main()\n"
        f"finally:\n    print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program, *command.split()], capture_output=True, check=True)  # noqa: S603 - ours

    assert done.stderr == b"[]\n"


def test_commands_of_a_room_are_called_without_importing_those_that_others_add() -> None:
    program = (
        "import sys\nfrom csms.cli.main import main\ntry:\n    main()\n"
        "finally:\n    print('csms.evidence.key_cli' in sys.modules, file=sys.stderr)"
    )

    own, others = (
        subprocess.run([sys.executable, "-c", program, *command], capture_output=True, check=True)  # noqa: S603 - ours
        for command in (["cp", "list", "--help"], ["cp", "start", "--help"])
    )

    assert (own.stderr, others.stderr) == (b"False\n", b"True\n")
