"""The peers' own packages: npm's lock file beside them, a Python environment under .data/bench."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.processes import BenchError, clean_environment
from bench.targets import PEERS, Target


def install_peers(targets: Sequence[Target], folder: Path) -> None:
    programs = {target.command[0] for target in targets}
    if "node" in programs:
        _install_node(PEERS)
    if "peer-python" in programs:
        _install_python(folder / "venv")


def peer_command(target: Target, folder: Path) -> list[str]:
    program, *arguments = target.command
    return [str(folder / "venv/bin/python") if program == "peer-python" else program, *arguments]


def _install_node(peers: Path) -> None:
    if not shutil.which("node") or not shutil.which("npm"):
        raise BenchError("The Node peers need node and npm; leave them out with --servers.")
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
