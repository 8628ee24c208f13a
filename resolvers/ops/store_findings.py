"""Findings of the stores for `check` and for the start: access, kind of deployment, indexes.

At the start each is logged once, as soon as its store answers; no start waits for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import models
from resolvers.context import Runtime
from services.errors import UpstreamUnavailable
from services.production_check import Finding, Severity
from services.redis.access import find_refusal
from services.redis.link import RedisLink
from services.redis.pool import Failure
from services.supervision import SupervisedTask
from services.telemetry.logs import get_logger

_RETRY_SECONDS = 2.0
_START = "start it, or name another"

log = get_logger("store_findings")
StoreCheck = Callable[[], Awaitable[list[Finding]]]


class StoreAway(Exception):
    """The store did not answer, so nothing is known of it."""


async def list_mongodb_findings() -> list[Finding]:
    """Findings of the connected MongoDB.

    Raises:
        StoreAway: it did not answer.
    """
    try:
        is_replicated = await models.is_replicated()
        plans = await models.plan_indexes()
    except UpstreamUnavailable as error:
        refusal = models.latest_refusal()
        if refusal is None:
            raise StoreAway from error
        problem = f"refuses what the API needs: {refusal.name} ({refusal.code})"
        return [Finding(Severity.REFUSED, "MONGODB_URI", problem, refusal.why)]
    missing = [f"{plan.collection}.{name}" for plan in plans for name in plan.missing]
    changed = [f"{plan.collection}.{name}" for plan in plans for name in plan.changed]
    return [
        *([] if is_replicated else [_stand_alone()]),
        *_index_findings("lacks indexes", missing),
        *_index_findings("has old definitions of indexes", changed),
    ]


def _stand_alone() -> Finding:
    problem = "is a stand-alone server: it loses acknowledged writes and has no transactions"
    return Finding(
        Severity.WARNING, "MONGODB_URI", problem, "make it a replica set, of one if need be"
    )


def _index_findings(problem: str, names: list[str]) -> list[Finding]:
    if not names:
        return []
    remedy = "run `python -m server indexes apply`"
    return [Finding(Severity.WARNING, "MONGODB_URI", f"{problem}: {', '.join(names)}", remedy)]


async def list_redis_findings(redis: RedisLink, setting: str) -> list[Finding]:
    """Findings of the access to a Redis server.

    Raises:
        StoreAway: it did not answer.
    """
    try:
        refusal = await find_refusal(redis)
    except Failure as error:
        raise StoreAway from error
    if refusal is None:
        return []
    return [Finding(Severity.REFUSED, setting, f"is refused: {refusal}", "correct the address")]


def build_away_finding(setting: str) -> Finding:
    """The finding of a store that does not answer."""
    return Finding(Severity.REFUSED, setting, "does not answer", _START)


@asynccontextmanager
async def warn_about_stores(runtime: Runtime) -> AsyncIterator[None]:
    """Log what is wrong with each store, once, while the context is open."""
    checks: list[StoreCheck] = [
        list_mongodb_findings,
        lambda: list_redis_findings(runtime.redis, "REDIS_URL"),
    ]
    if runtime.state_redis is not runtime.redis:
        checks.append(lambda: list_redis_findings(runtime.state_redis, "STATE_REDIS_URL"))
    task = SupervisedTask("store findings", lambda: _warn_once(checks))
    task.start()
    try:
        yield
    finally:
        await task.aclose()


async def _warn_once(checks: list[StoreCheck]) -> None:
    """Make each check until its store has answered, then wait for the end of the process."""
    while checks:
        for check in list(checks):
            try:
                findings = await check()
            except StoreAway:
                continue
            checks.remove(check)
            for one in findings:
                log.warning("store_unfit", setting=one.setting, what=one.problem, why=one.remedy)
        await asyncio.sleep(_RETRY_SECONDS)
    await asyncio.Event().wait()
