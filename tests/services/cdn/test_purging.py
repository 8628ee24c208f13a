"""How CDNs are asked to purge: each in its own way, within its limits, and how their failures end.

Against local servers that answer as those services document (tests/support/fake_cdn.py).
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pytest

from services import cdn
from services.cdn import Cdn, StaleContent
from services.cdn.signing import Signer
from services.errors import PurgeFailed
from tests.support import fake_cdn
from tests.support.fake_cdn import Answer, FakeCdn, settings_for

POSTER = "/art/posters/movie_1.svg"
PHOTO = "/art/photos/a b.jpg"
ELSEWHERE = "https://image.example/p.jpg?a=1&b=2"
TAGS = frozenset({"movie:movie_1", "movies:genre:drama"})
EVERYTHING = StaleContent(
    TAGS, frozenset({POSTER, PHOTO, ELSEWHERE}), frozenset({"/art/", "/graphql"})
)
PROVIDERS = ["cloudflare", "cloudinary", "aws", "fastly"]
ONE = StaleContent(paths=frozenset({POSTER}))  # something that each of them can purge


async def purge(
    cdn_server: FakeCdn, provider: str, stale: StaleContent = ONE, **changes: object
) -> None:
    async with cdn.open_cdn(settings_for(provider, cdn_server.url, **changes)) as adapter:
        await adapter.purge(stale, "reference")


async def failure(adapter: Cdn, stale: StaleContent = ONE) -> PurgeFailed:
    with pytest.raises(PurgeFailed) as caught:
        await adapter.purge(stale, "reference")
    return caught.value


# ---- what each is told


async def test_cloudflare_gets_addresses_tags_and_prefixes(cdn_server: FakeCdn) -> None:
    await purge(cdn_server, "cloudflare", EVERYTHING)
    assert cdn_server.purged == [
        (
            "files",
            [
                "https://cdn.example.com/art/photos/a%20b.jpg",
                "https://cdn.example.com/art/posters/movie_1.svg",
            ],
        ),
        ("tags", ["any:movie", "any:movies", "movie:movie_1", "movies:genre:drama"]),
        ("prefixes", ["cdn.example.com/art", "cdn.example.com/graphql"]),
    ]
    assert {json.dumps(sorted(json.loads(seen.body))) for seen in cdn_server.seen} == {
        '["files"]',
        '["tags"]',
        '["prefixes"]',
    }


async def test_cloudinary_gets_images_only(cdn_server: FakeCdn) -> None:
    await purge(cdn_server, "cloudinary", EVERYTHING)
    # the ids of fetched images are their own addresses
    assert cdn_server.dropped() == {
        ELSEWHERE,
        "https://api.example.com/art/photos/a%20b.jpg",
        "https://api.example.com/art/posters/movie_1.svg",
    }
    assert len(cdn_server.seen) == 3


async def test_cloudinary_may_never_have_fetched_an_image(cdn_server: FakeCdn) -> None:
    await purge(cdn_server, "cloudinary", StaleContent(paths=frozenset({"/art/never-seen.svg"})))
    assert cdn_server.dropped() == {"https://api.example.com/art/never-seen.svg"}


async def test_cloudfront_gets_paths_and_wildcards(cdn_server: FakeCdn) -> None:
    await purge(cdn_server, "aws", EVERYTHING)
    # what has variants by query, and what tags may be on, goes by wildcard
    assert cdn_server.purged == [
        ("paths", ["/art/*", "/art/photos/a%20b.jpg*", POSTER, "/graphql*"]),
    ]


async def test_fastly_gets_keys_softly_and_addresses(cdn_server: FakeCdn) -> None:
    await purge(cdn_server, "fastly", StaleContent(TAGS, frozenset({POSTER, ELSEWHERE})))
    assert cdn_server.purged == [
        ("tags", ["any:movie", "any:movies", "movie:movie_1", "movies:genre:drama"]),
        ("files", [f"https://cdn.example.com{POSTER}"]),
    ]


async def test_fastly_which_knows_no_prefix_drops_everything(cdn_server: FakeCdn) -> None:
    await purge(cdn_server, "fastly", EVERYTHING)
    assert cdn_server.purged == [("everything", ["*"])]


async def test_fastly_gets_256_keys_a_call(cdn_server: FakeCdn) -> None:
    tags = frozenset(f"movie:{number}" for number in range(256))  # and one for all films
    await purge(cdn_server, "fastly", StaleContent(tags))
    assert [(what, len(items)) for what, items in cdn_server.purged] == [("tags", 256), ("tags", 1)]


async def test_cloudfront_knows_tags_where_they_are_configured(cdn_server: FakeCdn) -> None:
    await purge(cdn_server, "aws", StaleContent(tags=TAGS), aws_cloudfront_cache_tags=True)
    assert cdn_server.purged == [
        ("paths", ["#any:movie", "#any:movies", "#movie:movie_1", "#movies:genre:drama"])
    ]


async def test_cloudfront_takes_few_wildcards_so_many_images_go_by_folder(
    cdn_server: FakeCdn,
) -> None:
    photos = frozenset(f"/art/photos/{number}.jpg" for number in range(11))
    await purge(cdn_server, "aws", StaleContent(paths=photos | {POSTER}))
    assert cdn_server.purged == [("paths", ["/art/photos/*", POSTER])]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_nothing_stale_asks_nothing(cdn_server: FakeCdn, provider: str) -> None:
    await purge(cdn_server, provider, StaleContent())
    assert cdn_server.seen == []


async def test_passthrough_asks_nobody() -> None:
    async with cdn.open_cdn(settings_for("passthrough", "http://127.0.0.1:9")) as adapter:
        await adapter.purge(EVERYTHING, "reference")


# ---- limits


async def test_cloudflare_gets_thirty_a_call(cdn_server: FakeCdn) -> None:
    tags = frozenset(f"movie:{number}" for number in range(30))  # and one for all films
    paths = frozenset(f"/art/{number}.svg" for number in range(61))
    prefixes = frozenset(f"/art/{number}/" for number in range(31))
    await purge(cdn_server, "cloudflare", StaleContent(tags, paths, prefixes))
    sizes = [(what, len(items)) for what, items in cdn_server.purged]
    assert sizes == [
        ("files", 30),
        ("files", 30),
        ("files", 1),
        ("tags", 30),
        ("tags", 1),
        ("prefixes", 30),
        ("prefixes", 1),
    ]
    assert len(cdn_server.dropped()) == 31 + 61 + 31


async def test_an_enterprise_zone_takes_more_addresses(cdn_server: FakeCdn) -> None:
    cdn_server.files_per_call = 500
    paths = frozenset(f"/art/{number}.svg" for number in range(600))
    await purge(cdn_server, "cloudflare", StaleContent(paths=paths), cloudflare_files_per_purge=500)
    assert [len(items) for _, items in cdn_server.purged] == [500, 100]


async def test_cloudfront_gets_a_thousand_a_call(cdn_server: FakeCdn) -> None:
    paths = frozenset(f"/art/{number}.svg" for number in range(1001))
    await purge(cdn_server, "aws", StaleContent(paths=paths))
    assert [len(items) for _, items in cdn_server.purged] == [1000, 1]
    assert sorted(cdn_server.references) == ["reference-0", "reference-1"]


async def test_the_same_invalidation_is_made_once_at_cloudfront(cdn_server: FakeCdn) -> None:
    for _ in range(2):
        await purge(cdn_server, "aws", EVERYTHING)
    assert (len(cdn_server.seen), len(cdn_server.purged)) == (2, 1)


async def test_tags_that_a_service_would_refuse_are_purged_as_they_are_rendered(
    cdn_server: FakeCdn,
) -> None:
    await purge(
        cdn_server, "cloudflare", StaleContent(tags=frozenset({"two words", "a,b", "Capital"}))
    )
    dropped = cdn_server.dropped_exactly()
    assert dropped == {cdn.encode_tag("two words"), cdn.encode_tag("a,b"), "capital"} | {
        cdn.encode_tag("any:two words"),
        cdn.encode_tag("any:a,b"),
    }


# ---- failures


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [500, 503])
async def test_a_fault_of_theirs_may_be_tried_again(
    cdn_server: FakeCdn, provider: str, status: int
) -> None:
    cdn_server.failures = [Answer(status)]
    async with cdn.open_cdn(settings_for(provider, cdn_server.url)) as adapter:
        failed = await failure(adapter)
        assert str(failed).endswith(f" answered {status}.")
        assert (failed.is_final, failed.retry_after_seconds) == (False, None)
        await adapter.purge(ONE, "reference")
    assert len(cdn_server.purged) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_rate_limited_cdn_is_not_called_before_its_retry_after(
    cdn_server: FakeCdn, provider: str
) -> None:
    cdn_server.failures = [Answer(429, headers={"retry-after": "120"})]
    async with cdn.open_cdn(settings_for(provider, cdn_server.url)) as adapter:
        failed = await failure(adapter)
        assert (failed.is_final, failed.retry_after_seconds) == (False, 120.0)
        # until then it is not even asked
        again = await failure(adapter)
        assert again.retry_after_seconds is not None
        assert 0 < again.retry_after_seconds <= 120
    assert len(cdn_server.seen) == 1


@pytest.mark.parametrize("said", [None, "soon", "9" * 400])
async def test_a_retry_after_that_makes_no_sense_is_bounded(
    cdn_server: FakeCdn, said: str | None
) -> None:
    cdn_server.failures = [Answer(429, headers={"retry-after": said} if said else {})]
    async with cdn.open_cdn(settings_for("cloudflare", cdn_server.url)) as adapter:
        failed = await failure(adapter)
    assert failed.retry_after_seconds in (30.0, 3600.0)


@pytest.mark.parametrize(
    ("provider", "key"),
    [
        ("cloudflare", "cloudflare_api_key"),
        ("cloudinary", "cloudinary_api_secret"),
        ("aws", "aws_secret_access_key"),
    ],
)
async def test_a_wrong_key_is_reported_but_not_shown(
    cdn_server: FakeCdn, provider: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = settings_for(provider, cdn_server.url, **{key: "wrong-and-secret"})
    async with cdn.open_cdn(settings) as adapter:
        failed = await failure(adapter)
    # it may be mended: trying again later can help
    assert "refused the key" in str(failed)
    assert not failed.is_final
    assert "wrong-and-secret" not in f"{failed!r} {failed.__cause__!r} {caplog.text}"
    assert cdn_server.purged == []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_they_refuse_is_not_sent_again(cdn_server: FakeCdn, provider: str) -> None:
    refused = {
        "cloudflare": f"https://cdn.example.com{POSTER}",
        "cloudinary": f"https://api.example.com{POSTER}",
        "aws": POSTER,
        "fastly": f"https://cdn.example.com{POSTER}",
    }
    cdn_server.refused = {refused[provider]}
    async with cdn.open_cdn(settings_for(provider, cdn_server.url)) as adapter:
        failed = await failure(adapter)
    assert failed.is_final
    assert "refused to purge (" in str(failed)
    assert cdn_server.purged == []


async def test_a_success_that_says_it_is_none_is_a_refusal(cdn_server: FakeCdn) -> None:
    for body in (b'{"success": false}', b"{}", b"<html>", b"[1]"):
        cdn_server.failures = [Answer(200, body)]
        async with cdn.open_cdn(settings_for("cloudflare", cdn_server.url)) as adapter:
            assert (await failure(adapter)).is_final, body


async def test_an_unknown_distribution_is_named_by_its_code(cdn_server: FakeCdn) -> None:
    settings = settings_for("aws", cdn_server.url, aws_cloudfront_distribution_id="GONE")
    async with cdn.open_cdn(settings) as adapter:
        failed = await failure(adapter)
    assert str(failed) == "CloudFront refused to purge (NoSuchDistribution)."
    assert failed.is_final


async def test_too_many_invalidations_under_way_is_waited_out(cdn_server: FakeCdn) -> None:
    cdn_server.failures = [fake_cdn.aws_error(400, "TooManyInvalidationsInProgress")]
    async with cdn.open_cdn(settings_for("aws", cdn_server.url)) as adapter:
        failed = await failure(adapter)
    assert (failed.is_final, failed.retry_after_seconds) == (False, 30.0)


async def test_a_silent_service_ends_with_the_deadline(cdn_server: FakeCdn) -> None:
    cdn_server.failures = [Answer(200, seconds=3)]
    settings = settings_for("cloudflare", cdn_server.url, cdn_timeout_seconds=0.2)
    async with cdn.open_cdn(settings) as adapter:
        failed = await failure(adapter)
    assert str(failed) == "Cloudflare did not answer in time."
    assert not failed.is_final


async def test_nobody_there_is_a_failure_to_try_again() -> None:
    settings = settings_for("cloudflare", "http://127.0.0.1:9")
    async with cdn.open_cdn(settings) as adapter:
        failed = await failure(adapter)
    assert str(failed) == "Cloudflare broke the connection."
    assert not failed.is_final


async def test_one_image_that_fails_at_cloudinary_fails_the_purge(cdn_server: FakeCdn) -> None:
    paths = frozenset(f"/art/{number}.svg" for number in range(20))
    cdn_server.refused = {"https://api.example.com/art/13.svg"}
    async with cdn.open_cdn(settings_for("cloudinary", cdn_server.url)) as adapter:
        assert (await failure(adapter, StaleContent(paths=paths))).is_final


# ---- the signature, held to AWS's own vectors


NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SECRET = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("service", "method", "address", "signed_headers", "signature"),
    [
        # "get-vanilla" and "post-vanilla" of the test suite; the example of the documentation
        ("service", "GET", "https://example.amazonaws.com/", {},
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("service", "POST", "https://example.amazonaws.com/", {},
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("iam", "GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
         {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
         "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"),
    ],
)  # fmt: skip
def test_signatures_are_those_that_aws_publishes(
    service: str, method: str, address: str, signed_headers: dict[str, str], signature: str
) -> None:
    signer = Signer("AKIDEXAMPLE", SECRET, "us-east-1", service)
    headers = signer.headers(method, address, b"", NOW, signed_headers)
    assert headers["authorization"].rpartition("Signature=")[2] == signature
    assert headers["x-amz-date"] == "20150830T123600Z"


def test_a_signer_does_not_show_its_secret() -> None:
    assert "wJalr" not in repr(Signer("AKIDEXAMPLE", SECRET, "us-east-1", "cloudfront"))
