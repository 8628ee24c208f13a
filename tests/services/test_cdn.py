"""Addresses of images as clients get them."""

from __future__ import annotations

import pytest

from services import cdn
from services.cdn import ImageFormat, Passthrough
from services.errors import StartupError, ValidationFailed
from services.settings import Settings

PATH = cdn.poster_path("movie_1")


@pytest.fixture
def images() -> Passthrough:
    return Passthrough("https://films.example")


def test_defaults_are_not_in_the_address(images: Passthrough) -> None:
    address = images.image_url(PATH, quality=80, format=ImageFormat.AUTO)
    assert address == "https://films.example/art/posters/movie_1.svg"


def test_what_is_asked_for_is_in_the_address(images: Passthrough) -> None:
    address = images.image_url(PATH, width=500, height=750, quality=60, format=ImageFormat.WEBP)
    assert address == "https://films.example/art/posters/movie_1.svg?w=500&h=750&q=60&f=webp"


@pytest.mark.parametrize(
    ("asked", "given"), [(1, 185), (185, 185), (186, 342), (640, 780), (1280, 1280), (9000, 1280)]
)
def test_widths_climb_a_ladder(images: Passthrough, asked: int, given: int) -> None:
    assert images.image_url(PATH, width=asked).endswith(f"?w={given}")


def test_a_source_set_names_each_rung_once_and_rising(images: Passthrough) -> None:
    assert images.src_set("/a.svg", [1280, 300, 342, 10]) == (
        "https://films.example/a.svg?w=185 185w, "
        "https://films.example/a.svg?w=342 342w, "
        "https://films.example/a.svg?w=1280 1280w"
    )
    assert images.src_set("/a.svg").count("w=") == 5


def test_paths_are_quoted(images: Passthrough) -> None:
    assert images.image_url("/a b?c.svg") == "https://films.example/a%20b%3Fc.svg"


def test_a_whole_address_stays_as_it_is(images: Passthrough) -> None:
    assert images.image_url("https://other.example/p.jpg", width=500) == (
        "https://other.example/p.jpg"
    )


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ({"width": 0}, ["width"]),
        ({"height": -1}, ["height"]),
        ({"quality": 0}, ["quality"]),
        ({"quality": 101}, ["quality"]),
    ],
)
def test_sizes_out_of_range_are_refused(
    images: Passthrough, wanted: dict[str, int], path: list[str]
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        images.image_url(PATH, **wanted)  # type: ignore[arg-type]
    assert caught.value.path == path


def test_a_source_set_refuses_a_width_of_nothing(images: Passthrough) -> None:
    with pytest.raises(ValidationFailed):
        images.src_set(PATH, [500, 0])


def test_the_public_address_is_the_base() -> None:
    settings = Settings(_env_file=None, public_url="https://films.example/")
    assert cdn.open_cdn(settings).base == "https://films.example"


def test_an_unknown_adapter_stops_the_start() -> None:
    with pytest.raises(StartupError) as caught:
        cdn.open_cdn(Settings(_env_file=None, cdn_provider="nowhere"))
    assert str(caught.value) == "CDN_PROVIDER 'nowhere' is unknown: use passthrough."
