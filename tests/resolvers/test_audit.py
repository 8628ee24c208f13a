"""The audit log: who did what to whom, from where; never a secret, never in the way."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from models import AuditEvent
from resolvers import audit
from resolvers.catalog import edits, invalidation
from resolvers.context import Context, Runtime, Viewer
from resolvers.ops import jobs
from resolvers.sources import breakers
from services.breaker.breaker import BreakerState
from services.errors import Forbidden, NotFound
from services.settings.settings import Settings
from services.telemetry.metrics import REGISTRY
from tests.support.processes import until
from tests.support.titles import film, film_id, genre, store

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def as_(runtime: Runtime, role: models.Role) -> Context:
    viewer = Viewer("user_ada", role, models.AccountTier.FREE, "login_1")
    at_noon = replace(runtime, clock=NOW.timestamp)
    return Context(at_noon, viewer, request_id="request-1", client_address="203.0.113.77")


async def entries() -> list[models.AuditEntryRecord]:
    return await models.audit_entries(100)


def lost_so_far() -> float:
    return REGISTRY.get_sample_value("audit_entries_total", {"outcome": "lost"}) or 0.0


async def test_an_entry_says_who_did_what_to_whom_when_and_from_where(runtime: Runtime) -> None:
    # given an operator at noon
    context = as_(runtime, models.Role.OPERATOR)
    # when something is recorded
    await audit.record(context, AuditEvent.CACHE_PURGED, subject="movie_1", entries=3, soft=True)
    # then all of it is there, but of the address only its network
    [entry] = await entries()
    assert (entry.event, entry.actor, entry.subject) == (
        AuditEvent.CACHE_PURGED,
        "user_ada",
        "movie_1",
    )
    assert (entry.request_id, entry.address, entry.at) == ("request-1", "203.0.113.0", NOW)
    assert entry.facts == {"entries": 3, "soft": True}


async def test_one_entry_costs_one_insert(runtime: Runtime, count_commands: Any) -> None:
    await count_commands.reset()
    await audit.record(as_(runtime, models.Role.USER), AuditEvent.SIGNED_IN)
    assert count_commands.mongo == ["audit.insert"]


async def test_a_fact_with_a_secrets_name_is_blanked_and_long_ones_are_cut(
    context: Context,
) -> None:
    # when facts are secret, long, many in a list, and no text at all
    await audit.record(
        context,
        AuditEvent.SIGN_IN_REFUSED,
        password="hunter2",
        api_key="marquee_abc",
        reason="x" * 500,
        tags=["y" * 300] * 80,
        odd="half \ud800 a pair",
    )
    # then the secrets are blank, the rest is bounded and stored
    [entry] = await entries()
    assert entry.facts == {
        "password": "***",
        "api_key": "***",
        "reason": "x" * 200,
        "tags": ["y" * 200] * 50,
        "odd": "half ? a pair",
    }


async def test_nobody_signed_in_and_no_address_are_none(context: Context) -> None:
    await audit.record(context, AuditEvent.SIGN_IN_REFUSED)
    [entry] = await entries()
    assert (entry.actor, entry.subject, entry.address, entry.facts) == (None, None, None, {})


@pytest.mark.parametrize("days,expires_at", [(30, NOW + timedelta(days=30)), (0, None)])
async def test_an_entry_is_stored_for_audit_days(
    runtime: Runtime, settings: Settings, days: int, expires_at: datetime | None
) -> None:
    # given a house that keeps entries so long
    changed = settings.model_copy(update={"audit_days": days})
    there = replace(runtime, settings=changed, clock=NOW.timestamp)
    # when something is recorded
    await audit.record(Context(there), AuditEvent.SIGNED_IN)
    # then MongoDB is told when to drop it
    row = await models.AuditEntry.get_pymongo_collection().find_one({})
    assert row is not None
    assert row["expires_at"] == expires_at
    indexes = await models.AuditEntry.get_pymongo_collection().index_information()
    assert indexes["expires"]["expireAfterSeconds"] == 0


def test_the_log_can_only_be_added_to_and_read() -> None:
    # given all that models has for it
    functions = {
        name
        for name, each in vars(models.ops.audit).items()
        if inspect.iscoroutinefunction(each) and each.__module__ == "models.ops.audit"
    }
    # then one adds and one reads
    assert functions == {"insert_audit_entry", "audit_entries"}
    source = inspect.getsource(models.ops.audit)
    assert not [word for word in ("update_", "delete_", "replace_", "save(") if word in source]


async def test_a_database_that_refuses_does_not_fail_the_operation(runtime: Runtime) -> None:
    # given a database that takes no entry
    database = models.AuditEntry.get_pymongo_collection().database
    lost = lost_so_far()
    await models.audit_entries(1)
    await database.command("collMod", "audit", validator={"event": "NOTHING"})
    try:
        # when something is recorded
        await audit.record(Context(runtime), AuditEvent.SIGNED_IN)
        # then the entry is counted as lost, and nobody but the log hears of it
        assert lost_so_far() == lost + 1
        assert await entries() == []
    finally:
        await database.command("collMod", "audit", validator={})


async def test_more_at_once_than_may_wait_go_to_the_log_at_once(runtime: Runtime) -> None:
    # given many operations that record at the same moment
    context = as_(runtime, models.Role.USER)
    lost = lost_so_far()
    # when all of them do
    await asyncio.gather(*(audit.record(context, AuditEvent.SIGNED_IN) for _ in range(150)))
    # then as many are stored as may be under way, and the rest is counted
    assert len(await models.audit_entries(1000)) == 100
    assert lost_so_far() == lost + 50


async def test_an_operation_that_is_given_up_is_recorded_all_the_same(runtime: Runtime) -> None:
    # given an operation that records
    task = asyncio.create_task(audit.record(as_(runtime, models.Role.USER), AuditEvent.SIGNED_IN))
    await asyncio.sleep(0)
    # when it is cancelled meanwhile
    task.cancel()
    await asyncio.wait({task})
    # then the entry is there

    async def is_there() -> bool:
        return len(await entries()) == 1

    await until(is_there)


# ---- what takes a right is recorded

Act = Callable[[Context], Awaitable[Any]]
SAVED = {"title": "Tide", "genres": ["drama"]}


def _purge(context: Context) -> Awaitable[Any]:
    return invalidation.purge(context, ["movies:all"], soft=False)


PRIVILEGED: list[tuple[models.Role, Act, AuditEvent, str | None, dict[str, Any]]] = [
    (
        models.Role.EDITOR,
        lambda c: edits.upsert_movie(c, SAVED, id_=film_id(1)),
        AuditEvent.MOVIE_SAVED,
        film_id(1),
        {"is_new": False, "fields": ["genre_ids", "sort_title", "title"], "version": 2},
    ),
    (
        models.Role.EDITOR,
        lambda c: edits.delete_movie(c, film_id(1)),
        AuditEvent.MOVIE_DELETED,
        film_id(1),
        {},
    ),
    (
        models.Role.OPERATOR,
        _purge,
        AuditEvent.CACHE_PURGED,
        None,
        {"tags": ["movies:all"], "soft": False, "entries": 0},
    ),
    (
        models.Role.OPERATOR,
        lambda c: jobs.warm_cache(c, 5),
        AuditEvent.CACHE_WARMED,
        "job_",
        {"films": 5},
    ),
    (models.Role.OPERATOR, jobs.flush_progress, AuditEvent.PROGRESS_FLUSHED, "job_", {}),
    (
        models.Role.OPERATOR,
        lambda c: breakers.set_breaker(c, "breaker_test", BreakerState.CLOSED, "it hangs"),
        AuditEvent.BREAKER_SET,
        "breaker_test",
        {"state": "CLOSED", "reason": "it hangs"},
    ),
]


@pytest.mark.parametrize(
    "role,act,event,subject,facts", PRIVILEGED, ids=[case[2].value for case in PRIVILEGED]
)
async def test_what_takes_a_right_is_recorded(
    runtime: Runtime,
    role: models.Role,
    act: Act,
    event: AuditEvent,
    subject: str | None,
    facts: dict[str, Any],
) -> None:
    # given a film, a breaker and somebody with the right
    await store([film(1), genre("drama")])
    runtime.sources.breakers.of("test")
    # when it is used
    await act(as_(runtime, role))
    # then there is one entry, of this person
    [entry] = await entries()
    assert (entry.event, entry.actor, entry.facts) == (event, "user_ada", facts)
    assert entry.subject == subject or (entry.subject or "").startswith(subject or "-")


async def test_what_is_refused_or_fails_is_not_recorded_as_done(runtime: Runtime) -> None:
    # when somebody lacks the right, and somebody with it names no film
    with pytest.raises(Forbidden):
        await edits.delete_movie(as_(runtime, models.Role.USER), film_id(1))
    with pytest.raises(NotFound):
        await edits.delete_movie(as_(runtime, models.Role.EDITOR), film_id(1))
    # then nothing was done, and nothing says so
    assert await entries() == []
