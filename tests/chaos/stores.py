"""A MongoDB and a Redis that chaos tests may freeze, kill and start again."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient

from services.embedded import servers
from tests.support.fake_provider import free_port

DEADLINE_SECONDS = 2.0  # MONGODB_TIMEOUT_MS
USER, PASSWORD = "films", "quiet-river-lamp"
_ADMIN, _ADMIN_PASSWORD = "admin", "other-river-lamp"
_ROLES = [{"role": "readWrite", "db": "marquee"}]


class Stores:
    """MongoDB with the demo catalogue, and an empty Redis; both can be killed and started again."""

    def __init__(self, folder: Path, *, persist: bool = False, fsync: str = "everysec") -> None:
        self._folder = folder
        self._persist, self._fsync = persist, fsync
        self._ports = free_port(), free_port()
        self._mongod_binary = servers.find_mongod(None)
        self._has_users = False
        self.mongod = self._start_mongod()
        self.redis = self.start_redis()

    def _start_mongod(self) -> servers.Server:
        return servers.start_mongod(
            self._folder / "mongo", binary=self._mongod_binary, port=self._ports[0]
        )

    def start_redis(self) -> servers.Server:
        binary = servers.find_redis_server(None)
        self.redis = servers.start_redis(
            self._folder / "redis",
            binary=binary,
            port=self._ports[1],
            persist=self._persist,
            fsync=self._fsync,
        )
        return self.redis

    def start_mongod(self) -> None:
        self.mongod = self._start_mongod()

    async def require_users(self) -> None:
        """Start MongoDB again with users, whose rights it checks, and with commands for tests."""
        async with self.connect_admin() as client:
            await client.admin.command("createUser", _ADMIN, pwd=_ADMIN_PASSWORD, roles=["root"])
            await client.admin.command("createUser", USER, pwd=PASSWORD, roles=_ROLES)
        key, wrapper = self._folder / "key", self._folder / "mongod-with-users"
        key.write_text("0123456789abcdef" * 4)
        key.chmod(0o600)
        command = shlex.join(["exec", str(self._mongod_binary)])
        options = shlex.join(["--keyFile", str(key), "--setParameter", "enableTestCommands=1"])
        wrapper.write_text(f'#!/bin/sh\n{command} "$@" {options}\n')
        wrapper.chmod(0o700)
        self.mongod.stop()
        self._mongod_binary, self._has_users = wrapper, True
        self.start_mongod()

    def connect_admin(self) -> AsyncMongoClient[dict[str, Any]]:
        """A client of MongoDB itself that may do everything."""
        login = f"{_ADMIN}:{_ADMIN_PASSWORD}@" if self._has_users else ""
        return AsyncMongoClient(
            f"mongodb://{login}127.0.0.1:{self._ports[0]}/?directConnection=true"
        )

    async def set_user(self, **changes: Any) -> None:
        """Change the user that our processes sign in as: `pwd`, `roles`; none: as at first."""
        async with self.connect_admin() as client:
            changes = changes or {"pwd": PASSWORD, "roles": _ROLES}
            await client.admin.command("updateUser", USER, **changes)

    def stop(self) -> None:
        for server in (self.redis, self.mongod):
            if server.is_alive:
                os.kill(server.pid, signal.SIGCONT)
            server.stop()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "MONGODB_URI": self.mongod.uri,
            "REDIS_URL": self.redis.uri,
            "MONGODB_TIMEOUT_MS": str(int(DEADLINE_SECONDS * 1000)),
        }


@contextmanager
def freeze_process(server: servers.Server) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)
