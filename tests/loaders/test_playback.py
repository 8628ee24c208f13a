from __future__ import annotations

import loaders
from resolvers.context import Context, Runtime
from resolvers.playback import reports
from services.redis.pool import Client
from tests.conftest import CountCommands
from tests.support.playback_fixtures import film, start_new_session, viewer_of
from workers.flush_progress import flush_progress


async def test_a_page_of_films_costs_two_reads_however_many(
    runtime: Runtime, redis: Client, count_commands: CountCommands
) -> None:
    # given one film that Redis holds, one that only MongoDB holds, and eight never watched
    titles = [await film(f"film-{n}") for n in range(10)]
    for title in titles[:2]:
        context = viewer_of(runtime)
        session = await start_new_session(context, title)
        await reports.report_progress(context, session, 0, 10.0)
    await flush_progress(runtime, "worker-1")
    (flushed_key,) = [
        key async for key in redis.scan_iter() if f":progress:{titles[1]}".encode() in key
    ]
    await redis.delete(flushed_key)
    for size in (2, 10):
        await count_commands.reset()
        # when a page of them asks
        records = await viewer_of(runtime).load_many(
            loaders.ProgressByPlayableId, [*titles[: size - 1], titles[1]]
        )
        # then it is one pipeline and one find
        assert count_commands.mongo == ["viewing_progress.find"]
        assert [one and one.position_seconds for one in records.values()] == [10.0, 10.0] + [
            None
        ] * (len(records) - 2)


async def test_what_redis_holds_needs_no_database(
    runtime: Runtime, count_commands: CountCommands
) -> None:
    context, title = viewer_of(runtime), await film()
    await reports.report_progress(context, await start_new_session(context, title), 0, 10.0)
    await count_commands.reset()
    await viewer_of(runtime).load(loaders.ProgressByPlayableId, title)
    assert count_commands.mongo == []


async def test_viewers_do_not_see_each_other_and_the_anonymous_see_nothing(
    runtime: Runtime, context: Context, count_commands: CountCommands
) -> None:
    # given Ada's progress
    ada, title = viewer_of(runtime), await film()
    await reports.report_progress(ada, await start_new_session(ada, title), 0, 10.0)
    # when Bob and nobody ask for the same film
    assert await viewer_of(runtime, "bob").load(loaders.ProgressByPlayableId, title) is None
    await count_commands.reset()
    assert await context.load(loaders.ProgressByPlayableId, title) is None
    # then nobody costs nothing
    assert count_commands.mongo == []
    assert await count_commands.redis_commands() == {}


async def test_an_operation_reads_its_own_writes(runtime: Runtime) -> None:
    # given an operation that read a film's progress
    context, title = viewer_of(runtime), await film()
    session = await start_new_session(context, title)
    loader = context.loader(loaders.ProgressByPlayableId)
    assert loader.peek([title]) == {title: None}
    # when it reports
    applied = await reports.report_progress(context, session, 0, 10.0)
    # then it sees the new state without another read
    assert loader.peek([title]) == {title: applied.progress}
    assert loader.peek([title, "movie_2"]) is None
