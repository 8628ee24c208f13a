"""The films and people every server reads: loaded once by the product's own `seed` command."""

from __future__ import annotations

import bisect
import itertools
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import DESCENDING, MongoClient

from bench.databases import Addresses
from bench.processes import BenchError, clean_environment

DATABASE = "marquee_bench"  # never the database of a given MongoDB's real data
MOVIES, PEOPLE = 10_000, 20_000
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Dataset:
    """Active films, the most popular first."""

    movie_ids: list[str]
    runtime_seconds: dict[str, int]

    def zipf_ids(self, count: int) -> list[str]:
        """Ids by popularity with exponent 1.0, the same list in every run."""
        weights = list(itertools.accumulate(1 / rank for rank in range(1, len(self.movie_ids) + 1)))
        chance = random.Random(2026)
        picks = (chance.random() * weights[-1] for _ in range(count))
        return [self.movie_ids[bisect.bisect(weights, pick)] for pick in picks]


def load(addresses: Addresses, *, seed: bool) -> Dataset:
    """What is stored, after seeding when the database holds too little."""
    with MongoClient[dict[str, Any]](addresses.mongodb_uri) as client:
        database = client[DATABASE]
        if database.movies.estimated_document_count() < MOVIES:
            if not seed:
                raise BenchError(f"{DATABASE} holds fewer than {MOVIES} films.")
            _run(addresses, "seed", "--movies", str(MOVIES), "--people", str(PEOPLE))
        # A database kept from before may lack indexes that queries are told to walk.
        _run(addresses, "indexes", "apply")
        order = [("popularity", DESCENDING), ("_id", DESCENDING)]
        rows = list(database.movies.find({"is_active": True}, {"runtime_seconds": 1}).sort(order))
    return Dataset(
        movie_ids=[row["_id"] for row in rows],
        runtime_seconds={row["_id"]: row.get("runtime_seconds") or 6000 for row in rows},
    )


def _run(addresses: Addresses, *arguments: str) -> None:
    command = [sys.executable, "-m", "server", *arguments]
    environment = {
        "MONGODB_URI": addresses.mongodb_uri,
        "MONGODB_DATABASE": DATABASE,
        "MONGODB_TIMEOUT_MS": "60000",
        "REDIS_URL": addresses.redis_url,
    }
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{arguments[0]} failed:\n{(done.stderr or done.stdout)[-2000:]}")
