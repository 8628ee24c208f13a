"""`python -m server dev`, as people run it: real processes, each with a data folder of its own."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.api_client import ISSUE_QUERY
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served, is_running, until

RUNNING = "Marquee is running."
SIGN_IN = """mutation ($email: EmailAddress!) {
  login(input: {email: $email, password: "marquee-demo-password"}) {
    viewer { role tier } errors { code } } }"""
REGISTER = """mutation { register(input: {
  email: "ada@example.org", password: "marquee-demo-password", displayName: "Ada"
}) { errors { code } } }"""
Dev = Callable[..., Process]


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    """Starts `dev` on a port; ends it, whatever the test did to it."""
    with ExitStack() as running:
        count = 0

        def start(port: int, *, from_scratch: bool = False, **environment: str) -> Process:
            nonlocal count
            count += 1
            # the clip that demo films play is tried in tests/browser
            own = {"PORT": str(port), "DATA_DIR": str(tmp_path / "data"), "DEMO_CLIP": "false"}
            settings = own | environment
            folder = tmp_path / f"run-{count}"
            process = Process(folder, "dev", environment=settings, from_scratch=from_scratch)
            return running.enter_context(process)

        yield start


def one_line(process: Process) -> str:
    """All that a process said: one line, without a traceback."""
    (line,) = process.output.splitlines()
    return line


async def test_one_command_serves_real_films_ends_with_ctrl_c_and_keeps_its_data(
    dev: Dev,
) -> None:
    port = free_port()
    process = dev(port, from_scratch=True)  # as it is typed, import and all
    await process.says(RUNNING)
    async with Served(port) as served:
        # then the issue's query is answered with real films
        _, body = await served.graphql(ISSUE_QUERY, {"first": 20})
        films = body["data"]["movies"]["nodes"]
        assert len(films) == 20
        assert all(film["year"] and film["genres"] and film["credits"] for film in films)
        assert "Metropolis" in [film["title"] for film in films]
        # and everybody whom the welcome names can sign in
        roles = {"viewer": "USER", "premium": "USER", "editor": "EDITOR", "operator": "OPERATOR"}
        for name, role in roles.items():
            assert f"{name}@marquee.test" in process.output
            _, body = await served.graphql(SIGN_IN, {"email": f"{name}@marquee.test"})
            assert body["data"]["login"]["viewer"]["role"] == role
        _, body = await served.graphql(REGISTER)
        assert body == {"data": {"register": {"errors": []}}}
    # when the terminal sends what Ctrl-C sends
    servers = process.children()
    process.send(signal.SIGINT)
    # then it and both databases are gone, without a word of complaint
    assert await process.ended(15) == 0
    assert len(servers) == 2
    assert not [pid for pid in servers if is_running(pid)]
    assert "Traceback" not in process.output
    assert process.output.rstrip().endswith("Stopping ...")
    # and what somebody registered is there at the next start, where nothing is loaded again
    again = dev(port)
    await again.says(RUNNING)
    assert "new," not in again.output
    async with Served(port) as served:
        _, body = await served.graphql(SIGN_IN, {"email": "ada@example.org"})
        assert body["data"]["login"]["errors"] == []
        _, body = await served.graphql(ISSUE_QUERY, {"first": 20})
        assert body["data"]["movies"]["nodes"] == films
    again.send(signal.SIGTERM)
    assert await again.ended(15) == 0


COMMANDS: dict[str, tuple[str, ...]] = {
    "OPERATOR": ("account", "role", "viewer@marquee.test", "OPERATOR"),
    "operator@marquee.test": ("account", "list"),
    '"event":': ("audit",),
    "prefixes.": ("abuse", "list"),
    "0 waiting, 0 failed.": ("purges",),
    " indexes are in place, 0 differ.": ("indexes", "plan"),
    "0 changes.": ("import", "demo"),
    "5 new": ("seed", "--movies", "5", "--people", "150"),
    "No dead letters.": ("progress", "dead-letters"),
    "titles and people changed": ("search", "rebuild"),
    "0 refused": ("check",),
}


async def test_other_commands_find_the_stores_of_a_running_one(dev: Dev, tmp_path: Path) -> None:
    # given one that runs on stores of its own
    process = dev(free_port())
    await process.says(RUNNING)
    address = re.compile(r"(mongodb|redis)://127\.0\.0\.1:[0-9]+")
    assert {match[1] for match in address.finditer(process.output)} == {"mongodb", "redis"}
    own = {"DATA_DIR": str(tmp_path / "data")}
    # when an operator runs commands that name none
    for expected, arguments in COMMANDS.items():
        with Process(tmp_path / "command", *arguments, environment=own) as command:
            # then each is done there
            assert await command.ended() == 0, command.output
            assert expected in command.output
    # but not those of another folder, or of one whose stores have ended
    process.send(signal.SIGTERM)
    assert await process.ended(15) == 0
    for folder in (tmp_path / "data", tmp_path / "elsewhere"):
        own = {"DATA_DIR": str(folder)}
        with Process(tmp_path / "command", "audit", environment=own) as command:
            assert await command.ended() == 1
            assert "REDIS_URL is not set" in one_line(command)


async def test_ctrl_c_while_it_starts_ends_everything_too(dev: Dev) -> None:
    process = dev(free_port())
    await until(lambda: len(process.children()) == 2, 20)
    servers = process.children()
    process.send(signal.SIGINT)
    await process.ended(20)
    await until(lambda: not any(is_running(pid) for pid in servers), 5)
    assert "Traceback" not in process.output


async def test_a_killed_one_leaves_no_orphan_and_starts_again(dev: Dev) -> None:
    port = free_port()
    process = dev(port)
    await process.says(RUNNING)
    servers = process.children()
    process.send(signal.SIGKILL)
    assert await process.ended() == -signal.SIGKILL
    await until(lambda: not any(is_running(pid) for pid in servers), 5)
    # and the next start finds its data whole
    await dev(port).says(RUNNING)
    async with Served(port) as served:
        _, body = await served.graphql(ISSUE_QUERY, {"first": 1})
        assert len(body["data"]["movies"]["nodes"]) == 1


async def test_two_run_side_by_side_but_not_in_one_folder(dev: Dev, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    first = dev(ports[0])
    await first.says(RUNNING)
    # when a second one is given the first one's folder
    intruder = dev(free_port())
    assert await intruder.ended() == 1
    assert "is in use by another" in one_line(intruder)
    # then only the folder kept it from running
    second = dev(ports[1], DATA_DIR=str(tmp_path / "other"))
    await second.says(RUNNING)
    for port in ports:
        async with Served(port) as served:
            assert await served.is_healthy()
    assert not set(first.children()) & set(second.children())


async def test_a_taken_port_is_one_clear_line(dev: Dev, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        process = dev(port)
        assert await process.ended() == 1
    expected = f"Port {port} on 127.0.0.1 cannot be used (Address already in use): "
    assert expected in one_line(process)
    assert "set PORT" in one_line(process)
    # and nothing was started or written for it
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("folder", ["a file", "/proc/marquee"])
async def test_a_data_folder_that_cannot_be_written_is_one_clear_line(
    dev: Dev, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "a file").write_text("")
    process = dev(free_port(), DATA_DIR=str(tmp_path / folder))
    assert await process.ended() == 1
    assert "cannot be written" in one_line(process)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("MONGOD_BINARY", "/nowhere/mongod", "MONGOD_BINARY is '/nowhere/mongod'"),
        ("HOST", "192.0.2.1", "ALLOW_OPEN_DEVELOPMENT"),
        ("JWT_SECRET", "short", "JWT_SECRET is shorter than 32 bytes"),
        ("PROVIDERS", "nonsense", "PROVIDERS is not a JSON list of providers."),
        ("PORT", "99999", "PORT: "),
        ("GRAPHQL_EXECUTOR", "fast", "GRAPHQL_EXECUTOR: "),
    ],
)
async def test_a_wrong_setting_is_one_clear_line(
    dev: Dev, setting: str, value: str, message: str
) -> None:
    process = dev(free_port(), **{setting: value})
    assert await process.ended() == 1
    assert message in one_line(process)
    assert one_line(process).startswith("marquee: ")


async def test_without_ffmpeg_all_but_the_demo_clip_is_there(dev: Dev) -> None:
    port = free_port()
    process = dev(port, DEMO_CLIP="true", FFMPEG_BINARY="/nowhere/ffmpeg")
    await process.says(RUNNING)
    await process.says("The demo films do not play: FFMPEG_BINARY is '/nowhere/ffmpeg'")
    async with Served(port) as served:
        assert await served.is_healthy()
    process.send(signal.SIGINT)
    assert await process.ended(15) == 0


async def test_ctrl_c_while_the_demo_clip_is_drawn_ends_that_too(dev: Dev, tmp_path: Path) -> None:
    # given a program in ffmpeg's place that tells its version, and is never done with a film
    program = tmp_path / "ffmpeg"
    program.write_text(
        "#!/bin/sh\n"
        "case $* in *-version*) echo 'ffmpeg version 99.0'; exit ;; esac\n"
        "exec sleep 600\n"
    )
    program.chmod(0o755)
    process = dev(free_port(), DEMO_CLIP="true", FFMPEG_BINARY=str(program))
    await process.says(RUNNING)
    media = tmp_path / "data" / "media"
    await until(lambda: media.exists() and len(process.children()) == 3)
    children = process.children()
    # when the terminal sends what Ctrl-C sends
    process.send(signal.SIGINT)
    # then it is gone, and what it had begun too
    assert await process.ended(15) == 0
    assert not [pid for pid in children if is_running(pid)]
    assert list(media.iterdir()) == []
    assert "Traceback" not in process.output


async def test_production_refuses_the_published_secret(dev: Dev) -> None:
    process = dev(free_port(), ENVIRONMENT="production")
    assert await process.ended() == 1
    assert one_line(process) == (
        "marquee: JWT_SECRET is a published default: set a random one of your own."
    )
