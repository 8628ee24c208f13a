"""Headless Chromium that plays films with hls.js: tests/browser/play.mjs as a process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from services.embedded.servers import die_with_parent

PLAYER = Path(__file__).parents[1] / "browser"
BROWSER_SECONDS = 240


async def watch(
    browser: str, page_port: int, api: str, films: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    request = {
        "api": api,
        "page_port": page_port,
        "chromium": browser,
        "email": "viewer@marquee.test",
        "password": "marquee-demo-password",
        "films": films,
    }
    code, output = await run("node", "play.mjs", json.dumps(request))
    assert code == 0, output
    report = json.loads(output.splitlines()[-1])
    return report["films"], report["complaints"]


async def run(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=PLAYER,
        preexec_fn=die_with_parent(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(BROWSER_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")
