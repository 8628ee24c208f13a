"""What a figure was measured on: the machine and the versions of everything in its path."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench.dataset import ROOT
from bench.install import runtime
from bench.load import generator
from bench.processes import BenchError
from bench.targets import BUN, NODE, PEERS
from services.embedded.servers import find_mongod, find_redis_server

_OURS = ("strawberry-graphql", "graphql-core", "starlette", "uvicorn", "uvloop", "httptools")
_OURS_TOO = ("pymongo", "redis", "hiredis", "msgspec", "orjson", "aiodataloader")


def machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = model[1] if model else platform.machine()
    kernel = platform.release()
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {kernel}"


def commit() -> str:
    """The checkout's commit, and whether it was changed since; "unknown" outside of git."""
    command = ["git", "describe", "--always", "--dirty=, changed"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def versions() -> dict[str, str]:
    """Group -> one line of names and versions."""
    return {
        "Programs": ", ".join(_programs()),
        "Ours": ", ".join(f"{name} {version(name)}" for name in _OURS + _OURS_TOO),
        "Node peers": ", ".join(_node_packages()),
        "Python peers": ", ".join(_python_packages()),
    }


def _programs() -> list[str]:
    return [
        f"Python {platform.python_version()}",
        f"Node {_runtime_version(NODE)}",
        f"Bun {_runtime_version(BUN)}",
        f"MongoDB {_first_number([str(find_mongod(None)), '--version'])}",
        f"Redis {_first_number([str(find_redis_server(None)), '--version'])}",
        f"wrk {_first_number(['wrk', '-v'])}" if generator() == "wrk" else generator(),
    ]


def _runtime_version(program: str) -> str:
    try:
        return _first_number([str(runtime(program)), "--version"])
    except BenchError:
        return "absent"


def _first_number(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return "absent"
    match = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return match[0] if match else "unknown"


def _node_packages() -> list[str]:
    packages = json.loads((PEERS / "package-lock.json").read_text())["packages"]
    return [
        f"{name} {packages[f'node_modules/{name}']['version']}"
        for name in packages[""]["dependencies"]
    ]


def _python_packages() -> list[str]:
    lines = (PEERS / "requirements.txt").read_text().splitlines()
    return [line.replace("==", " ") for line in lines if "==" in line]
