"""The MongoDB and Redis that all measured servers share: given by address, or private ones.

Private ones are the product's own embedded servers, in .data/bench; they inherit the bench's core.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from models.mongo.replica_set import ensure_initiated
from services.embedded.servers import find_mongod, find_redis_server, start_mongod, start_redis

_REDIS_DATABASES = 64  # one for each measured server; Redis's default of 16 is too few


@dataclass(frozen=True)
class Addresses:
    mongodb_uri: str
    redis_url: str

    def with_database(self, number: int) -> Addresses:
        """The same with another database of this Redis: what one server cached helps no other."""
        parts = urlsplit(self.redis_url)
        return replace(self, redis_url=urlunsplit(parts._replace(path=f"/{number}")))


@contextmanager
def databases(folder: Path, mongodb_uri: str | None, redis_url: str | None) -> Iterator[Addresses]:
    with ExitStack() as stack:
        if mongodb_uri is None:
            mongod = start_mongod(folder / "mongodb", binary=find_mongod(None))
            mongodb_uri = stack.enter_context(mongod).uri
            asyncio.run(ensure_initiated(mongodb_uri))
        if redis_url is None:
            # Nothing is kept: what one run cached must not help the next.
            cache = start_redis(
                folder / "redis",
                binary=find_redis_server(None),
                persist=False,
                databases=_REDIS_DATABASES,
            )
            redis_url = stack.enter_context(cache).uri
        yield Addresses(mongodb_uri, redis_url)
