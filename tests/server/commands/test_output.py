"""What commands write where: results on standard output, bars on terminals, logs as lines."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from services.accounts.token_keys import generate_pem
from services.settings.settings import Settings
from services.version import VERSION
from tests.server.commands.test_check import FIT
from tests.support.fake_provider import free_port
from tests.support.processes import ROOT, Process, Served, until

SEED = ("seed", "--movies", "30", "--people", "150")


def environment_of(settings: Settings, **changed: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": settings.mongodb_database + "_output",
        "REDIS_URL": settings.redis_url or "",
        "REDIS_TIMEOUT_MS": "5000",
        **changed,
    }


@pytest.mark.parametrize("has_terminal", [False, True])
def test_bars_are_drawn_on_standard_error_if_that_is_a_terminal(
    settings: Settings, tmp_path: Path, has_terminal: bool
) -> None:
    # given standard output in a file, as after `>`, and standard error on a terminal or not
    result, errors = tmp_path / "result.txt", tmp_path / "errors.txt"
    main, terminal = pty.openpty()
    with result.open("wb") as output, errors.open("wb") as file:
        subprocess.run(
            [sys.executable, "-m", "server", *SEED],
            cwd=tmp_path,
            env=environment_of(settings, TERM="xterm", COLUMNS="100"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=terminal if has_terminal else file,
            check=True,
            timeout=120,
        )
    os.close(terminal)
    drawn = os.read(main, 65536).decode() if has_terminal else errors.read_text()
    os.close(main)
    # then the file has the report alone
    lines = result.read_text().splitlines()
    assert lines[-1].endswith(" changes.")
    assert all("\x1b" not in line and "━" not in line for line in lines)
    # and only a terminal sees a bar
    assert ("━" in drawn) is has_terminal


@pytest.mark.parametrize("level", ["info", "WARNING", "error"])
async def test_every_line_of_the_log_has_one_form_and_obeys_the_level(
    settings: Settings, tmp_path: Path, level: str
) -> None:
    # given an API and a worker of production
    port = free_port()
    own = FIT | environment_of(settings, JWT_PRIVATE_KEYS=generate_pem())
    own |= {"PORT": str(port), "TRUSTED_HOSTS": "127.0.0.1", "LOG_LEVEL": level}
    own |= {"DRAIN_SECONDS": "0", "METRICS_PORT": str(free_port())}
    with (
        Process(tmp_path / "api", "serve", environment=own) as api,
        Process(tmp_path / "worker", "worker", environment=own) as worker,
    ):
        async with Served(port) as served:
            await until(served.is_healthy)
            await served.client.get("/nowhere")
            await served.graphql("{ __typename }")
            if level == "info":
                await api.says('"event":"request"')
                await worker.says('"event":"worker_started"')
    logged = {
        name: [json.loads(line) for line in process.output.splitlines()]
        for name, process in {"api": api, "worker": worker}.items()
    }
    # then every line is an object that says when, how grave and what
    for line in (*logged["api"], *logged["worker"]):
        assert {"timestamp", "level", "event"} <= line.keys()
        assert line["timestamp"].endswith("Z") and "at" not in line
        assert (
            line["level"]
            in {
                "info": ("info", "warning", "error"),
                "WARNING": ("warning", "error"),
                "error": ("error",),
            }[level]
        )
    # and the first lines say what runs where
    starts = [line for lines in logged.values() for line in lines if "_started" in line["event"]]
    if level != "info":
        assert starts == []
        return
    for start in starts:
        assert start["version"] == VERSION
        assert start["mongodb"].startswith("mongodb://127.0.0.1:")
        assert start["redis"].startswith("redis://127.0.0.1:")
    assert [(one["event"], one["address"]) for one in starts] == [
        ("server_started", f"127.0.0.1:{port}"),
        ("worker_started", None),
    ]
    assert "catalog" in starts[0]["subjects"] and "flush_progress" in starts[1]["subjects"]
