"""A MongoDB and a Redis that chaos tests may freeze, kill and start again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.embedded import servers
from tests.support.fake_provider import free_port

DEADLINE_SECONDS = 2.0  # MONGODB_TIMEOUT_MS


class Stores:
    """MongoDB with the demo catalogue, and an empty Redis; both can be killed and started again."""

    def __init__(self, folder: Path, *, persist: bool = False, fsync: str = "everysec") -> None:
        self._folder = folder
        self._persist, self._fsync = persist, fsync
        self._ports = free_port(), free_port()
        self.mongod = self._start_mongod()
        self.redis = self.start_redis()

    def _start_mongod(self) -> servers.Server:
        binary = servers.find_mongod(None)
        return servers.start_mongod(self._folder / "mongo", binary=binary, port=self._ports[0])

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
