"""Drawn art: well-formed whatever the title, always the same for one title, small."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media import art
from services.media.art import Subject
from services.media.art_shapes import COMPOSITIONS

SVG = "{http://www.w3.org/2000/svg}"
_subjects = st.builds(
    Subject,
    st.text(max_size=40),
    st.text(max_size=300),
    st.none() | st.integers(1870, 2100),
    st.none() | st.sampled_from(["drama", "science-fiction", "<b>", "unheard-of"]),
)


def read(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own text


def lines(svg: str) -> list[str]:
    return [span.text or "" for span in read(svg).iter(f"{SVG}tspan")]


@given(_subjects)
def test_any_title_gives_a_small_well_formed_drawing(subject: Subject) -> None:
    for draw, width, height in ((art.draw_poster, 500, 750), (art.draw_backdrop, 1280, 720)):
        svg = draw(subject)
        root = read(svg)
        assert root.tag == f"{SVG}svg"
        assert (root.get("width"), root.get("height")) == (str(width), str(height))
        assert len(svg.encode()) < 8192
        assert draw(subject) == svg


@given(st.text(max_size=300))
def test_a_title_cannot_add_elements(title: str) -> None:
    kinds = {element.tag for element in read(art.draw_poster(Subject("movie_1", title))).iter()}
    assert kinds <= {
        SVG + name
        for name in (
            "svg defs linearGradient stop rect circle polygon path g text tspan".split()  # noqa: SIM905
        )
    }


def test_markup_in_a_title_is_shown_as_text() -> None:
    title = '</text><script>alert("1")</script>&'
    root = read(art.draw_poster(Subject("movie_1", title)))
    assert root.get("aria-label") == title
    assert root.find(f".//{SVG}script") is None


def test_nothing_outside_is_named_and_nothing_runs() -> None:
    for number in range(50):
        svg = art.draw_poster(Subject(f"movie_{number}", "Title", 1920, "drama"))
        assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
        assert re.findall(r"url\(#(\w+)\)", svg) == ["sky", "veil"]
        assert not re.search(r"href|<image|<script|@import|on\w+=", svg)


def test_words_of_the_title_are_all_there_in_order() -> None:
    title = "The Memphis Belle: A Story of a Flying Fortress"
    assert " ".join(lines(art.draw_poster(Subject("movie_1", title)))) == title
    assert " ".join(lines(art.draw_backdrop(Subject("movie_1", title)))) == title


@pytest.mark.parametrize("title", ["word " * 60, "x" * 300, "七人の侍" * 60])
def test_very_long_titles_are_cut_and_say_so(title: str) -> None:
    shown = lines(art.draw_poster(Subject("movie_1", title)))
    assert 1 <= len(shown) <= 9
    assert shown[-1].endswith("…")


def test_year_and_genre_are_the_caption() -> None:
    svg = art.draw_poster(Subject("movie_1", "Metropolis", 1927, "science-fiction"))
    assert [text.text for text in read(svg).iter(f"{SVG}text")][-1] == "1927  ·  SCIENCE FICTION"


def test_a_corrected_title_keeps_its_picture() -> None:
    one, other = (
        re.sub(r"<text.*|aria-label=\"\w+\"", "", art.draw_poster(Subject("movie_1", title, 1927)))
        for title in ("Metropolis", "Metropolic")
    )
    assert one == other


def test_all_compositions_occur() -> None:
    pictures = {
        re.sub(r"[\d.#a-f-]+", "", art.draw_poster(Subject(f"movie_{n}", "T")))[:900]
        for n in range(300)
    }
    assert len(pictures) >= len(COMPOSITIONS)


def test_genres_have_colours_of_their_own() -> None:
    fills = {
        genre: re.findall(
            r"stop-color=\"(#\w{6})\"", art.draw_poster(Subject("movie_1", "T", 1, genre))
        )
        for genre in ("horror", "comedy", "western", "science-fiction")
    }
    assert len({tuple(colours) for colours in fills.values()}) == 4
