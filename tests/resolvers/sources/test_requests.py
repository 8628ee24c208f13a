"""What is asked about a title and of whom, and who shares the answer."""

from __future__ import annotations

from pathlib import Path

import models
from resolvers.context import Context, Runtime
from resolvers.runtimes import Media
from resolvers.sources.cached_answers import DataOrigin
from resolvers.sources.providers import set_provider
from resolvers.sources.sources import SourceFilter, sources_of_titles, streaming_sources
from services.media.library import MediaLibrary
from services.providers.attempts import AttemptOutcome
from services.providers.base import SourceType, TitleRef
from services.providers.rollout import is_in_rollout
from services.quality import Quality
from tests.conftest import CountCommands
from tests.support.fake_provider import FakeProvider
from tests.support.films_on_disk import film as film_on_disk
from tests.support.films_on_disk import store as put_on_disk
from tests.support.runtimes import with_changes
from tests.support.titles import store, whole_show
from tests.support.with_providers import build_viewer_context, json_provider, open_providers

TITLE = TitleRef("movie_1", tmdb_id=603, imdb_id="tt0133093")


async def test_an_episode_is_requested_by_its_shows_numbers(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    # given an episode, of which others know only the show
    await store(whole_show(1, [3], tmdb_id=1399, imdb_id="tt0944947"))
    provider_server.seen.clear()
    async with open_providers(runtime, json_provider("p1", provider_server.url("ok"))) as own:
        episodes = await models.find(models.Episode, models.EpisodeRecord, {}, sort=[("_id", 1)])
        # when all of a season are asked for in one operation
        await sources_of_titles(Context(own), episodes)
    # then each is told by its place in the show
    requests = sorted(provider_server.seen, key=lambda one: one[1]["episode"])
    assert [query for _, query, _ in requests] == [
        {
            "title_id": f"episode_1.1.{number}",
            "tmdb": "1399",
            "imdb": "tt0944947",
            "type": "tv",
            "season": "1",
            "episode": str(number),
        }
        for number in (1, 2, 3)
    ]


async def test_the_shows_of_many_episodes_are_one_find(
    runtime: Runtime, provider_server: FakeProvider, count_commands: CountCommands
) -> None:
    for number in (1, 2, 3):
        await store(whole_show(number, [1], tmdb_id=number))
    episodes = await models.find(models.Episode, models.EpisodeRecord, {})
    async with open_providers(runtime, json_provider("p1", provider_server.url("ok"))) as own:
        await count_commands.reset()
        await sources_of_titles(Context(own), episodes)
        assert sorted(count_commands.mongo) == ["provider_settings.find", "shows.find"]
        # and when all of it is kept, one read of Redis is enough for any number
        own.cache.clear_memory()
        await count_commands.reset()
        again = await sources_of_titles(Context(own), episodes)
        assert {one.origin for one in again} == {DataOrigin.CACHE}
        assert await count_commands.redis_commands() == {"mget": 3}  # settings, shows, sources
        assert count_commands.mongo == []


async def test_a_rollout_to_a_few_does_not_reach_the_others_through_the_cache(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    # given a new provider for a tenth of the viewers, and an old one for all
    entries = [
        json_provider("new", provider_server.url("ok")),
        json_provider("old", provider_server.url("slow")),
    ]
    async with open_providers(runtime, *entries) as own:
        operator = build_viewer_context(own, models.Role.OPERATOR)
        await set_provider(operator, "provider_new", rollout_percent=10)
        viewers = [build_viewer_context(own, name=str(number)) for number in range(60)]
        chosen = [is_in_rollout("new", 10, viewer.viewer_id) for viewer in viewers]
        assert 1 <= sum(chosen) <= 20  # of these sixty names, always the same
        # when they ask one after the other, the chosen ones first and then again last
        order = sorted(range(60), key=lambda n: not chosen[n])
        provider_server.seen.clear()
        answers = [(n, await streaming_sources(viewers[n], TITLE)) for n in (*order, order[0])]
        # then each has the provider meant for it, and each provider was called once
        assert [answer.provider_key == "new" for _, answer in answers] == [
            chosen[n] for n, _ in answers
        ]
        assert [path for path, _, _ in provider_server.seen] == ["/ok/sources", "/slow/sources"]
        # and somebody signed out takes part by address, always in the same way
        there = {
            (
                await streaming_sources(Context(own, client_address=f"192.0.2.{n}"), TITLE)
            ).provider_key
            for n in range(60)
        }
        assert there == {"new", "old"}
        nowhere = await streaming_sources(Context(own), TITLE)
        assert nowhere.provider_key == "old"
        assert ("new", AttemptOutcome.DISABLED, "ROLLOUT") in [
            (one.provider_key, one.outcome, one.reason) for one in nowhere.attempts
        ]


async def test_a_provider_switched_off_disappears_with_its_cached_answers(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    entries = [
        json_provider("one", provider_server.url("ok")),
        json_provider("two", provider_server.url("slow")),
    ]
    async with open_providers(runtime, *entries) as own:
        first = await streaming_sources(Context(own), TITLE)
        assert (first.provider_key, first.origin) == ("one", DataOrigin.PRIMARY_PROVIDER)
        # when an operator switches it off
        await set_provider(
            build_viewer_context(own, models.Role.OPERATOR), "provider_one", enabled=False
        )
        # then the next one answers at once, and is now the first
        second = await streaming_sources(Context(own), TITLE)
        assert (second.provider_key, second.origin) == ("two", DataOrigin.PRIMARY_PROVIDER)
        # and back on, what was kept of it is good again
        await set_provider(
            build_viewer_context(own, models.Role.OPERATOR), "provider_one", enabled=True
        )
        assert (await streaming_sources(Context(own), TITLE)).provider_key == "one"


async def test_answers_that_depend_on_the_filter_are_cached_apart(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    provider_server.seen.clear()
    entry = json_provider("p1", provider_server.url("ok"), takes=["language", "max_quality"])
    async with open_providers(runtime, entry) as own:
        wishes = [
            SourceFilter(),
            SourceFilter(language="de"),
            SourceFilter(language="DE"),
            SourceFilter(max_quality=Quality.P720),
            SourceFilter(max_quality=Quality.UNKNOWN),
        ]
        for wish in wishes:
            await streaming_sources(Context(own), TITLE, wish)
    queries = [
        (query.get("language"), query.get("max_quality")) for _, query, _ in provider_server.seen
    ]
    assert queries == [(None, None), ("de", None), (None, "720p")]


async def test_our_own_library_plays_for_who_is_signed_in_and_signs_for_each(
    runtime: Runtime, provider_server: FakeProvider, tmp_path: Path
) -> None:
    # given a title on our disk
    provider_server.seen.clear()
    put_on_disk(tmp_path, TITLE.id, film_on_disk())
    library = MediaLibrary(tmp_path)
    media = Media(library, runtime.sources.media.addresses)
    async with open_providers(runtime, json_provider("p1", provider_server.url("ok"))) as own:
        own = with_changes(own, sources={"media": media})
        # when two signed-in viewers and somebody else ask
        ada, bob = build_viewer_context(own, name="ada"), build_viewer_context(own, name="bob")
        adas, bobs, nobodys = [
            await streaming_sources(one, TITLE) for one in (ada, bob, Context(own))
        ]
        fine = await streaming_sources(
            ada, TITLE, SourceFilter(types=frozenset({SourceType.DIRECT}))
        )
    library.close()
    # then the viewers get the library, each an address of their own, and nobody else is asked
    assert (adas.provider_key, bobs.provider_key) == ("library", "library")
    (mine,), (other,) = adas.sources, bobs.sources
    assert mine.url.endswith(f"/{TITLE.id}/master.m3u8")
    assert mine.url.startswith("/media/")
    assert mine.url != other.url
    assert fine.sources == []
    # and who may not fetch it gets what the others have
    assert nobodys.provider_key == "p1"
    assert len(provider_server.seen) == 1
