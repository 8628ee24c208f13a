"""Addresses of images as clients get them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import cdn
from services.cdn import ImageFormat, Passthrough
from services.errors import StartupError, ValidationFailed
from services.settings.settings import Settings
from tests.support.fake_cdn import settings_for

PATH = "/photos/movie_1.jpg"
DRAWN = cdn.poster_path("movie_1")
TMDB = "https://image.tmdb.org/t/p"


@pytest.fixture
def images() -> Passthrough:
    return Passthrough("https://films.example")


def test_defaults_are_not_in_the_address(images: Passthrough) -> None:
    address = images.image_url(PATH, quality=80, format=ImageFormat.AUTO)
    assert address == "https://films.example/photos/movie_1.jpg"


def test_requested_options_are_in_the_address(images: Passthrough) -> None:
    address = images.image_url(PATH, width=500, height=750, quality=60, format=ImageFormat.WEBP)
    assert address == "https://films.example/photos/movie_1.jpg?w=500&h=750&q=60&f=webp"


@pytest.mark.parametrize(
    ("requested", "width"),
    [(1, 185), (185, 185), (186, 342), (640, 780), (1280, 1280), (9000, 1280)],
)
def test_widths_climb_a_ladder(images: Passthrough, requested: int, width: int) -> None:
    assert images.image_url(PATH, width=requested).endswith(f"?w={width}")


def test_a_source_set_names_each_rung_once_and_rising(images: Passthrough) -> None:
    assert images.src_set("/a.jpg", [1280, 300, 342, 10]) == (
        "https://films.example/a.jpg?w=185 185w, "
        "https://films.example/a.jpg?w=342 342w, "
        "https://films.example/a.jpg?w=1280 1280w"
    )
    assert images.src_set("/a.jpg").count("w=") == 5


@pytest.mark.parametrize("path", [DRAWN, "https://other.example/p.jpg", f"{TMDB}/original/p.jpg"])
def test_an_image_of_one_size_is_one_address_in_a_source_set(
    images: Passthrough, path: str
) -> None:
    address = path if path.startswith("https") else f"https://films.example{path}"
    assert images.src_set(path) == address
    assert images.image_url(path, width=342) == address


@pytest.mark.parametrize("provider", ["passthrough", "cloudflare", "aws"])
@pytest.mark.parametrize(
    ("stored", "sizes"),
    [
        ("w780", [("w185", 185), ("w342", 342), ("w500", 500), ("w780", 780)]),
        ("w1280", [("w300", 300), ("w780", 780), ("w1280", 1280)]),
        ("h632", [("w185", 185), ("h632", 421)]),
        ("w300", [("w185", 185), ("w300", 300)]),
    ],
)
async def test_an_image_of_tmdb_has_the_sizes_it_has_there(
    provider: str, stored: str, sizes: list[tuple[str, int]]
) -> None:
    settings = settings_for(provider, "http://127.0.0.1:9")
    async with cdn.open_cdn(settings) as images:
        src_set = images.src_set(f"{TMDB}/{stored}/p.jpg")
        large = images.image_url(f"{TMDB}/{stored}/p.jpg", width=9000)
        whole = images.image_url(f"{TMDB}/{stored}/p.jpg")
    assert src_set == ", ".join(f"{TMDB}/{size}/p.jpg {width}w" for size, width in sizes)
    assert large == whole == f"{TMDB}/{stored}/p.jpg"


async def test_cloudinary_resizes_images_of_tmdb_itself() -> None:
    async with cdn.open_cdn(settings_for("cloudinary", "http://127.0.0.1:9")) as images:
        src_set = images.src_set(f"{TMDB}/w780/p.jpg", [185, 342])
    assert [one.rpartition(" ")[2] for one in src_set.split(", ")] == ["185w", "342w"]
    assert len({one.partition(" ")[0] for one in src_set.split(", ")}) == 2


def test_paths_are_quoted(images: Passthrough) -> None:
    assert images.image_url("/a b?c.svg") == "https://films.example/a%20b%3Fc.svg"


def test_a_whole_address_stays_as_it_is(images: Passthrough) -> None:
    assert images.image_url("https://other.example/p.jpg", width=500) == (
        "https://other.example/p.jpg"
    )


@pytest.mark.parametrize(
    ("size", "path"),
    [
        ({"width": 0}, ["width"]),
        ({"height": -1}, ["height"]),
        ({"quality": 0}, ["quality"]),
        ({"quality": 101}, ["quality"]),
    ],
)
def test_sizes_out_of_range_are_refused(
    images: Passthrough, size: dict[str, int], path: list[str]
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        images.image_url(PATH, **size)  # type: ignore[arg-type]
    assert caught.value.path == path


def test_a_source_set_refuses_a_width_of_nothing(images: Passthrough) -> None:
    with pytest.raises(ValidationFailed):
        images.src_set(PATH, [500, 0])


@pytest.mark.parametrize(
    ("public_url", "base"),
    [
        (None, ""),
        ("https://films.example", ""),
        ("https://films.example/", ""),
        ("https://films.example:8443/api/", "/api"),
    ],
)
async def test_without_a_cdn_addresses_are_relative_to_this_host(
    public_url: str | None, base: str
) -> None:
    settings = Settings(_env_file=None, public_url=public_url)
    async with cdn.open_cdn(settings) as adapter:
        assert adapter.image_url("/a.svg") == f"{base}/a.svg"
        assert (
            adapter.src_set("/a.png", [500, 780])
            == f"{base}/a.png?w=500 500w, {base}/a.png?w=780 780w"
        )
        # but not those of pictures elsewhere
        assert adapter.image_url("https://elsewhere.example/a.png").startswith("https://elsewhere")
        assert not adapter.can_purge


async def test_an_unknown_adapter_stops_the_start() -> None:
    with pytest.raises(StartupError) as caught:
        async with cdn.open_cdn(Settings(_env_file=None, cdn_provider="nowhere")):
            pass
    assert str(caught.value) == (
        "CDN_PROVIDER 'nowhere' is unknown: use passthrough, cloudflare, cloudinary, aws, fastly."
    )


@pytest.mark.parametrize(
    ("provider", "missing"),
    [
        ("cloudflare", "cloudflare_cdn_url"),
        ("cloudflare", "cloudflare_api_key"),
        ("cloudflare", "cloudflare_zone_id"),
        ("cloudinary", "cloudinary_cloud_name"),
        ("cloudinary", "cloudinary_api_key"),
        ("cloudinary", "cloudinary_api_secret"),
        ("aws", "aws_cloudfront_url"),
        ("aws", "aws_cloudfront_distribution_id"),
        ("aws", "aws_access_key_id"),
        ("aws", "aws_secret_access_key"),
        ("fastly", "fastly_cdn_url"),
        ("fastly", "fastly_service_id"),
        ("fastly", "fastly_api_token"),
    ],
)
async def test_what_the_chosen_adapter_lacks_is_named(provider: str, missing: str) -> None:
    settings = settings_for(provider, "http://127.0.0.1:9", **{missing: " "})
    with pytest.raises(StartupError) as caught:
        async with cdn.open_cdn(settings):
            pass
    assert str(caught.value) == f"{missing.upper()} is not set: the chosen CDN_PROVIDER needs it."


async def test_an_address_without_a_scheme_stops_the_start() -> None:
    settings = settings_for("aws", "http://127.0.0.1:9", aws_cloudfront_url="d1.cloudfront.net")
    with pytest.raises(StartupError, match=r"^AWS_CLOUDFRONT_URL is not an address"):
        async with cdn.open_cdn(settings):
            pass


PHOTO, ELSEWHERE = "/art/a b.jpg", "https://image.example/p.jpg?v=1&w=2"
SIZED = {"width": 300, "height": 600, "quality": 60, "format": ImageFormat.JPEG}


@pytest.mark.parametrize(
    ("provider", "path", "options", "address"),
    [
        ("cloudflare", PHOTO, {"width": 300},
         "https://cdn.example.com/cdn-cgi/image/width=342,quality=80,format=auto/art/a%20b.jpg"),
        ("cloudflare", PHOTO, SIZED,
         "https://cdn.example.com/cdn-cgi/image/width=342,height=600,quality=60,format=jpeg"
         "/art/a%20b.jpg"),
        ("cloudflare", DRAWN, SIZED, "https://cdn.example.com/art/posters/movie_1.svg"),
        ("cloudflare", ELSEWHERE, {"width": 300}, ELSEWHERE),
        ("cloudinary", PHOTO, {"width": 300},
         "https://res.cloudinary.com/demo/image/fetch/c_limit,w_342,q_80,f_auto"
         "/https://api.example.com/art/a%2520b.jpg"),
        ("cloudinary", PHOTO, {},
         "https://res.cloudinary.com/demo/image/fetch/q_80,f_auto"
         "/https://api.example.com/art/a%2520b.jpg"),
        ("cloudinary", ELSEWHERE, SIZED,
         "https://res.cloudinary.com/demo/image/fetch/c_limit,w_342,h_600,q_60,f_jpg"
         "/https://image.example/p.jpg%3Fv%3D1%26w%3D2"),
        ("cloudinary", DRAWN, {"width": 300},
         "https://res.cloudinary.com/demo/image/fetch"
         "/https://api.example.com/art/posters/movie_1.svg"),
        ("cloudinary", DRAWN, {"width": 300, "format": ImageFormat.PNG},
         "https://res.cloudinary.com/demo/image/fetch/c_limit,w_342,q_80,f_png"
         "/https://api.example.com/art/posters/movie_1.svg"),
        ("aws", PHOTO, SIZED, "https://d1.cloudfront.net/art/a%20b.jpg?w=342&h=600&q=60&f=jpeg"),
        ("aws", PHOTO, {}, "https://d1.cloudfront.net/art/a%20b.jpg"),
        ("aws", DRAWN, {"width": 300}, "https://d1.cloudfront.net/art/posters/movie_1.svg"),
        ("aws", ELSEWHERE, {"width": 300}, ELSEWHERE),
    ],
)  # fmt: skip
async def test_each_service_gets_addresses_of_its_own(
    provider: str, path: str, options: dict[str, Any], address: str
) -> None:
    async with cdn.open_cdn(settings_for(provider, "http://127.0.0.1:9")) as images:
        assert images.image_url(path, **options) == address
        assert images.can_purge


@pytest.mark.parametrize("provider", ["cloudflare", "cloudinary", "aws"])
async def test_sizes_are_checked_whatever_the_service(provider: str) -> None:
    async with cdn.open_cdn(settings_for(provider, "http://127.0.0.1:9")) as images:
        with pytest.raises(ValidationFailed):
            images.image_url("/a.jpg", width=0)
        src_set = images.src_set("/a.jpg", [300, 342, 5000])
    assert [one.rpartition(" ")[2] for one in src_set.split(", ")] == ["342w", "1280w"]


@given(st.text(min_size=1, max_size=300))
def test_any_tag_is_one_that_every_service_takes(tag: str) -> None:
    rendered = cdn.encode_tag(tag)
    assert re.fullmatch(r"[!-+\--~]{1,256}", rendered)
    assert cdn.encode_tag(tag) == rendered == cdn.encode_tag(rendered)


def test_tags_that_differ_stay_different() -> None:
    tags = ["movies:genre:science-fiction", "a b", "a,b", "å", "x" * 257, "x" * 258]
    assert len({cdn.encode_tag(tag) for tag in tags}) == len(tags)
    assert cdn.encode_tag("movies:genre:drama") == "movies:genre:drama"
