"""The nginx that is shipped in deploy/, filled in and started on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.embedded.servers import die_with_parent
from tests.support.fake_provider import free_port
from tests.support.forks import ROOT
from tests.support.processes import until

SHIPPED = ROOT / "deploy" / "nginx"
KEY = "edge-key-of-the-tests"
_PLACEHOLDER = re.compile(r"\$\{([A-Z_]+)\}")
_MIME_TYPES = "types { text/html html; image/svg+xml svg; application/json json; }\n"


def find_nginx() -> str:
    """Nginx's path; without it the test is skipped, but never in CI."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None and os.environ.get("CI") != "true":
        pytest.skip("nginx not found")
    assert found is not None, "CI lacks nginx"
    return found


def fill_in(folder: Path, values: Mapping[str, str]) -> Path:
    """Write the shipped configuration with these values, as its image does."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in SHIPPED.glob("*.conf"):
        filled = _PLACEHOLDER.sub(lambda match: values[match[1]], file.read_text("utf-8"))
        (folder / file.name).write_text(filled, "utf-8")
    (folder / "mime.types").write_text(_MIME_TYPES, "utf-8")
    return folder / "nginx.conf"


class Edge:
    """A running nginx; `log` has its requests so far."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def requests(self, path: str | None = None) -> list[dict[str, Any]]:
        """Requests that ended, in order, as the access log has them; of one path or of all."""
        lines = (self.folder / "access.log").read_text("utf-8").splitlines()
        requests = [json.loads(line) for line in lines]
        return [one for one in requests if path is None or one["path"] == path]

    def expire_everything(self) -> None:
        """Make all that is kept as old as if its time had just ended.

        A kept file begins with a version and the moment until which it is fresh, 8 bytes each.
        """
        for file in (self.folder / "cache").rglob("*"):
            if file.is_file():
                with file.open("r+b") as answer:
                    answer.seek(8)
                    answer.write(struct.pack("<q", int(time.time()) - 1))

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A client of it."""
        return httpx.AsyncClient(base_url=self.url, timeout=20, **options)


@contextmanager
def run_edge(folder: Path, api_ports: Sequence[int], port: int | None = None) -> Iterator[Edge]:
    """Start the shipped configuration before these API processes."""
    binary, port = find_nginx(), port or free_port()
    servers = " ".join(f"server 127.0.0.1:{one} max_fails=3 fail_timeout=2s;" for one in api_ports)
    main = fill_in(
        folder,
        {
            "API_SERVERS": servers,
            "EDGE_REFRESH_KEY": KEY,
            "EDGE_PORT": f"127.0.0.1:{port}",
            "EDGE_CACHE_DIR": str(folder / "cache"),
            "EDGE_RUN_DIR": str(folder),
            "EDGE_ACCESS_LOG": str(folder / "access.log"),
        },
    )
    options = "daemon off; user root;" if os.getuid() == 0 else "daemon off;"
    command = [binary, "-p", str(folder), "-c", str(main), "-g", options]
    checked = subprocess.run([*command[:-1], options, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    with (folder / "error.log").open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors, preexec_fn=die_with_parent())
    try:
        yield Edge(folder, port)
    finally:
        process.terminate()
        process.wait(10)


async def wait_for_edge(edge: Edge) -> None:
    """Wait until it answers."""

    async def answers() -> bool:
        try:
            async with edge.client() as client:
                return (await client.get("/edge/health")).status_code == 200
        except httpx.TransportError:
            return False

    await until(answers)
