"""Private mongod and redis-server for development and tests, each in one data folder.

Promise: what was acknowledged survives a restart, and no server outlives its parent (Linux).
Call from the main thread: the kernel ends a server when the *thread* that started it ends, so
`asyncio.to_thread(start_mongod, ...)` would lose it with the worker thread. Calls block <= 30 s.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Self

from services.embedded.binaries import EmbeddedError as EmbeddedError
from services.embedded.binaries import MissingBinary as MissingBinary
from services.embedded.binaries import find_mongod as find_mongod
from services.embedded.binaries import find_redis_server as find_redis_server
from services.embedded.folders import DataFolderUnusable as DataFolderUnusable
from services.embedded.folders import build_in_use_error, forget_address, lock_folder, note_address

HOST = "127.0.0.1"
START_SECONDS = 30.0  # recovery after a kill is part of it
STOP_SECONDS = 10.0
FREE_BYTES = 500_000_000  # least room for a new mongod folder
_POLL_SECONDS = 0.01
_PORT_ATTEMPTS = 5
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class ServerDidNotStart(EmbeddedError):
    """The server ended, or was not ready in time; the message carries its log's telling line."""


class _PortInUse(ServerDidNotStart):
    """Another process took the port between our look and the server's bind."""


@dataclass(frozen=True)
class Server:
    """A running server that is ours. As a context manager it stops on leaving, so an ExitStack
    stops several in the reverse order of their start."""

    name: str
    uri: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        """Say whether the process runs."""
        return self.process.poll() is None

    def stop(self, deadline_seconds: float = STOP_SECONDS) -> None:
        """Stop by SIGTERM, then SIGKILL at the deadline; returns when it ended. Repeatable."""
        if not self.is_alive:
            return
        self.process.terminate()
        try:
            self.process.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_mongod(
    data_dir: Path,
    *,
    binary: Path,
    port: int | None = None,
    replica_set: str = "rs0",
    least_free_bytes: int = FREE_BYTES,
) -> Server:
    """Start a one-member replica set; blocks until it listens (about half a second).

    The set is not initiated: `models.mongo.replica_set.ensure_initiated(server.uri)` does that,
    also after every start, because a new port has to be written into the set's configuration.

    Raises:
        DataFolderUnusable, ServerDidNotStart
    """
    folder = _prepare_folder(data_dir)
    if not (folder / "WiredTiger").exists():
        _require_free_space(folder, least_free_bytes)

    def start(listen_port: int) -> Server:
        uri = f"mongodb://{HOST}:{listen_port}/?replicaSet={replica_set}"
        command = _mongod_command(binary, folder, listen_port, replica_set)
        return _start("mongod", uri, command, folder, _is_mongod_ready, _explain_mongod)

    return _start_on_free_port(start, port)


def start_redis(
    data_dir: Path,
    *,
    binary: Path,
    port: int | None = None,
    persist: bool = True,
    fsync: str = "everysec",
    maxmemory_policy: str = "noeviction",
    databases: int = 16,
) -> Server:
    """Start redis-server or valkey-server; blocks until PING answers (tens of milliseconds).

    `persist` keeps an append-only file, flushed as `fsync` says; without it nothing is written.

    Raises:
        DataFolderUnusable, ServerDidNotStart
    """
    folder = _prepare_folder(data_dir)

    def start(listen_port: int) -> Server:
        uri = f"redis://{HOST}:{listen_port}/0"
        options = {
            "--appendonly": "yes" if persist else "no",
            "--appendfsync": fsync,
            "--maxmemory-policy": maxmemory_policy,
            "--databases": str(databases),
        }
        command = _redis_command(binary, folder, listen_port, options)
        is_ready = partial(_is_redis_ready, listen_port)
        return _start("redis-server", uri, command, folder, is_ready, _explain_redis)

    return _start_on_free_port(start, port)


def _mongod_command(binary: Path, folder: Path, port: int, replica_set: str) -> list[str]:
    options = {
        "--dbpath": str(folder),
        "--port": str(port),
        "--bind_ip": HOST,
        "--replSet": replica_set,
        "--pidfilepath": str(folder / "mongod.pid"),
        "--wiredTigerCacheSizeGB": "0.25",
        "--oplogSize": "50",
        # three journal files of 10 MB instead of 100 MB are laid out at the first start
        "--wiredTigerEngineConfigString": "log=(file_max=10MB)",
    }
    parameters = [
        "shutdownTimeoutMillisForSignaledShutdown=100",  # default: 15 s looking for a successor
        "diagnosticDataCollectionEnabled=false",
    ]
    command = [str(binary), "--nounixsocket", *chain.from_iterable(options.items())]
    return command + [part for value in parameters for part in ("--setParameter", value)]


def _redis_command(binary: Path, folder: Path, port: int, more: dict[str, str]) -> list[str]:
    options = {
        "--dir": str(folder),
        "--port": str(port),
        "--bind": HOST,
        "--pidfile": str(folder / "redis-server.pid"),
        "--save": "",
        **more,
    }
    return [str(binary), *chain.from_iterable(options.items())]


# ---- the data folder


