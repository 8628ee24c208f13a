"""Jobs on real stores: queued, run once, told, taken over from workers that died."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from models import JobRecord, JobState, Role
from resolvers import job_queue
from resolvers.context import Context, Runtime, Viewer
from resolvers.job_queue import JobKind
from resolvers.ops import jobs
from resolvers.playback import reports
from services.errors import Conflict, Forbidden, NotFound, RateLimited, ValidationFailed
from services.redis import pool
from services.telemetry import metrics
from tests.support import fake_tmdb, worker_process
from tests.support.fake_tmdb import FakeTmdb
from tests.support.playback_fixtures import film, read_stored_progress, start_new_session, viewer_of
from tests.support.runtimes import with_changes
from workers import Worker, run_workers
from workers.import_tmdb import import_tmdb
from workers.run_jobs import MAX_ATTEMPTS, JobProgress, Runner, run_jobs

Seen = tuple[JobState, int, int | None]


def by(runtime: Runtime, role: Role) -> Context:
    return Context(runtime, Viewer("user_1", role, models.AccountTier.FREE, "login_1"))


async def read(job: JobRecord) -> JobRecord:
    return (await models.find_by_id(models.Job, JobRecord, [job.id]))[job.id]


def runners(run: Runner) -> dict[str, Runner]:
    return {JobKind.FLUSH_PROGRESS.value: run}


async def queued(runtime: Runtime) -> JobRecord:
    return await job_queue.start(runtime, JobKind.FLUSH_PROGRESS, created_by="user_1")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.01)


async def until_running(job: JobRecord) -> None:
    async def runs() -> bool:
        return (await read(job)).state is JobState.RUNNING

    await until(runs)


def later(runtime: Runtime, seconds: float) -> Runtime:
    """The same stores, so much later."""
    at = runtime.clock() + seconds
    return replace(runtime, clock=lambda: at)


async def test_a_job_is_queued_run_and_reported(runtime: Runtime) -> None:
    # given a job that counts to three
    job = await queued(runtime)
    assert (job.state, job.done, job.total, job.started_at) == (JobState.QUEUED, 0, None, None)

    async def count(_: Runtime, arguments: Mapping[str, Any], progress: JobProgress) -> str | None:
        assert arguments == {}
        progress(3, 3)
        return None

    before = metrics.jobs_finished_total.labels("flush_progress", "SUCCEEDED")._value.get()
    # when a worker comes along
    assert await run_jobs(runtime, "one", runners(count)) == 1
    # then it is done, and there is nothing more to do
    record = await read(job)
    assert (record.state, record.done, record.total, record.error) == (
        JobState.SUCCEEDED,
        3,
        3,
        None,
    )
    assert record.started_at is not None and record.finished_at is not None
    assert record.started_at <= record.finished_at
    after = metrics.jobs_finished_total.labels("flush_progress", "SUCCEEDED")._value.get()
    assert after == before + 1
    assert await run_jobs(runtime, "one", runners(count)) == 0


async def test_many_workers_run_each_job_once_and_one_at_a_time(runtime: Runtime) -> None:
    # given twelve jobs and three workers
    ran: list[str] = []
    busy: dict[str, int] = {}

    def of(worker: str) -> dict[str, Runner]:
        async def run(_: Runtime, arguments: Mapping[str, Any], __: JobProgress) -> None:
            busy[worker] = busy.get(worker, 0) + 1
            assert busy[worker] == 1
            await asyncio.sleep(0.01)
            ran.append(arguments["name"])
            busy[worker] -= 1

        return runners(run)

    for number in range(12):
        await job_queue.start(runtime, JobKind.FLUSH_PROGRESS, {"name": str(number)})
    # when they all work
    done = await asyncio.gather(*(run_jobs(runtime, name, of(name)) for name in "abc"))
    # then each ran once
    assert sum(done) == 12
    assert sorted(ran, key=int) == [str(number) for number in range(12)]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Conflict("It changed."), "It changed."),
        (ValueError("secret"), "Something went wrong on our side."),
        (TimeoutError(), "It took longer than an hour."),
    ],
)
async def test_a_failing_job_says_why(runtime: Runtime, error: Exception, message: str) -> None:
    job = await queued(runtime)

    async def fail(_: Runtime, __: Mapping[str, Any], progress: JobProgress) -> None:
        progress(1, 5)
        raise error

    await run_jobs(runtime, "one", runners(fail))
    record = await read(job)
    assert (record.state, record.error, record.done) == (JobState.FAILED, message, 1)


async def test_a_job_of_an_unknown_kind_fails(runtime: Runtime) -> None:
    job = await queued(runtime)
    await run_jobs(runtime, "one", {})
    assert (await read(job)).error == "This version runs no jobs of this kind."


async def test_a_lost_queue_entry_loses_no_job(runtime: Runtime) -> None:
    # given a job whose entry never reached the queue
    job = await queued(runtime)
    await runtime.redis.flushdb()
    # when a worker looks at once, then it is not yet its turn: the entry may be on its way
    done = runners(_nothing)
    assert await run_jobs(runtime, "one", done) == 0
    # and later it is found in MongoDB
    assert await run_jobs(later(runtime, 31), "one", done) == 1
    assert (await read(job)).state is JobState.SUCCEEDED


async def _nothing(_: Runtime, __: Mapping[str, Any], ___: JobProgress) -> None: ...


async def test_jobs_are_run_while_redis_is_away(runtime: Runtime) -> None:
    # given a worker whose Redis does not answer
    nowhere = runtime.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    away = pool.connect(nowhere)
    queue = type(runtime.ops.jobs.queue)(away)
    without_redis = with_changes(
        later(runtime, 31), ops={"jobs": replace(runtime.ops.jobs, queue=queue)}
    )
    job = await job_queue.start(replace(without_redis, clock=runtime.clock), JobKind.FLUSH_PROGRESS)
    # when it looks, then it finds the job in MongoDB
    assert await run_jobs(without_redis, "one", runners(_nothing)) == 1
    assert (await read(job)).state is JobState.SUCCEEDED
    await away.aclose()


async def test_a_job_of_a_dead_worker_is_finished_by_another(runtime: Runtime) -> None:
    # given a worker that dies in the middle of a job: it says nothing any more
    job = await queued(runtime)
    dead = await models.claim_job("dead", job_queue.now(runtime), _long_ago(), job.id)
    assert dead is not None and dead.attempts == 1
    # when another looks within 30 s, then the job is left alone
    assert await run_jobs(later(runtime, 29), "other", runners(_nothing)) == 0
    # and after that it is finished
    assert await run_jobs(later(runtime, 31), "other", runners(_nothing)) == 1
    record = await read(job)
    assert (record.state, record.attempts) == (JobState.SUCCEEDED, 2)
    assert record.started_at == dead.started_at
    # and what the dead one says when it wakes does not count
    end = models.JobEnd(JobState.FAILED, "late", 0, None)
    assert not await models.finish_job(job.id, "dead", job_queue.now(runtime), end)
    assert not await models.heartbeat_job(job.id, "dead", job_queue.now(runtime), 9, 9)
    assert await read(job) == record


def _long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=30)


async def test_a_worker_that_was_taken_for_dead_stops(runtime: Runtime) -> None:
    # given a worker in the middle of a job that never ends by itself
    job = await queued(runtime)
    ended = asyncio.Event()

    async def endless(_: Runtime, __: Mapping[str, Any], progress: JobProgress) -> None:
        try:
            for number in range(1000):
                progress(number, None)
                await asyncio.sleep(0.05)
        finally:
            ended.set()

    frozen = asyncio.create_task(run_jobs(runtime, "frozen", runners(endless)))
    await until_running(job)
    # when another one takes the job over
    assert await run_jobs(later(runtime, 60), "other", runners(_nothing)) == 1
    # then the first stops and changes nothing any more
    await asyncio.wait_for(ended.wait(), 5)
    await asyncio.wait_for(frozen, 5)
    assert (await read(job)).state is JobState.SUCCEEDED


async def test_a_job_that_kills_its_workers_is_given_up(runtime: Runtime) -> None:
    job = await queued(runtime)
    for number in range(MAX_ATTEMPTS):
        at = later(runtime, 31 * number)
        claimed = await models.claim_job(
            f"dead{number}", job_queue.now(at), job_queue.now(at) - timedelta(seconds=30), job.id
        )
        assert claimed is not None
    await run_jobs(later(runtime, 200), "other", runners(_nothing))
    record = await read(job)
    assert (record.state, record.error) == (
        JobState.FAILED, f"Given up: {MAX_ATTEMPTS} workers died over it.",
    )  # fmt: skip


async def test_a_shutdown_puts_the_job_back_for_another(runtime: Runtime) -> None:
    # given workers in the middle of a job
    job = await queued(runtime)

    async def endless(_: Runtime, __: Mapping[str, Any], progress: JobProgress) -> None:
        progress(1, 2)
        await asyncio.Event().wait()

    async def run(own: Runtime) -> None:
        await run_jobs(own, "leaving", runners(endless))

    stop = asyncio.Event()
    timetable = {"run_jobs": Worker(0.01, run, run_seconds=None)}
    working = asyncio.create_task(run_workers(runtime, ["run_jobs"], stop, timetable))
    await until_running(job)
    # when they are told to stop
    stop.set()
    await asyncio.wait_for(working, 5)
    # then the job waits again, as if never tried, and another takes it at once
    requeued = await read(job)
    assert (requeued.state, requeued.attempts) == (JobState.QUEUED, 0)
    assert await run_jobs(runtime, "other", runners(_nothing)) == 1
    assert (await read(job)).state is JobState.SUCCEEDED


async def test_watching_tells_every_state_until_the_end(runtime: Runtime) -> None:
    # given a watcher of a job that waits
    job = await queued(runtime)
    states: list[Seen] = []
    begun = asyncio.Event()

    async def watch() -> None:
        async for now in jobs.stream_job(by(runtime, Role.EDITOR), job.id):
            states.append((now.state, now.done, now.total))
            begun.set()

    watching = asyncio.create_task(watch())
    await asyncio.wait_for(begun.wait(), 5)

    # when it is run, slowly
    async def slow(_: Runtime, __: Mapping[str, Any], progress: JobProgress) -> None:
        for done in range(1, 4):
            progress(done, 3)
            await asyncio.sleep(0.3)

    await run_jobs(runtime, "one", runners(slow))
    await asyncio.wait_for(watching, 5)
    # then each step was told once, in order, the end last
    assert states[0] == (JobState.QUEUED, 0, None)
    assert states[-1] == (JobState.SUCCEEDED, 3, 3)
    steps = [done for state, done, _ in states if state is JobState.RUNNING]
    assert steps == sorted(steps) and set(steps) >= {1, 2, 3}
    assert not runtime.ops.jobs.changed._subscriptions


async def test_watching_needs_no_word_from_redis(runtime: Runtime) -> None:
    # given a watcher, and a job that ends without telling anybody
    job = await queued(runtime)
    events = jobs.stream_job(by(runtime, Role.OPERATOR), job.id)
    assert (await anext(events)).state is JobState.QUEUED
    claimed = await models.claim_job("mute", job_queue.now(runtime), _long_ago(), job.id)
    assert claimed is not None
    end = models.JobEnd(JobState.SUCCEEDED, None, 1, 1)
    assert await models.finish_job(job.id, "mute", job_queue.now(runtime), end)
    # when it looks again by itself, then it hears of the end
    async with asyncio.timeout(jobs.POLL_SECONDS + 2):
        assert [event.state async for event in events] == [JobState.SUCCEEDED]


async def test_who_may_see_jobs(runtime: Runtime) -> None:
    job = await queued(runtime)
    for role in (Role.EDITOR, Role.OPERATOR):
        assert set(await jobs.find_jobs(by(runtime, role), [job.id])) == {job.id}
    for context in (Context(runtime), by(runtime, Role.USER)):
        assert await jobs.find_jobs(context, [job.id]) == {}
    with pytest.raises(Forbidden):
        jobs.stream_job(by(runtime, Role.USER), job.id)
    with pytest.raises(ValidationFailed):
        jobs.stream_job(by(runtime, Role.EDITOR), "no id")
    with pytest.raises(NotFound):
        await anext(jobs.stream_job(by(runtime, Role.EDITOR), "job_unknown"))


async def test_a_hundred_open_jobs_are_enough(runtime: Runtime) -> None:
    for _ in range(job_queue.MAX_OPEN_JOBS):
        await queued(runtime)
    with pytest.raises(RateLimited):
        await queued(runtime)
    assert await models.Job.count() == job_queue.MAX_OPEN_JOBS


async def test_flushing_progress_is_a_job(runtime: Runtime) -> None:
    # given a report that is only in Redis
    context, title = viewer_of(runtime), await film()
    await reports.report_progress(context, await start_new_session(context, title), 0, 10.0)
    # when an operator flushes and a worker comes
    job = await jobs.flush_progress(by(runtime, Role.OPERATOR))
    await run_jobs(runtime)
    # then it is in MongoDB
    assert [row["version"] for row in await read_stored_progress()] == [1]
    record = await read(job)
    assert (record.state, record.done, record.total, record.created_by) == (
        JobState.SUCCEEDED, 1, 1, "user_1",
    )  # fmt: skip
    with pytest.raises(Forbidden):
        await jobs.flush_progress(by(runtime, Role.EDITOR))


async def test_warming_the_cache_is_a_job(runtime: Runtime) -> None:
    # given three films, in MongoDB alone
    for name in ("arrival", "brazil", "contact"):
        await film(name)
    # when an operator warms the cache and a worker comes
    job = await jobs.warm_cache(by(runtime, Role.OPERATOR), 10)
    assert (job.kind, job.total, job.arguments) == ("warm_cache", 10, {"first": 10})
    await run_jobs(runtime)
    # then all are in Redis
    record = await read(job)
    assert (record.state, record.done, record.error) == (JobState.SUCCEEDED, 3, None)
    assert len([key async for key in runtime.redis.scan_iter("movie:movie_*")]) == 3
    with pytest.raises(Forbidden):
        await jobs.warm_cache(by(runtime, Role.EDITOR), 10)
    with pytest.raises(ValidationFailed):
        await jobs.warm_cache(by(runtime, Role.OPERATOR), 0)


async def test_an_import_whose_worker_is_killed_is_finished_by_another(
    runtime: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given an import of 45 films, and a worker process that is killed after the first twenty
    numbers = list(range(1, 46))
    tmdb_server.has_movies(*numbers)
    tmdb_server.slow = True
    async with fake_tmdb.open_runtime_with(runtime, tmdb_server) as here:
        job = await jobs.import_from_tmdb(by(here, Role.EDITOR), tmdb_ids=numbers)
        assert (job.total, job.created_by) == (45, "user_1")
        await here.ops.jobs.queue.claim_period(
            "import_tmdb_changes", 60
        )  # or it would start that as well
        async with worker_process.run_worker(here.settings, tmdb_server):
            await until(lambda: _more_than(19))
        assert (await read(job)).state is JobState.RUNNING
        assert 20 <= await models.Movie.count() < 45
        # when another worker comes, half a minute later
        assert await run_jobs(later(here, 31), "other") == 1
    # then all films are there, each once
    record = await read(job)
    assert (record.state, record.done, record.total, record.attempts) == (
        JobState.SUCCEEDED, 45, 45, 2,
    )  # fmt: skip
    rows = await models.find(models.Movie, models.MovieRecord, {}, fields=frozenset({"tmdb_id"}))
    assert sorted(row.tmdb_id or 0 for row in rows) == numbers


async def _more_than(films: int) -> bool:
    return await models.Movie.count() > films


async def test_the_daily_import_is_started_by_one_process_a_day(
    runtime: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given no key: nothing happens
    assert not await import_tmdb(runtime)
    assert await models.Job.count() == 0
    async with fake_tmdb.open_runtime_with(runtime, tmdb_server) as here:
        # when ten processes have it in their timetable
        began = await asyncio.gather(*(import_tmdb(here) for _ in range(10)))
        # then one of them started the job
        assert sorted(began) == [False] * 9 + [True]
        (job,) = await models.find(models.Job, JobRecord, {})
        assert job.kind == "import_tmdb_changes"
        tmdb_server.answers |= dict.fromkeys(
            ["/movie/changes", "/tv/changes"], fake_tmdb.build_page()
        )
        await run_jobs(here)
        assert (await read(job)).state is JobState.SUCCEEDED
    remaining_seconds = await runtime.redis.ttl("turn:import_tmdb_changes")
    assert 22 * 3600 < remaining_seconds < 26 * 3600
