from __future__ import annotations

from typing import Any

import pytest

from resolvers.context import Context, Runtime
from services.errors import UpstreamUnavailable
from services.playback.dead_letters import DeadLetters
from services.playback.keys import ProgressKeys
from services.playback.personal_keys import PersonalKeys
from services.redis import pool
from services.settings.settings import Settings
from tests.support.fake_provider import free_port
from tests.support.playback_fixtures import build_offline_report, film, viewer_of
from workers.flush_progress import flush_progress

KEYS = ProgressKeys(1)


def of(runtime: Runtime, client: pool.Client | None = None) -> PersonalKeys:
    redis = client or runtime.state_redis
    return PersonalKeys(redis, KEYS, DeadLetters(redis, KEYS))


async def names(runtime: Runtime) -> set[str]:
    keys: Any = await runtime.state_redis.keys("*")
    return {key.decode() for key in keys}


async def test_dead_letters_of_the_person_go_and_no_others(runtime: Runtime) -> None:
    # given more letters than one page holds, of two people in turn
    for number in range(250):
        user = "user_ada" if number % 2 else "user_eve"
        await runtime.state_redis.xadd(
            KEYS.dead_letters(0), {"user": user, "playable": "movie_1", "number": number}
        )
    # when one is erased, then exactly the other's are left
    assert await of(runtime).erase("user_ada", [], [])
    remaining: Any = await runtime.state_redis.xrange(KEYS.dead_letters(0))
    assert [fields[b"user"] for _, fields in remaining] == [b"user_eve"] * 125


async def test_what_is_not_flushed_stays_until_it_is(runtime: Runtime) -> None:
    # given one title that was flushed and one that was not, both of one viewer, and another's
    ada, eve = viewer_of(runtime, "ada"), viewer_of(runtime, "eve")
    flushed, waiting = await film("arrival"), await film("dune")
    for context in (ada, eve):
        await build_offline_report(context, flushed, 60)
    await flush_progress(runtime)
    await build_offline_report(ada, waiting, 60)
    keys = ProgressKeys(runtime.settings.progress_shards, runtime.settings.redis_key_prefix)
    personal = runtime.playback.personal_keys
    ids = _id(ada), _id(eve)
    # when the viewer is erased
    assert await personal.erase(ids[0], [flushed, waiting], []) is False
    # then what waits is there yet, what had been flushed is not
    now = await names(runtime)
    assert keys.progress(ids[0], waiting) in now and keys.unflushed(ids[0]) in now
    assert keys.progress(ids[0], flushed) not in now
    assert keys.offline_events(ids[0]) not in now
    # when it has been flushed too, then nothing is left
    await flush_progress(runtime)
    assert await personal.erase(ids[0], [flushed, waiting], []) is True
    now = await names(runtime)
    assert [name for name in now if ids[0] in name] == []
    assert keys.progress(ids[1], flushed) in now


async def test_without_redis_the_erasure_is_to_be_retried(
    runtime: Runtime, settings: Settings
) -> None:
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    client = pool.connect(away)
    with pytest.raises(UpstreamUnavailable):
        await of(runtime, client).erase("user_ada", [], [])
    await client.aclose()


def _id(context: Context) -> str:
    assert context.viewer is not None
    return context.viewer.user_id
