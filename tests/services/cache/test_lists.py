"""Which lists are noted under which tags, so that a change finds them."""

from __future__ import annotations

from services.cache.cache import Cache
from services.cache.lists import ListIndex, ListRegistration
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support.caching import connect_relayed, connect_through, read_redis, store_values
from tests.support.relay import start_relay

DRAMA, NOIR, ALL = "movies:genre:drama", "movies:genre:noir", "movies:all"


async def test_a_list_is_found_by_each_of_its_tags(redis: Client) -> None:
    lists = ListIndex(redis, "")
    noted = await lists.register({"list:1": ([DRAMA, NOIR], b"one"), "list:2": ([DRAMA], b"two")})
    assert noted == ListRegistration(True)
    assert await lists.read([DRAMA]) == {"list:1": b"one", "list:2": b"two"}
    assert await lists.read([NOIR]) == {"list:1": b"one"}
    assert await lists.read([DRAMA, NOIR]) == {"list:1": b"one", "list:2": b"two"}
    assert await lists.read([ALL]) == await lists.read([]) == {}
    # and it is known longer than any list lives
    assert await redis.ttl("lists:movies:genre:drama") > 86_400 + 300
    # until it is dropped, under the tags that are told
    await lists.drop([DRAMA], ["list:1"])
    assert await lists.read([DRAMA]) == {"list:2": b"two"}
    assert await lists.read([NOIR]) == {"list:1": b"one"}
    await lists.drop([DRAMA], [])
    assert await lists.read([DRAMA]) == {"list:2": b"two"}


async def test_a_description_is_stored_once_however_many_tags_and_pages_have_it(
    redis: Client,
) -> None:
    lists = ListIndex(redis, "")
    # given ten pages of a list under twenty tags, with a description of 5 KB
    tags = [f"movies:genre:{number}" for number in range(20)]
    await lists.register({f"list:{page}": (tags, b"x" * 5_000) for page in range(10)})
    # then it is there once, and every page is found with it
    assert [key async for key in redis.scan_iter("listed:*")] != []
    assert sum([await redis.memory_usage(key) or 0 async for key in redis.scan_iter()]) < 50_000
    assert await lists.read(tags[:1]) == {f"list:{page}": b"x" * 5_000 for page in range(10)}
    # and where Redis has lost it, the list is still known
    await redis.delete(*[key async for key in redis.scan_iter("listed:*")])
    assert await lists.read(tags[-1:]) == {f"list:{page}": b"" for page in range(10)}


async def test_a_list_noted_after_a_change_is_to_be_read_where_changes_are_first(
    redis: Client,
) -> None:
    lists = ListIndex(redis, "")
    # given lists that a change finds noted
    await lists.register({"list:1": ([DRAMA], b"one")})
    assert await lists.read_changing([DRAMA, ALL]) == {"list:1": b"one"}
    # then what is noted from now on, of the same tags, is told of it for ten seconds
    assert await lists.register({"list:2": ([DRAMA], b"two")}) == ListRegistration(
        True, is_changed=True
    )
    assert await lists.register({"list:3": ([NOIR], b"three")}) == ListRegistration(True)
    assert 9_000 < await redis.pttl("changed:lists:movies:genre:drama") <= 10_000


async def test_a_tag_with_too_many_lists_is_emptied_lists_and_all(redis: Client) -> None:
    cache = Cache(redis)
    many: dict[str | bytes, bytes | float | int | str] = {
        f"movie:list:{number}": b"" for number in range(20_000)
    }
    await redis.hset("lists:movies:all", mapping=many)
    await store_values(cache, {"movie:list:7": "a page", "movie:list:8": "another"})
    # when one more is to be noted
    noted = await cache.register_lists({"movie:list:new": ([ALL, DRAMA], b"")})
    # then it is not kept, and none that was noted under the tag is
    assert (noted.may_store, noted.full) == (False, (ALL,))
    assert await read_redis(cache, "movie:list:7", "movie:list:8") == {}
    assert await cache.lists.read([ALL]) == {}
    # and it begins anew
    assert (await cache.register_lists({"movie:list:new": ([ALL], b"")})).may_store


async def test_with_redis_away_nothing_is_noted_and_nothing_said_to_be_known(
    redis: Client, settings: Settings
) -> None:
    async with start_relay(settings.redis_url or "") as relay:
        relay.cut()
        async with connect_through(relay, settings) as through:
            lists = ListIndex(through, "")
            assert await lists.register({"list:1": ([DRAMA], b"one")}) is None
            assert await lists.read([DRAMA]) is None
            assert await lists.read_changing([DRAMA]) is None
            await lists.drop([DRAMA], ["list:1"])
    assert [key async for key in redis.scan_iter()] == []


async def test_lists_that_could_not_be_found_are_forgotten_later_all_of_their_tags(
    redis: Client, settings: Settings
) -> None:
    async with connect_relayed(settings) as (relay, through):
        cache = Cache(through)
        await cache.register_lists({"movie:list:1": ([DRAMA], b""), "movie:list:2": ([NOIR], b"")})
        await store_values(cache, {"movie:list:1": "a page", "movie:list:2": "another"})
        relay.cut()
        await cache.invalidate_lists([DRAMA])
        assert cache.has_pending
        relay.mend()
        await cache.flush_pending()
    assert not cache.has_pending
    assert await read_redis(Cache(redis), "movie:list:1", "movie:list:2") == {
        "movie:list:2": "another"
    }
    assert await ListIndex(redis, "").read([DRAMA, NOIR]) == {"movie:list:2": b""}
