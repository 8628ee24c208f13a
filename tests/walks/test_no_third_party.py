"""With default settings nobody outside is spoken to, whatever clients ask for."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from services.embedded.servers import die_with_parent
from services.settings.settings import Settings
from tests.support.no_network_process import OUTSIDE

_ROOT = Path(__file__).parents[2]


async def _sealed(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """The exit status, what it said and what it complained of."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    own = {
        "PYTHONPATH": str(_ROOT),
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": f"{settings.mongodb_database}_sealed",
        "REDIS_URL": settings.redis_url or "",
        "REDIS_KEY_PREFIX": "sealed:",
        "REDIS_TIMEOUT_MS": "2000",
        "DATA_DIR": str(settings.data_dir / "sealed"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.no_network_process",
        *arguments,
        cwd=_ROOT,
        env=inherited | own,
        preexec_fn=die_with_parent(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(180):
            said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode(), complained.decode()


@pytest.mark.parametrize(
    ("how", "message"),
    [("--leave", "socket.getaddrinfo to 'films.example'"), ("--connect", "to '192.0.2.1'")],
)
async def test_the_seal_holds(settings: Settings, how: str, message: str) -> None:
    status, _, complained = await _sealed(settings, how)
    assert status == OUTSIDE
    assert message in complained


async def test_everything_the_api_does_by_default_stays_on_this_machine(
    settings: Settings,
) -> None:
    # when a process with default settings answers every operation of the web client, and whatever
    # else could make it speak to somebody
    status, said, complained = await _sealed(settings)
    # then it never tried to
    assert status == 0, complained[-2000:]
    answers = json.loads(said.splitlines()[-1])
    assert answers["operations"] >= 25
    # and says that there is nobody to ask
    film = answers["film"]["data"]["movie"]
    assert film["embed"] is None
    assert [one["provider"]["key"] for one in film["streamingSources"]["attempts"]] == ["library"]
    (library,) = answers["operator"]["data"]["providers"]
    assert (library["key"], library["status"], library["breaker"]) == ("library", None, None)
    assert answers["editor"] == {"data": {"providerSearch": []}}
    assert "TMDB_API_KEY" in answers["import"]["errors"][0]["message"]
