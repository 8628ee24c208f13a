"""Load for a bounded time: wrk when it is on PATH, else the slower load_asyncio.py beside it.

Both run as a child on the other core and print one line of JSON; the CPU figure of a server does
not depend on which of them sent the requests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.items import Request
from bench.processes import OTHER_CORE, BenchError, start

CONNECTIONS = 8
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Load:
    requests: int
    seconds: float
    bytes: int
    failures: int
    p50: float
    p95: float
    p99: float


def generator() -> str:
    return "wrk" if shutil.which("wrk") else "load_asyncio.py"


def write_requests(path: Path, requests: Sequence[Request]) -> None:
    """One line a request: method, path, headers, body, separated by tabs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{_line(request)}\n" for request in requests))


def _line(request: Request) -> str:
    headers = "|".join(f"{name}: {value}" for name, value in request.headers.items())
    return "\t".join((request.method, request.path, headers, request.body))


def drive(
    port: int,
    requests: Path,
    seconds: float,
    *,
    offset: int,
    sequence: int,
    connections: int = CONNECTIONS,
) -> Load:
    """Sends the requests in turn from `offset` on; `sequence` numbers progress reports."""
    numbers = [str(requests), str(offset), str(sequence)]
    if generator() == "wrk":
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        command += ["--timeout", "20s", "-s", str(_FOLDER / "load.lua")]
        command += [f"http://127.0.0.1:{port}/", "--", *numbers]
    else:
        command = [sys.executable, str(_FOLDER / "load_asyncio.py")]
        command += [str(port), str(connections), str(seconds), *numbers]
    log = requests.with_suffix(".load.log")
    child = start("load generator", command, core=OTHER_CORE, log=log)
    try:
        child.process.wait(seconds + 60)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"the load generator did not end; see {log}") from error
    finally:
        child.stop()
    return _figures(log)


def _figures(log: Path) -> Load:
    lines = log.read_text(errors="replace").splitlines()
    for line in reversed(lines):
        if line.startswith('{"requests"'):
            return Load(**json.loads(line))
    raise BenchError("the load generator printed no figures:\n" + "\n".join(lines[-10:]))
