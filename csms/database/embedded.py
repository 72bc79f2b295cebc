"""One embedded Postgres: where it lives, how it starts, is watched and stops. Knows no schema and no other process'
claim to it (`cluster.py` decides who may start one).

A data directory that the account running Postgres cannot reach (root with data below a 0700 directory) is left as it
is: the cluster then lives below `shelter`, and the file `location` in the data directory says where. No parent
directory is ever opened to others.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, Never
from urllib.parse import quote

import asyncpg
import structlog

from csms.database import launch, postmaster
from csms.database.account import QUIET_ENVIRONMENT, Account, account_for
from csms.database.binaries import Binaries, find_binaries
from csms.database.errors import PostgresNotStarted

log = structlog.get_logger(__name__)

SHELTER: Final = Path("/var/lib/csms/relocated")
SOCKET_PATH_BYTES_MAX: Final = 107
"""sockaddr_un.sun_path, less its closing zero."""
SOCKET_NAME: Final = ".s.PGSQL.5432"
LOG_BYTES_MAX: Final = 16 * 1024 * 1024
CONNECTIONS_MAX: Final = 100
DATABASE: Final = "csms"
OWNER: Final = "csms"

_POLL_S = 0.005
_WATCH_S = 0.05
_START_S_MAX = 300.0
"""Recovery after a crash replays up to max_wal_size of log."""
_PREDECESSOR_S_MAX = 10.0
_ORPHANS_S_MAX = 1.0
"""How long server processes whose postmaster was killed may take to notice."""
_STOP_S = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""Fast, then immediate, then the last resort: each loses nothing that was committed."""
_RESTART_PAUSE_S_MAX = 5.0


