"""What playing in a browser needs: the browser, and the player's packages."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support.browser import PLAYER, run


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path, with the packages of package-lock.json installed."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    missing = [
        name
        for name, path in (
            ("chromium", browser),
            *((tool, shutil.which(tool)) for tool in ("node", "npm")),
        )
        if path is None
    ]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"{' and '.join(missing)} not found")
    assert not missing and browser is not None, f"CI lacks {missing}"
    return browser


@pytest.fixture(scope="session")
async def packages() -> None:
    """node_modules as package-lock.json says; npm keeps a copy of the lock file inside."""
    installed = PLAYER / "node_modules" / ".package-lock.json"
    lock = PLAYER / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    code, output = await run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    assert code == 0, output
