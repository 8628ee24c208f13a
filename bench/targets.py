"""The measured servers: how each is started and which one of ours it is compared with."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.dataset import ROOT

PEERS = Path(__file__).parent / "peers"
UNCACHED, CACHED, MEMORY = "uncached", "cached", "from memory"
GROUPS = (UNCACHED, CACHED, MEMORY)
NODE, BUN, PEER_PYTHON = "newest node", "bun", "peer python"


@dataclass(frozen=True)
class Target:
    """A server to start.

    Args:
        command: a program, or one of NODE, BUN and PEER_PYTHON (install.py), and its arguments.
        also: a second group whose tables it is in.
        items: names of the only items it answers; None: all of its groups.
        redis_of: the target whose Redis database and sessions it shares.
    """

    name: str
    group: str
    command: Sequence[str]
    note: str
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT
    is_ours: bool = False
    by_default: bool = True
    also: str | None = None
    items: tuple[str, ...] | None = None
    redis_of: str | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        return (self.group,) if self.also is None else (self.group, self.also)


def _ours(name: str, group: str, note: str, *, tiers: str, **environment: str) -> Target:
    return Target(
        name,
        group,
        (sys.executable, "-m", "server", "serve"),
        note,
        {"CACHE_TIERS": tiers, **environment},
        is_ours=True,
        by_default=not environment,
    )


def _peer(name: str, peer: str, note: str, program: str = NODE, **environment: str) -> Target:
    group = CACHED if "CACHE" in environment else UNCACHED
    command = (program, f"{peer}/server.mjs")
    return Target(name, group, command, note, environment, PEERS)


def _python(name: str, peer: str, note: str, **environment: str) -> Target:
    return Target(name, UNCACHED, (PEER_PYTHON, f"{peer}/server.py"), note, environment, PEERS)


def _rarely(target: Target) -> Target:
    """Measured only when `--servers` names it."""
    return replace(target, by_default=False)


_BY_HAND = {"PROJECTION": "on"}
_MERCURIUS_BY_HAND = {"PROJECTION": "on", "LOADER_CACHE": "off"}
_YOUNG = {"NODE_OPTIONS": "--max-semi-space-size=64"}
_OPEN = {"RATE_LIMIT_MODE": "off", "ABUSE_MODE": "off", "LOG_LEVEL": "warning"}

TARGETS: tuple[Target, ...] = (
    _ours("ours", UNCACHED, "no tier: every request reads MongoDB", tiers="none"),
    _ours("ours-core", UNCACHED, "run by graphql-core", tiers="none", GRAPHQL_EXECUTOR="core"),
    _ours("ours-open", UNCACHED, "no limits, no request log", tiers="none", **_OPEN),
    _peer("mercurius", "mercurius", "Fastify 5, JIT, loaders with their cache"),
    _peer(
        "mercurius-projected",
        "mercurius",
        "Mercurius, fields selected by hand",
        **_MERCURIUS_BY_HAND,
    ),
    _peer(
        "mercurius-projected-bun", "mercurius", "the same files on Bun", BUN, **_MERCURIUS_BY_HAND
    ),
    _rarely(_peer("mercurius-nolc", "mercurius", "loaders' cache off", LOADER_CACHE="off")),
    _peer("yoga", "yoga", "parser and validation cache, graphql-jit"),
    _peer("yoga-projected", "yoga", "Yoga, fields selected by hand", **_BY_HAND),
    _peer("yoga-projected-bun", "yoga", "the same files on Bun's own server", BUN, **_BY_HAND),
    _rarely(_peer("yoga-heap", "yoga", "young generation of 64 MiB", **_BY_HAND, **_YOUNG)),
    _peer("apollo", "apollo", "Express 5 integration, dataloader"),
    _peer("apollo-projected", "apollo", "Apollo, fields selected by hand", **_BY_HAND),
    _peer("grafserv", "grafserv", "Grafast's plans, which select fields by themselves"),
    _peer("bare-node", "bare", "graphql-jit on node:http, by hand, no framework", **_BY_HAND),
    _peer("bare-bun", "bare", "graphql-jit on Bun.serve, by hand, no framework", BUN, **_BY_HAND),
    replace(
        _peer("mercurius-same-work", "mercurius", "checks our token, calls our own Lua script"),
        items=("progress",),
        redis_of="ours",
    ),
    _rarely(_python("strawberry", "strawberry_beanie", "Beanie and its DataLoader, as documented")),
    _python("strawberry-pc", "strawberry_beanie", "with its parser caches", QUERY_CACHE="on"),
    _python("ariadne", "ariadne_pymongo", "PyMongo and aiodataloader"),
    _ours("ours-cache", CACHED, "answers, memory and Redis tiers", tiers="answers,memory,redis"),
    _ours("ours-entities", MEMORY, "executed each time, records in memory", tiers="memory,redis"),
    replace(
        _peer("mercurius-cache", "mercurius", "keeps what resolvers return", CACHE="memory"),
        also=MEMORY,
    ),
    _peer("yoga-cache", "yoga", "keeps whole answers in memory", CACHE="memory"),
    _peer("apollo-cache", "apollo", "keeps whole answers in memory", CACHE="memory"),
)


def choose_targets(names: Sequence[str] | None) -> list[Target]:
    """The targets of these names in the table's order; the default ones without names.

    Raises:
        ValueError: a name is not in the table, or a target is left out whose Redis another shares.
    """
    unknown = set(names or ()) - {target.name for target in TARGETS}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    chosen = [t for t in TARGETS if (t.name in names if names else t.by_default)]
    for target in chosen:
        if target.redis_of and target.redis_of not in {other.name for other in chosen}:
            raise ValueError(f"{target.name} needs {target.redis_of}")
    return chosen
