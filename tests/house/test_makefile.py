"""`make` on a machine that has just cloned the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.house.house import ROOT


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)


def test_make_alone_explains_every_target() -> None:
    # when somebody types `make`
    lines = make("-f", "Makefile").stdout.splitlines()
    # then each target is there with what it does
    told = {line.split()[1]: line.split(maxsplit=2)[2] for line in lines}
    assert {"dev", "test", "check", "fmt", "schema", "env", "seed", "bench"} <= set(told)
    assert all(told.values())


@pytest.mark.parametrize("version", ["3.10.14", "3.14.0"])
def test_a_python_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, version: str) -> None:
    # given a python3 that is too old or too new
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" || exit 1\n')
    python.chmod(0o755)
    # when it is asked to make the environment
    done = make("dev", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")
    # then one line says what to do, and nothing was made
    line, *rest = done.stderr.splitlines()
    assert line.startswith(f"marquee: Python {version} does not fit: Marquee needs Python 3.11")
    own = [each for each in rest if not re.match(r"make(\[\d+\])?: ", each)]  # make may run in make
    assert own == []
    assert done.returncode == 2
    assert not (tmp_path / "venv").exists()


def test_a_missing_python_is_told_in_one_line(tmp_path: Path) -> None:
    done = make("dev", "PYTHON=no-such-python", f"VENV={tmp_path / 'venv'}")
    assert done.stderr.splitlines()[0] == (
        "marquee: no-such-python was not found: install Python 3.11, 3.12 or 3.13."
    )
    assert done.returncode == 2
