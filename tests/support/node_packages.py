"""Node projects of the tests: what package-lock.json names, and scripts that are run with it.

Needs node and npm; where they are missing, tests that ask for them are skipped, except in CI.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from services.embedded.servers import die_with_parent

_SECONDS = 240


async def install(project: Path) -> None:
    """Installs what the project's lock file says; npm keeps a copy of that file inside."""
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"{' and '.join(missing)} not found")
    assert not missing, f"CI lacks {missing}"
    installed, lock = project / "node_modules/.package-lock.json", project / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    # another worker may install the same at this moment: one of them does, the other waits
    with (project / ".installing").open("w") as turn:
        await asyncio.to_thread(fcntl.flock, turn, fcntl.LOCK_EX)
        if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
            return
        code, output = await run(
            project, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"
        )
    assert code == 0, output


async def ask(script: Path, request: dict[str, Any]) -> Any:
    """What a script answers, as JSON in its last line, to a request as JSON."""
    code, output = await run(script.parent, "node", script.name, text=json.dumps(request))
    assert code == 0, output
    return json.loads(output.splitlines()[-1])


async def run(folder: Path, *command: str, text: str = "") -> tuple[int, str]:
    """Runs a command in a folder on a text; its exit status and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        preexec_fn=die_with_parent(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate(text.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")
