"""The measured servers: how each is started and which one of ours it is compared with."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.databases import Addresses
from bench.dataset import DATABASE, ROOT
from services.accounts.token_keys import generate_pem

PEERS = Path(__file__).parent / "peers"
PUBLIC_URL = "http://media.bench"  # images have no host, in ours and in the peers
UNCACHED, CACHED = "uncached", "cached"


@dataclass(frozen=True)
class Target:
    name: str
    group: str
    command: Sequence[str]
    note: str
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT
    is_ours: bool = False
    is_persisted: bool = False  # operations are sent by hash after the first time
    by_default: bool = True


def _ours(
    name: str,
    group: str,
    note: str,
    *,
    is_persisted: bool = False,
    executor: str = "plan",
    tiers: str | None = None,
) -> Target:
    tiers = tiers or ("none" if group == UNCACHED else "answers,memory,redis")
    return Target(
        name,
        group,
        (sys.executable, "-m", "server", "serve"),
        note,
        {"CACHE_TIERS": tiers, "GRAPHQL_EXECUTOR": executor},
        is_ours=True,
        is_persisted=is_persisted,
        by_default=executor == "plan",
    )


def _node(name: str, peer: str, note: str, **environment: str) -> Target:
    group = CACHED if "CACHE" in environment else UNCACHED
    command = ("node", f"{peer}/server.mjs")
    return Target(name, group, command, note, environment, PEERS, by_default="-heap" not in name)


def _python(name: str, peer: str, note: str, **environment: str) -> Target:
    return Target(name, UNCACHED, ("peer-python", f"{peer}/server.py"), note, environment, PEERS)


_PROJECTED = {"LOADER_CACHE": "off", "PROJECTION": "on"}
_YOUNG = {"NODE_OPTIONS": "--max-semi-space-size=64"}

TARGETS: tuple[Target, ...] = (
    _ours("ours", UNCACHED, "CACHE_TIERS=none"),
    _ours("ours-core", UNCACHED, "the same, run by graphql-core", executor="core"),
    _node("mercurius", "mercurius", "Fastify 5, JIT, loaders with their cache"),
    _node("mercurius-nolc", "mercurius", "the same, loaders' cache off", LOADER_CACHE="off"),
    _node("yoga", "yoga", "parser and validation cache, graphql-jit"),
    _node("yoga-heap", "yoga", "the same with --max-semi-space-size=64", **_YOUNG),
    _node("mercurius-nolc-heap", "mercurius", "the same", LOADER_CACHE="off", **_YOUNG),
    _node("yoga-projected", "yoga", "yoga with projections by hand", PROJECTION="on"),
    _node("mercurius-projected", "mercurius", "mercurius-nolc, the same", **_PROJECTED),
    _node("apollo", "apollo", "Express 5 integration, dataloader"),
    _python("strawberry", "strawberry_beanie", "with Beanie and its DataLoader, as documented"),
    _python("strawberry-pc", "strawberry_beanie", "with its parser caches", QUERY_CACHE="on"),
    _python("ariadne", "ariadne_pymongo", "with PyMongo and aiodataloader"),
    _ours("ours-cache", CACHED, "answers, memory and Redis tiers"),
    _ours("ours-entities", CACHED, "no whole answers: executed every time", tiers="memory,redis"),
    _ours("ours-cache-persisted", CACHED, "the same, operations by hash", is_persisted=True),
    _node("mercurius-cache", "mercurius", "mercurius-cache, memory", CACHE="memory"),
    _node("yoga-cache", "yoga", "response cache, memory", CACHE="memory"),
    _node("apollo-cache", "apollo", "response cache plugin, memory", CACHE="memory"),
)


def choose_targets(names: Sequence[str] | None) -> list[Target]:
    """The targets of these names in the table's order; the default ones without names.

    Raises:
        ValueError: a name is not in the table.
    """
    unknown = set(names or ()) - {target.name for target in TARGETS}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    return [t for t in TARGETS if (t.name in names if names else t.by_default)]


def settings(
    target: Target, addresses: Addresses, port: int, more: Mapping[str, str]
) -> dict[str, str]:
    """The environment a target is started with; `more` goes to our servers only."""
    shared = {
        "PORT": str(port),
        "MONGODB_URI": addresses.mongodb_uri,
        "MONGODB_DATABASE": DATABASE,
        "REDIS_URL": addresses.redis_url,
    }
    if not target.is_ours:
        peer = {"NODE_ENV": "production", "POSTER_BASE": ""}
        return {**shared, **peer, **target.environment}
    ours = {
        "ENVIRONMENT": "production",
        "LOG_LEVEL": "warning",
        "RATE_LIMIT_MODE": "off",  # the load comes from one address; the peers count nothing
        "PUBLIC_URL": PUBLIC_URL,
        "JWT_SECRET": secrets.token_hex(32),
        "JWT_PRIVATE_KEYS": generate_pem(),
        "ABUSE_MODE": "off",  # all load comes from one address
        "EMAIL_VERIFICATION_REQUIRED": "false",  # its viewers sign up and play at once
        "ACCESS_TOKEN_SECONDS": "86400",  # one sign-in lasts the whole bench
        "DATA_DIR": str(ROOT / ".data/bench/ours"),
    }
    return {**shared, **ours, **target.environment, **more}