class EmbeddedPostgres:
    """Postgres as our direct child, reachable only through a unix socket in a private directory.

    Start it from a thread that lives as long as the cluster shall: it is stopped together with that thread.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        fast: bool = False,
        shelter: Path = SHELTER,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        """`fast` gives up durability for speed (fsync off): for tests only. Fewer connections than usual are not set."""
        self.data_dir = data_dir.absolute()
        self._fast = fast
        self._connections_max = max(connections_max, CONNECTIONS_MAX)
        self._shelter = shelter
        self._home = self.data_dir
        self._socket_dir = self.data_dir
        self._temporary_socket_dir: Path | None = None
        self._account: Account | None = None
        self._binaries: Binaries | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False

    @property
    def dsn(self) -> str:
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        return f"postgresql://{OWNER}@/{database}?host={quote(str(self._socket_dir), safe='/')}&port=5432"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def home(self) -> Path:
        """Where cluster, log and linked programs are; known once it has started."""
        return self._home

    @property
    def cluster(self) -> Path:
        return self._home / "postgres"

    async def start(self) -> None:
        """Ready for connections when this returns.

        Raises:
            PostgresNotStarted: with the end of Postgres' log.
        """
        self._stopping = False
        self._settle()
        account = self._running_account()
        self._binaries = await asyncio.to_thread(lambda: find_binaries().reachable_by(account, home=self._home))
        await self._initialise_if_new()
        self._make_socket_dir()
        await self._launch()
        await self._create_database()

    async def stop(self) -> None:
        """Clean shutdown; harder ones if that does not end it."""
        self._stopping = True
        for number, patience_s in _STOP_S:
            if self._process is None or self._process.poll() is not None:
                break
            self._process.send_signal(number)
            await self._ended_within(patience_s)
        self._process = None
        if self._temporary_socket_dir is not None:
            shutil.rmtree(self._temporary_socket_dir, ignore_errors=True)
            self._temporary_socket_dir = None

    async def supervise(self) -> Never:
        """Start Postgres again whenever it ends by itself, and keep its log within bounds. Runs until cancelled."""
        pause_s = 0.1
        while True:
            await asyncio.sleep(_WATCH_S)
            self._bound_log()
            if self._stopping or (self._process is not None and self._process.poll() is None):
                continue
            log.error("postgres_ended", returncode=None if self._process is None else self._process.returncode)
            try:
                await self._launch()
            except (PostgresNotStarted, OSError) as error:
                log.error("postgres_restart_failed", error=str(error), again_in_s=pause_s)  # noqa: TRY400 - no trace
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _RESTART_PAUSE_S_MAX)
            else:
                pause_s = 0.1
                log.warning("postgres_restarted", pid=self.pid)

    @staticmethod
    def make_data_dir(path: Path) -> None:
        """Private; as root passable, since the cluster in it belongs to another account."""
        _make_directory(path.absolute(), mode=0o711 if os.geteuid() == 0 else 0o700)

    # -- where it lives ------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Find or choose the home, and the account that owns the cluster in it."""
        self.make_data_dir(self.data_dir)
        self.data_dir = self.data_dir.resolve()
        self._home = self.data_dir
        location = self.data_dir / "location"
        if location.exists():
            self._home = Path(location.read_text().strip())
            if not self._home.exists():
                raise PostgresNotStarted(
                    f"the data of {self.data_dir} was kept in {self._home}, which is gone",
                    next_step=f"put it back, or remove {location} to begin with an empty database",
                )
        self._account = account_for(self.cluster)
        if not self._account.can_reach(self._home):
            self._home = self._shelter / secrets.token_hex(8)
            _make_directory(self._home, mode=0o711)
            location.write_text(f"{self._home}\n")
            log.info("postgres_relocated", data_dir=str(self.data_dir), home=str(self._home))

    def _running_account(self) -> Account:
        assert self._account is not None, "_settle() comes first"
        return self._account

    def _programs(self) -> Binaries:
        assert self._binaries is not None, "start() finds the programs first"
        return self._binaries

    def _make_socket_dir(self) -> None:
        """In the home; where that path is too long for a socket, in a new directory below /tmp."""
        directory = self._home / "socket"
        if len(os.fsencode(directory / SOCKET_NAME)) > SOCKET_PATH_BYTES_MAX:
            directory = self._temporary_socket_dir or Path(tempfile.mkdtemp(prefix="csms-", dir="/tmp"))
            self._temporary_socket_dir = directory
        directory.mkdir(exist_ok=True)
        self._running_account().hand_over(directory, mode=0o700)
        self._socket_dir = directory

    # -- first time ----------------------------------------------------------------------------------------------

    async def _initialise_if_new(self) -> None:
        """Run initdb beside the final place, then rename: a kill in between leaves nothing that looks like a cluster."""
        version = self.cluster / "PG_VERSION"
        if self.cluster.exists():
            found = version.read_text().strip()
            if int(found) != self._programs().major:
                raise PostgresNotStarted(
                    f"{self.cluster} was written by Postgres {found}, installed is {self._programs().version}",
                    next_step=f"`csms db backup` with Postgres {found}, then `csms db restore` into a new data directory",
                )
            return
        unfinished = self.cluster.with_name("postgres.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        self._running_account().hand_over(unfinished, mode=0o700)
        await self._run_initdb(unfinished)
        unfinished.rename(self.cluster)

    async def _run_initdb(self, into: Path) -> None:
        programs = self._programs()
        # The same order everywhere; C.UTF-8 of Postgres itself knows upper and lower case beyond ASCII.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if programs.major >= 17 else []  # noqa: PLR2004 - first with it
        options = ["--encoding=UTF8", "--no-locale", *locale, "--auth=peer", "--data-checksums", "--no-instructions"]
        command = [str(programs.program("initdb")), "-D", str(into), "-U", OWNER, *options]
        options_of_process = self._running_account().process_options()

        def run() -> subprocess.CompletedProcess[bytes]:
            return subprocess.run(  # noqa: S603 - our own program and arguments
                [*command, "--no-sync"] if self._fast else command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                **options_of_process,
            )

        done = await asyncio.to_thread(run)  # not the loop's own subprocesses: uvloop's cannot change the user
        if done.returncode != 0:
            said = done.stdout.decode(errors="replace").strip()[-2000:]
            raise PostgresNotStarted(f"initdb failed in {into}: {said}")

    async def _create_database(self) -> None:
        """Also the proof that connections work."""
        try:
            connection = await asyncpg.connect(self.dsn)
        except asyncpg.InvalidCatalogNameError:
            connection = await asyncpg.connect(self.dsn_of("postgres"))
            await connection.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
        await connection.close()

    # -- every time ----------------------------------------------------------------------------------------------

    async def _launch(self) -> None:
        """Start the postmaster and wait until it is ready; while a predecessor is still going, try again."""
        self._write_access_rules()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while True:
            await postmaster.end_predecessor(self.cluster, patience_s=_PREDECESSOR_S_MAX)
            log_begin = self._log_size()
            self._spawn()
            if await self._ready():
                return
            tail = self._log_tail(log_begin)
            in_use = "still in use" in tail or "lock file" in tail
            if not in_use or loop.time() > begin + _PREDECESSOR_S_MAX:
                raise PostgresNotStarted(f"Postgres ended at its start, its log says: {tail}")
            if loop.time() > begin + _ORPHANS_S_MAX:
                postmaster.kill_orphans(self.cluster)
            await asyncio.sleep(0.1)

    def _write_access_rules(self) -> None:
        """Outside the cluster, so that root never writes into a directory of another account.

        Peer: only root and the account that started us, as the one database user, and only through the socket.
        """
        account = self._running_account()
        users = {"root"} | ({account.name} if account.is_ours else set())
        self._write_rule("pg_hba.conf", "local all all peer map=csms\n")
        self._write_rule("pg_ident.conf", "".join(f'csms "{user}" {OWNER}\n' for user in sorted(users)))

    def _write_rule(self, name: str, text: str) -> None:
        path = self._home / name
        path.write_text(text)
        path.chmod(0o644)

    def _spawn(self) -> None:
        account = self._running_account()
        command = [
            *(sys.executable, "-I", "-S", launch.__file__, str(account.uid), str(account.gid), str(os.getpid())),
            *(str(self._programs().program("postgres")), "-D", str(self.cluster)),
        ]
        for name, value in self._server_settings().items():
            command += ["-c", f"{name}={value}"]
        path = self._home / "postgres.log"
        path.touch(mode=0o600)  # errors quote values
        with path.open("ab") as log_file:
            self._process = subprocess.Popen(  # noqa: S603 - our own program and arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=QUIET_ENVIRONMENT,
                start_new_session=True,  # a Ctrl-C on the terminal is for csms, which drains before Postgres stops
            )

    def _server_settings(self) -> dict[str, str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
            "hba_file": str(self._home / "pg_hba.conf"),
            "ident_file": str(self._home / "pg_ident.conf"),
            "max_connections": str(self._connections_max),
            "synchronous_commit": "on",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_min_error_statement": "panic",  # statements carry personal data
            "log_checkpoints": "off",
            "jit": "off",
            "deadlock_timeout": "100ms",  # the victim runs again at once, and its charge point is waiting
        }
        if self._fast:
            settings |= {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
        return settings

    async def _ready(self) -> bool:
        """True when connections are accepted, False when the process has ended before."""
        assert self._process is not None, "_spawn() comes first"
        deadline = asyncio.get_running_loop().time() + _START_S_MAX
        while self._process.poll() is None:
            if postmaster.is_ready(self.cluster, pid=self._process.pid):
                return True
            if asyncio.get_running_loop().time() > deadline:
                self._process.kill()
                raise PostgresNotStarted(f"Postgres was not ready within {_START_S_MAX:.0f} s")
            await asyncio.sleep(_POLL_S)
        return False

    async def _ended_within(self, patience_s: float) -> bool:
        deadline = asyncio.get_running_loop().time() + patience_s
        while self._process is not None and self._process.poll() is None:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    # -- its log -------------------------------------------------------------------------------------------------

    def _log_size(self) -> int:
        path = self._home / "postgres.log"
        return path.stat().st_size if path.exists() else 0

    def _log_tail(self, begin: int) -> str:
        with (self._home / "postgres.log").open("rb") as log_file:
            log_file.seek(max(begin, self._log_size() - 2000))
            return log_file.read().decode(errors="replace").strip()

    def _bound_log(self) -> None:
        """Postgres holds the file open for appending, so it is copied and emptied in place."""
        if self._log_size() > LOG_BYTES_MAX:
            path = self._home / "postgres.log"
            path.with_name("postgres.log.1").touch(mode=0o600)
            shutil.copyfile(path, path.with_name("postgres.log.1"))
            os.truncate(path, 0)


def _make_directory(path: Path, *, mode: int) -> None:
    """Create it and what is missing above it, with these bits whatever the umask; what exists is left as it is."""
    if path.exists():
        return
    if not path.parent.exists():
        _make_directory(path.parent, mode=0o711 if os.geteuid() == 0 else 0o755)
    path.mkdir()
    path.chmod(mode)
