"""Measured servers as the report takes them, without a process behind them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.load import Load
from bench.measure import Cell
from bench.processes import Child
from bench.running import Running
from bench.targets import TARGETS

_NO_PROCESS: subprocess.Popen[bytes] = subprocess.Popen.__new__(subprocess.Popen)


def running(name: str) -> Running:
    """The target of this name, as if it had been started."""
    (target,) = (target for target in TARGETS if target.name == name)
    return Running(target, 0, Child(name, _NO_PROCESS, Path("log")))


def cells(*cpu_ms: float, doubt: str | None = None, busy: float = 2.0) -> list[Cell]:
    """One cell a round."""
    load = Load(requests=100, seconds=1, bytes=1000, failures=0, p50=1, p95=2, p99=3)
    return [Cell(figure, load, doubt, busy) for figure in cpu_ms]
