"""python -m bench live: what a live message costs, beside graphql-ws on Node.

N subscribers to liveMetrics over graphql-transport-ws, an event a second; CPU of the server's
process tree per delivered message, memory per connection, and when messages arrive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.databases import Addresses
from bench.install import install_peers
from bench.live_clients import connect
from bench.losses import Comparison
from bench.processes import cpu_seconds, memory_bytes
from bench.running import Running, servers
from bench.tables import number, table
from bench.targets import NODE, PEERS, TARGETS, UNCACHED, Target
from services.accounts.token_keys import generate_pem, open_keys
from services.accounts.tokens import AccessTokens
from services.settings.settings import Settings

OURS, PEER = "ours-live", "graphql-ws"
_SECONDS = 10.0
_SETTLE_SECONDS = 3.0
_SOCKETS_PER_VIEWER = 50
QUERY = """subscription Live { liveMetrics { cursor gap points {
  at requestsPerSecond errorRate p50Ms p95Ms p99Ms databaseP95Ms activeConnections activeStreams
  progressBacklog progressLagSeconds cache { level hits misses stale hitRate } } } }"""


@dataclass(frozen=True)
class Round:
    """One server with so many subscribers."""

    server: str
    subscribers: int
    microseconds: float  # CPU per delivered message
    kibibytes: float  # resident memory per connection
    fewest: int  # messages of a subscriber
    most: int
    lag_p95_ms: float


def live(
    addresses: Addresses,
    folder: Path,
    more: dict[str, str],
    rounds: int,
    say: Callable[[str], None],
    sizes: Sequence[int] = (1_000, 10_000),
) -> str:
    """Measure both servers in turn; returns the result, a line per number of subscribers."""
    install_peers(_targets(), folder)
    results = measure_live(addresses, folder, more, rounds, say, sizes)
    return "\n".join(summary([one for one in results if one.subscribers == size]) for size in sizes)


def measure_live(
    addresses: Addresses,
    folder: Path,
    more: dict[str, str],
    rounds: int,
    say: Callable[[str], None],
    sizes: Sequence[int],
) -> list[Round]:
    """Both servers in turn, each started anew, round by round."""
    pem = generate_pem()
    ours = {
        "JWT_PRIVATE_KEYS": pem,
        "RATE_LIMIT_MODE": "off",  # thousands subscribe at once, from one address
        "ABUSE_MODE": "off",
        "SOCKETS_PER_VIEWER": str(_SOCKETS_PER_VIEWER),
        "SOCKETS_PER_ADDRESS": "20000",
        "CONNECTIONS_PER_ADDRESS": "20000",
        **more,
    }
    results: list[Round] = []
    for at in range(rounds):
        for size in sizes:
            for target in _targets():
                with servers([target], addresses, folder, ours) as (server,):
                    result = asyncio.run(_measure(server, size, _token_maker(pem)))
                results.append(result)
                say(f"  {at + 1} {describe(result)}")
    return results


def _targets() -> list[Target]:
    ours = TARGETS[0]
    return [
        Target(OURS, UNCACHED, ours.command, ours.note, ours.environment, is_ours=True),
        Target(PEER, UNCACHED, (NODE, "graphql_ws/server.mjs"), "graphql-ws on ws", folder=PEERS),
    ]


def _token_maker(pem: str) -> Callable[[int], str]:
    """Tokens of operators, each for as many sockets as a viewer may have."""
    tokens = AccessTokens(
        open_keys(Settings(_env_file=None, jwt_private_keys=pem)), lifetime_seconds=86_400
    )
    now = time.time()

    def issue(number: int) -> str:
        user = f"user_bench{number // _SOCKETS_PER_VIEWER}"
        return tokens.issue(
            user_id=user, role="OPERATOR", tier="FREE", login_id=f"login_{user}", now=now
        )

    return issue


async def _measure(server: Running, size: int, token_for: Callable[[int], str]) -> Round:
    pid = server.child.process.pid
    before = memory_bytes(pid)
    counts, clients = await connect(server.port, size, QUERY, token_for)
    await asyncio.sleep(_SETTLE_SECONDS)
    memory = memory_bytes(pid) - before
    counts.reset()
    used = cpu_seconds(pid)
    await asyncio.sleep(_SECONDS)
    used, received, lags = cpu_seconds(pid) - used, list(counts.by_client), sorted(counts.lags)
    for client in clients:
        client.transport.abort()
    await asyncio.sleep(0.5)
    return Round(
        server.name,
        size,
        1e6 * used / max(1, sum(received)),
        memory / size / 1024,
        min(received),
        max(received),
        1000 * lags[int(0.95 * len(lags))] if lags else 0.0,
    )


def describe(one: Round) -> str:
    """One measurement in a line."""
    return (
        f"{one.server}, {one.subscribers} subscribers: {one.microseconds:.1f} us a message, "
        f"{one.kibibytes:.1f} KiB a connection, {one.fewest}-{one.most} messages each, "
        f"95 % within {one.lag_p95_ms:.0f} ms"
    )


def summary(rounds: Sequence[Round]) -> str:
    """Medians of both servers, and theirs divided by ours."""
    cost = {
        name: median(one.microseconds for one in rounds if one.server == name)
        for name in (OURS, PEER)
    }
    ours = [one for one in rounds if one.server == OURS]
    return (
        f"{ours[0].subscribers} subscribers: {cost[OURS]:.1f} us a message, graphql-ws "
        f"{cost[PEER]:.1f} (theirs / ours {cost[PEER] / cost[OURS]:.2f}); "
        f"{median(one.kibibytes for one in ours):.1f} KiB a connection; 95 % delivered within "
        f"{median(one.lag_p95_ms for one in ours):.0f} ms."
    )


def live_table(rounds: Sequence[Round]) -> str:
    """Medians of each server at each number of subscribers."""
    head = ["server", "subscribers", "CPU-us a message", "KiB a connection", "95 % within"]
    kinds = dict.fromkeys((one.server, one.subscribers) for one in rounds)
    return table(head, [_row([o for o in rounds if (o.server, o.subscribers) == k]) for k in kinds])


def _row(rounds: Sequence[Round]) -> list[str]:
    return [
        rounds[0].server,
        str(rounds[0].subscribers),
        number(median(one.microseconds for one in rounds)),
        number(median(one.kibibytes for one in rounds)),
        f"{median(one.lag_p95_ms for one in rounds):.0f} ms",
    ]


def compare_live(rounds: Sequence[Round]) -> list[Comparison]:
    """CPU-ms a delivered message, ours beside the peer, at each number of subscribers."""
    comparisons = []
    for size in dict.fromkeys(one.subscribers for one in rounds):
        ours, theirs = (
            [one.microseconds / 1000 for one in rounds if (one.server, one.subscribers) == key]
            for key in ((OURS, size), (PEER, size))
        )
        ratios = tuple(peer / own for peer, own in zip(theirs, ours, strict=True) if own)
        comparisons.append(
            Comparison(
                f"live message, {size} subscribers", "sockets", OURS, PEER, median(ours),
                median(theirs), ratios, "graphql-ws on Node, sends one object from memory",
            )
        )  # fmt: skip
    return comparisons
