"""A replica set of three members that asks for a password and TLS, and can be frozen and killed."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, OperationFailure

from services.embedded import servers
from tests.support.certificates import make_certificate
from tests.support.fake_provider import free_port

Client = AsyncMongoClient[dict[str, Any]]
Address = tuple[str, int]
USER, PASSWORD = "ada", "velvet and lamps"
_ELECTION = {"electionTimeoutMillis": 1_000, "heartbeatIntervalMillis": 200}


class ReplicaSet:
    """Three mongods in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate = make_certificate(folder)
        key = folder / "key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        self._members: dict[Address, subprocess.Popen[bytes]] = {}
        for _ in range(3):
            self.start(("127.0.0.1", free_port()))

    @property
    def uri(self) -> str:
        hosts = ",".join(f"{host}:{port}" for host, port in self._members)
        return f"mongodb://{hosts}/?replicaSet=rs0&{self._tls}"

    @property
    def _tls(self) -> str:
        return f"tls=true&tlsCAFile={self.certificate}"

    def start(self, address: Address) -> None:
        """Start a member, also one that was killed."""
        folder = self._folder / str(address[1])
        folder.mkdir(exist_ok=True)
        options = {
            "--dbpath": folder,
            "--port": address[1],
            "--bind_ip": address[0],
            "--replSet": "rs0",
            "--keyFile": self._folder / "key",
            "--tlsMode": "requireTLS",
            "--tlsCertificateKeyFile": self.certificate,
            "--tlsCAFile": self.certificate,
            "--wiredTigerCacheSizeGB": 0.25,
            "--oplogSize": 50,
            "--wiredTigerEngineConfigString": "log=(file_max=10MB)",
            "--logpath": folder / "log",
            "--setParameter": "diagnosticDataCollectionEnabled=false",
        }
        command = [servers.find_mongod(None), "--nounixsocket"]
        command += ["--tlsAllowConnectionsWithoutCertificates"]
        command += [part for option in options.items() for part in option]
        self._members[address] = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=servers.die_with_parent(),
        )

    async def initiate(self) -> None:
        """Make a set of them, and a user."""
        first, *_ = self._members
        members = [
            {"_id": number, "host": f"{host}:{port}", "priority": 2 if number == 0 else 1}
            for number, (host, port) in enumerate(self._members)
        ]
        uri = f"mongodb://{first[0]}:{first[1]}/?directConnection=true&{self._tls}"
        config = {"_id": "rs0", "members": members, "settings": _ELECTION}
        async with Client(uri) as client:
            # refused until all listen, and until the first election is over
            await _repeat(client, "replSetInitiate", config)
            await _repeat(client, "createUser", USER, pwd=PASSWORD, roles=["root"])

    def signal(self, address: Address, number: signal.Signals) -> None:
        """Freeze (SIGSTOP), wake (SIGCONT) or kill a member."""
        os.kill(self._members[address].pid, number)
        if number == signal.SIGKILL:
            self._members[address].wait()

    def stop(self) -> None:
        """End all members."""
        for process in self._members.values():
            if process.poll() is None:
                process.kill()
            process.wait()


async def _repeat(client: Client, command: str, value: Any, **options: Any) -> None:
    """Send a command until it is obeyed."""
    async with asyncio.timeout(servers.START_SECONDS):
        while True:
            try:
                await client.admin.command(command, value, **options)
                return
            except (AutoReconnect, OperationFailure):
                await asyncio.sleep(0.1)