def _prepare_folder(data_dir: Path) -> Path:
    folder = data_dir.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(4096))
    except OSError as error:
        raise DataFolderUnusable(f"{folder} cannot be written: {error.strerror}.") from error
    return folder


def _require_free_space(folder: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DataFolderUnusable(
            f"{folder} has {free // 1_000_000} MB free and a new database needs "
            f"{needed_bytes // 1_000_000} MB: free some, or set DATA_DIR to another folder."
        )


# ---- the process


def _start_on_free_port(start: Callable[[int], Server], port: int | None) -> Server:
    """Start on `port`, or on a free one, looking again when another process was faster."""
    if port is not None:
        return start(port)
    for _ in range(_PORT_ATTEMPTS - 1):
        try:
            return start(_pick_free_port())
        except _PortInUse:
            continue
    return start(_pick_free_port())


def _pick_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _start(
    name: str,
    uri: str,
    command: Sequence[str],
    folder: Path,
    is_ready: Callable[[str], bool],
    explain: Callable[[Path, int, str], EmbeddedError],
) -> Server:
    """Run `command` until `is_ready(log)`; `failure(folder, exit code, log)` tells why it ended."""
    with lock_folder(folder, name) as lock:
        forget_address(folder, name)
        log = _rotate_log(folder / f"{name}.log")
        process = _spawn(name, command, log, lock.fileno())
    server = Server(name, uri, log, process)
    try:
        _wait_ready(server, is_ready)
    except BaseException:  # an interrupt too: nothing may stay behind
        server.stop()
        raise
    if not server.is_alive:
        raise explain(folder, process.returncode, _read(log))
    note_address(folder, name, uri)
    return server


def _rotate_log(log: Path) -> Path:
    """An empty log; the run before stays beside it as `.old`."""
    if log.exists():
        log.replace(log.with_suffix(".log.old"))
    log.touch()
    return log


def _spawn(name: str, command: Sequence[str], log: Path, lock: int) -> subprocess.Popen[bytes]:
    try:
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - the command is made here
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=log.parent,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C reaches only us, and we stop servers in order
                preexec_fn=die_with_parent(),
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerDidNotStart(f"{name} did not start: {error}.") from error


def die_with_parent() -> Callable[[], None] | None:
    """Build the child's hook before exec: SIGKILL from the kernel once the parent is gone.

    SIGKILL and not SIGTERM, because it cannot be put off: both servers journal what they
    acknowledge, so nothing is lost. All is looked up here: after a fork little is safe.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)

    return set_death_signal


def _wait_ready(server: Server, is_ready: Callable[[str], bool]) -> None:
    """Return when the server is ready or has ended."""
    deadline = time.monotonic() + START_SECONDS
    while server.is_alive and not is_ready(_read(server.log)):
        if time.monotonic() > deadline:
            raise ServerDidNotStart(
                f"{server.name} was not ready within {START_SECONDS:.0f} s: see {server.log}."
            )
        time.sleep(_POLL_SECONDS)


def _is_mongod_ready(log: str) -> bool:
    return "Waiting for connections" in log


def _is_redis_ready(port: int, log: str) -> bool:
    """The log is asked first: another process could be answering on the port."""
    if "Ready to accept connections" not in log:
        return False
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


# ---- why it did not start


def _explain_mongod(folder: Path, exit_code: int, log: str) -> EmbeddedError:
    if "DBPathInUse" in log:  # exit code 100 is any trouble with the folder
        return build_in_use_error(folder, "mongod", folder / "mongod.lock")
    return _build_failure("mongod", folder, exit_code, log, _find_error_line(log))


def _explain_redis(folder: Path, exit_code: int, log: str) -> EmbeddedError:
    quoted, line = ["", "", *log.strip().splitlines()][-2:]
    line = line.partition(" # ")[2] or line
    if quoted.startswith(">>> "):  # the option at fault comes before what is wrong with it
        line = f"{quoted[4:]}: {line}"
    return _build_failure("redis-server", folder, exit_code, log, line)


def _build_failure(name: str, folder: Path, exit_code: int, log: str, line: str) -> EmbeddedError:
    if "No space left on device" in log:
        return DataFolderUnusable(f"{folder} is full: free some space, or set DATA_DIR.")
    if "Address already in use" in log:
        return _PortInUse(f"{name} did not start: its port is taken by another process.")
    reason = line[:300] or f"exit code {exit_code}"
    return ServerDidNotStart(f"{name} did not start: {reason} (log: {folder / name}.log)")


def _find_error_line(log: str) -> str:
    """The first error or fatal entry of a mongod log, else its last line that is not JSON."""
    plain = ""
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            plain = line.strip() or plain
            continue
        if entry.get("s") in ("E", "F"):
            return _format_entry(entry)
    return plain


def _format_entry(entry: dict[str, object]) -> str:
    attributes = entry.get("attr")
    detail = attributes.get("error") if isinstance(attributes, dict) else None
    if isinstance(detail, dict):
        detail = detail.get("errmsg")
    text = f"{entry.get('msg')}: {detail}" if detail else str(entry.get("msg"))
    return " ".join(text.split())


def _read(log: Path) -> str:
    return log.read_text(errors="replace")
