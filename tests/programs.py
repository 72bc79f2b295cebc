"""Processes of `csms`, forked from one that has imported it already: what a command costs is then what it does.

They are processes in every other respect: arguments, environment, standard streams, signals and exit statuses of their
own. Programs with a limit or a preloaded library of the kernel's loader are started as such, by whoever needs one.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]
ORDER_BYTES_MAX = 131_072
FILES = 4
"""That come with an order: stdin, stdout, stderr, and where to tell what becomes of the process."""
STDOUT = asyncio.subprocess.STDOUT
KEPT_BYTES_MAX = 2**30
SPARE_S = 1.0


# --- who asks for processes ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Program:
    """A process of `csms`, as asyncio shows those that it starts itself."""

    pid: int
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader | None
    _ending: asyncio.Task[int]

    @property
    def returncode(self) -> int | None:
        return self._ending.result() if self._ending.done() else None

    def send_signal(self, number: int, /) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._ending)

    async def communicate(self, given: bytes = b"") -> tuple[bytes, bytes]:
        """All that it prints until it ends, having read what is given."""
        async with asyncio.TaskGroup() as reading:
            out = reading.create_task(self.stdout.read())
            err = reading.create_task(self.stderr.read()) if self.stderr else None
            with contextlib.suppress(ConnectionError):
                self.stdin.write(given)
                await self.stdin.drain()
            self.stdin.close()
        await self.wait()
        return out.result(), err.result() if err else b""


async def start_csms(*arguments: object, env: Mapping[str, str], stderr: int | None = None) -> Program:
    """`csms` with arguments and nothing in its environment but `env`, standing where we do.

    Its stderr is a pipe, or the file, or STDOUT. It may not have begun yet when this returns.
    """
    order = json.dumps({"arguments": [*map(str, arguments)], "environment": {**env}, "directory": str(Path.cwd())})
    stdin, to_stdin = os.pipe()
    from_stdout, stdout = os.pipe()
    from_stderr, errors = os.pipe() if stderr is None else (None, stdout if stderr == STDOUT else os.dup(stderr))
    told, telling = os.pipe()
    socket.send_fds(_mother(), [order.encode()], [stdin, stdout, errors, telling])
    for each in {stdin, stdout, errors, telling}:
        os.close(each)
    news, out = await _reading(told), await _reading(from_stdout)
    err = None if from_stderr is None else await _reading(from_stderr)
    given = await _writing(to_stdin)
    pid = int(await news.text.readline())
    ending = asyncio.create_task(_end_of(news, given, [each for each in (out, err) if each]))
    return Program(pid, given, out.text, err.text if err else None, ending)


class _Reading(asyncio.StreamReaderProtocol):
    """What comes out of a pipe, kept until somebody wants it."""

    def __init__(self) -> None:
        self.text = asyncio.StreamReader(limit=KEPT_BYTES_MAX)
        self.lost = asyncio.Event()
        self.pipe: asyncio.BaseTransport | None = None
        super().__init__(self.text)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.pipe = transport

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()


async def _end_of(news: _Reading, given: asyncio.StreamWriter, prints: list[_Reading]) -> int:
    """Its exit status, with nothing left open."""
    status = int(await news.text.readline())
    given.close()
    for each in (news, *prints):
        with contextlib.suppress(TimeoutError):  # whom it started may print for longer than it lives
            await asyncio.wait_for(each.lost.wait(), SPARE_S)
        assert each.pipe is not None
        each.pipe.close()
        await each.lost.wait()
    with contextlib.suppress(ConnectionError):
        await given.wait_closed()
    return status


async def _reading(file: int) -> _Reading:
    reading = _Reading()
    await asyncio.get_running_loop().connect_read_pipe(lambda: reading, os.fdopen(file, "rb", 0))
    return reading


async def _writing(file: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(file, "wb", 0)
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


_mothers: list[socket.socket] = []


def _mother() -> socket.socket:
    """Where orders go to; started by the first, and gone with us."""
    if not _mothers:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * ORDER_BYTES_MAX)
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "tests.programs", str(theirs.fileno())],
            stdin=subprocess.PIPE, pass_fds=[theirs.fileno()], cwd=ROOT,
        )  # fmt: skip
        theirs.close()
        _mothers.append(ours)

        def end() -> None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

        atexit.register(end)
    return _mothers[0]


# --- the process that bears them -------------------------------------------------------------------------------------


class _Mother:
    """Takes orders, forks, and tells of each child its number and how it ended."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, int] = {}  # pid -> where to tell its end
        self._wake, self._woken = os.pipe()

    def live(self) -> None:
        """As long as stdin is open."""
        for end in (self._wake, self._woken):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._woken)
        for file in (0, self._wake, self._orders.fileno()):
            self._selector.register(file, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in self._selector.select()}
            if self._wake in ready:
                os.read(self._wake, ORDER_BYTES_MAX)
                self._bury()
            if self._orders.fileno() in ready:
                self._bear()
            if 0 in ready:
                return

    def end(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _bear(self) -> None:
        text, files, _, _ = socket.recv_fds(self._orders, ORDER_BYTES_MAX, FILES)
        telling = files.pop()
        pid = os.fork()
        if pid == 0:
            _be_csms(json.loads(text), files)
        for file in files:
            os.close(file)
        self._children[pid] = telling
        _tell(telling, pid)

    def _bury(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            telling = self._children.pop(pid)
            _tell(telling, os.waitstatus_to_exitcode(status))
            os.close(telling)


def _tell(file: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # who asked has gone
        os.write(file, b"%d\n" % number)


def _be_csms(order: dict[str, Any], files: list[int]) -> NoReturn:
    """As if it had been started."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(FILES - 1, 4096)
        os.environ.clear()
        os.environ.update(order["environment"])
        time.tzset()
        os.chdir(order["directory"])
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        sys.argv = [str(Path(sys.executable).with_name("csms")), *order["arguments"]]
        status = importlib.import_module("csms.cli.main").main() or 0
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:  # noqa: BLE001 - what an interpreter does with it
        traceback.print_exc()
    finally:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        with contextlib.suppress(BrokenPipeError):
            sys.stderr.flush()
        os._exit(status)


def _prepare() -> None:
    """Import what commands use, and what they read once."""
    from csms.cli.main import COMMANDS, FURTHER  # noqa: PLC0415
    from csms.protocol.quirks.catalogue import Make, known_for  # noqa: PLC0415
    from csms.protocol.validation import read_schemas  # noqa: PLC0415

    for module in {*(place.split(":")[0] for place in COMMANDS.values()), *FURTHER.values(), "billing.cli_tables"}:
        importlib.import_module(module)
    for module in ("csms.app", "csms.verification.service", "uvloop", "_strptime", "tzdata"):
        with contextlib.suppress(ImportError):  # uvloop is not there on every platform
            importlib.import_module(module)
    read_schemas()
    known_for(Make("Fictitious Chargers", "Simulated", "1"))
    gc.collect()
    gc.freeze()


def main() -> None:
    _prepare()
    mother = _Mother(socket.socket(fileno=int(sys.argv[1])))
    try:
        mother.live()
    finally:
        mother.end()


if __name__ == "__main__":
    main()
