"""A run of the suite that is killed leaves nothing behind: no store, no server, no worker."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.embedded.servers import die_with_parent
from tests.house.house import ROOT
from tests.support.processes import descendants, is_running, until

_STARTED = ("mongod --", "redis-server", "-m server serve", "-m tests.support.fork_server")


@pytest.mark.parametrize("workers", [0, 1])
async def test_a_killed_run_leaves_no_process_behind(tmp_path: Path, workers: int) -> None:
    # given a run, by itself or by xdist, that has started its stores and a server
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", str(workers), "-p", "no:cacheprovider"),
            *("--basetemp", str(tmp_path / "tests"), "tests/house/endless_case.py"),
        ],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        preexec_fn=die_with_parent(),
    ) as run:
        await until(lambda: [*tmp_path.glob("tests/**/served")], 120)
        started = descendants(run.pid)
        assert all(name in " ".join(started.values()) for name in _STARTED), started
        forked = [command for command in started.values() if _STARTED[-1] in command]
        assert len(forked) == 2  # with what it forked
        # when it is killed
        run.kill()
    # then all of them end: the stores, xdist's worker, the server
    await until(lambda: not any(map(is_running, started)), 20)
    assert len(started) >= len(_STARTED) + workers


async def test_the_run_itself_is_watched() -> None:
    # given what this process started, then it is found by name, so that nothing is overlooked
    with subprocess.Popen(["sleep", "60"], preexec_fn=die_with_parent()) as sleeper:
        await asyncio.sleep(0)
        await until(lambda: "sleep 60" in descendants(os.getpid()).get(sleeper.pid, ""), 10)
        sleeper.kill()
