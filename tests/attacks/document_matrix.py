"""What distinct documents leave in a process: valid and refused ones, none of them sent twice.

    python -m tests.attacks.document_matrix --documents 100000

starts MongoDB and Redis (or uses MONGODB_URI and REDIS_URL), sends the documents to the whole
application, and prints the process's memory; it fails above 250 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

import models
from models.mongo.replica_set import ensure_initiated
from resolvers.opening import open_runtime
from services.embedded import servers
from services.settings.settings import Settings
from tests.support.api_client import connect_runtime

MOST_BYTES = 250 * 1000 * 1000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_FIELDS = "id title year overview runtimeSeconds rating voteCount"
_REPORT_EVERY = 5_000
_CODES = {"VALIDATION_FAILED", "COST_LIMIT_EXCEEDED"}


def write_document(number: int) -> tuple[str, bool]:
    """Write the document of a number, unlike any other's, and say whether it is valid."""
    many = " ".join(f"f{number}_{at}: title" for at in range(12))
    unknown = " ".join(f"unknown{number}_{at}" for at in range(60))
    deep = "{ similar " * 13 + f"{{ a{number}: id }}" + " }" * 13
    documents = (
        (f"query Q{number} {{ __typename }}", True),
        (f"{{ movies(first: 1) {{ nodes {{ {unknown} }} }} }}", False),
        (f"query Q{number} {{ movies {{ nodes {{ {_FIELDS} similar {{ {many} }} }} }} }}", True),
        (f"query Q{number} {{ movies(first: {number}", False),
        (f"query ($a{number}: Boolean!) {{ genres {{ id name @skip(if: $a{number}) }} }}", True),
        (f'{{ movie(by: {{id: "movie_1"}}) {deep} }}', False),
        (
            f'{{ movie(by: {{id: "movie_{number}"}}) {{ ...F }} }} fragment F on Movie {{ id }}',
            True,
        ),
        (f'{{ node(id: "{"x" * 129}{number}") {{ id }} }}', False),
        (f"mutation M{number} {{ logout {{ errors {{ code }} }} }}", True),
        (f"query Q{number} {{ ...F }} fragment F on Query {{ ...F }}", False),
    )
    return documents[number % len(documents)]


def resident_bytes() -> int:
    """Read the memory of this process, once what nobody uses is collected."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


async def _send(client: httpx.AsyncClient, number: int) -> None:
    """Send one document, every third with its id as clients register it."""
    text, is_valid = write_document(number)
    body: dict[str, Any] = {"query": text, "variables": {f"a{number}": True}}
    if number % 3 == 0:
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        body["extensions"] = {"persistedQuery": {"version": 1, "sha256Hash": sha256}}
    answer = (await client.post("/graphql", json=body)).json()
    if is_valid:
        assert "data" in answer, (text, answer)
    else:
        assert {error["extensions"]["code"] for error in answer["errors"]} <= _CODES, answer
        assert "data" not in answer, (text, answer)


async def _run(settings: Settings, documents: int) -> bool:
    """Send the documents and print the memory; return whether it is within its bound."""
    async with open_runtime(settings) as runtime:
        await models.apply_indexes()
        async with connect_runtime(runtime) as client:
            start = resident_bytes()
            for number in range(documents):
                await _send(client, number)
                if number % _REPORT_EVERY == _REPORT_EVERY - 1:
                    print(f"{number + 1} documents: {resident_bytes() / 1e6:.0f} MB", flush=True)
            end = resident_bytes()
    print(f"{documents} documents: {start / 1e6:.0f} MB at first, {end / 1e6:.0f} MB at last")
    return end < MOST_BYTES


@contextmanager
def _stores() -> Iterator[dict[str, str]]:
    """Addresses of MongoDB and Redis: those of the environment, or of two that are ours."""
    if "MONGODB_URI" in os.environ:
        yield {}
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="marquee-")))
        mongod = servers.start_mongod(folder / "mongo", binary=servers.find_mongod(None))
        stack.enter_context(mongod)
        asyncio.run(ensure_initiated(mongod.uri))
        redis_binary = servers.find_redis_server(None)
        redis = servers.start_redis(folder / "redis", binary=redis_binary, persist=False)
        stack.enter_context(redis)
        yield {"mongodb_uri": mongod.uri, "redis_url": redis.uri, "data_dir": str(folder / "data")}


def main() -> int:
    parser = argparse.ArgumentParser(description="Memory left by distinct documents.")
    parser.add_argument("--documents", type=int, default=100_000)
    documents: int = parser.parse_args().documents
    with _stores() as stores:
        settings = Settings(
            _env_file=None,
            rate_limit_mode="off",  # the documents come from one address
            throttles=False,
            abuse_mode="log",
            redis_timeout_ms=2_000,
            mongodb_timeout_ms=20_000,
            **stores,
        )
        return 0 if asyncio.run(_run(settings, documents)) else 1


if __name__ == "__main__":
    sys.exit(main())
