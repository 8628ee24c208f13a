"""Titles of catalogues, one awkward row after another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
from resolvers.catalog.imports import genres, titles
from resolvers.catalog.imports.titles import ParsedTitle


@pytest.mark.parametrize(
    ("text", "title", "sort_title", "year", "original"),
    [
        ("Toy Story (1995)", "Toy Story", "toy story", 1995, None),
        ("Usual Suspects, The (1995)", "The Usual Suspects", "usual suspects", 1995, None),
        ("  Spaces ,  The   (1995)  ", "The Spaces", "spaces", 1995, None),
        ("Bug's Life, A (1998)", "A Bug's Life", "bug's life", 1998, None),
        (
            "Affair to Remember, An (1957)",
            "An Affair to Remember",
            "affair to remember",
            1957,
            None,
        ),
        (
            "Lord of the Rings: The Two Towers, The (2002)",
            "The Lord of the Rings: The Two Towers",
            "lord of the rings: the two towers",
            2002,
            None,
        ),
        (
            "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
            "The City of Lost Children",
            "city of lost children",
            1995,
            "La Cité des enfants perdus",
        ),
        (
            "Avventura, L' (Adventure, The) (1960)",
            "L'Avventura",
            "avventura",
            1960,
            "The Adventure",
        ),
        ("Postman, The (Postino, Il) (1994)", "The Postman", "postman", 1994, "Il Postino"),
        ("Boot, Das (Boat, The) (1981)", "Das Boot", "boot", 1981, "The Boat"),
        ("Seven (a.k.a. Se7en) (1995)", "Seven", "seven", 1995, None),
        ("Kids (aka Children) (Enfants, Les) (1995)", "Kids", "kids", 1995, "Les Enfants"),
        ("Ran (Ran) (1985)", "Ran", "ran", 1985, None),
        ("(500) Days of Summer (2009)", "(500) Days of Summer", "500) days of summer", 2009, None),
        (
            "Birdman: Or (The Unexpected Virtue of Ignorance) (2014)",
            "Birdman: Or (The Unexpected Virtue of Ignorance)",
            "birdman: or (the unexpected virtue of ignorance)",
            2014,
            None,
        ),
        ("War and Peace (Part II) (1966)", "War and Peace (Part II)", None, 1966, None),
        ("Camille (No End) (1985)", "Camille", "camille", 1985, "No End"),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers", "fawlty towers", 1975, None),
        ("Big Bang Theory, The (2007-)", "The Big Bang Theory", "big bang theory", 2007, None),
        ("Planet Earth (2006–2007)", "Planet Earth", "planet earth", 2006, None),
        ("2046 (2004)", "2046", "2046", 2004, None),
        ("1984", "1984", "1984", None, None),
        ("Babylon 5", "Babylon 5", "babylon 5", None, None),
        ("Film (0007)", "Film (0007)", None, None, None),
        ("(1999)", "(1999)", "1999)", None, None),
        ("The", "The", "the", None, None),
        (", The (1999)", ", The", "the", 1999, None),
        ("Unbalanced) (1999)", "Unbalanced)", None, 1999, None),
        ("Élan, L' (2001)", "L'Élan", "elan", 2001, None),
        ("M*A*S*H (a.k.a. MASH) (1970)", "M*A*S*H", "m*a*s*h", 1970, None),
        ("?? (2000)", "??", "??", 2000, None),
    ],
)
def test_titles_as_catalogues_write_them(
    text: str, title: str, sort_title: str | None, year: int | None, original: str | None
) -> None:
    parsed = titles.parse(text)
    expected = ParsedTitle(title, sort_title or parsed.sort_title, year, original)
    assert replace(parsed, also_known_as=()) == expected


@pytest.mark.parametrize(
    ("text", "title", "year", "original", "others"),
    [
        ("Assassin(s) (1997)", "Assassin(s)", 1997, None, ()),
        ("Frontière(s) (2007)", "Frontière(s)", 2007, None, ()),
        ("(A)sexual (2011)", "(A)sexual", 2011, None, ()),
        ("Employee(s) of the Month(s)", "Employee(s) of the Month(s)", None, None, ()),
        ("Paranoia(c), The (Fou(s), Le) (1990)", "The Paranoia(c)", 1990, "Le Fou(s)", ()),
        ("Get Out (2017) (2017)", "Get Out", 2017, None, ()),
        ("Three Times (2005) (2005) (2005)", "Three Times", 2005, None, ()),
        ("Festival Film (2016) (2017)", "Festival Film", 2017, None, ()),
        ("Replicants (2049) (2017)", "Replicants (2049)", 2017, None, ()),
        ("Naked Truth, The (1957) (Your Past Is Showing)", "The Naked Truth", 1957,
         "Your Past Is Showing", ()),
        ("Night (1960) (Notte, La) (a.k.a. Nuit)", "Night", 1960, "La Notte", ("Nuit",)),
        ("War (1966) (Part II)", "War (Part II)", 1966, None, ()),
        ("Seven (a.k.a. Se7en) (1995)", "Seven", 1995, None, ("Se7en",)),
        ("Kids (aka Children) (Enfants, Les) (1995)", "Kids", 1995, "Les Enfants", ("Children",)),
        ("Gate (A.K.A. Gates of Hell, The) (AKA Door) (1980)", "Gate", 1980, None,
         ("The Gates of Hell", "Door")),
        ("Girl (Mädchen a.k.a. The Maid) (1980)", "Girl", 1980, "Mädchen", ("The Maid",)),
        ("Red and White (Aka to shiro) (1932)", "Red and White", 1932, "Aka to shiro", ()),
        ("Kolja (Kolya) (Kolia) (1996)", "Kolja", 1996, "Kolya", ("Kolia",)),
    ],
)  # fmt: skip
def test_parentheses_are_years_names_or_part_of_the_title(
    text: str, title: str, year: int | None, original: str | None, others: tuple[str, ...]
) -> None:
    parsed = titles.parse(text)
    assert (parsed.title, parsed.year) == (title, year)
    assert (parsed.original_title, parsed.also_known_as) == (original, others)


@pytest.mark.parametrize(
    ("title", "languages", "expected"),
    [
        ("The Kid", ["en"], "kid"),
        ("The Kid", [], "kid"),
        ("Les Vampires", ["fr"], "vampires"),
        ("Les Vampires", ["en"], "les vampires"),
        ("À propos de Nice", ["fr"], "a propos de nice"),
        ("L'Inferno", ["it"], "inferno"),
        ("Die Nibelungen: Siegfried", ["de"], "nibelungen: siegfried"),
        ("Die Another Day", ["en"], "die another day"),
        ("Theatre", ["en"], "theatre"),
        ("A", ["en"], "a"),
        ("'Tis Pity", ["en"], "tis pity"),
        ("The '?' Motorist", ["en"], "motorist"),
    ],
)
def test_sort_titles_drop_leading_articles_of_their_languages(
    title: str, languages: list[str], expected: str
) -> None:
    assert titles.sort_title(title, languages) == expected


@given(st.text())
def test_any_text_parses_and_keeps_a_title(text: str) -> None:
    parsed = titles.parse(text)
    assert bool(parsed.title) == bool(text.split())
    assert bool(parsed.sort_title) == bool(parsed.title)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Sci-Fi", "science-fiction"),
        ("Children", "family"),
        ("Children's", "family"),
        ("Film-Noir", "film-noir"),
        ("Comédie  Noire", "comedie-noire"),
        ("Drama", "drama"),
        ("***", ""),
        ("Драма", "xn--80aak7as"),
        ("ドラマ", "xn--gdkzb6a"),
        ("Kærlighed", "xn--krlighed-j0a"),
        ("N/A", ""),
        ("\\N", ""),
        (" Unknown ", ""),
        ("(no genres listed)", ""),
    ],
)
def test_genres_of_all_sources_get_one_slug(name: str, slug: str) -> None:
    assert genres.slug_of(name) == slug


@pytest.mark.usefixtures("runtime")
def test_a_genre_is_named_after_its_slug() -> None:
    assert genres.document("science-fiction").name == "Science Fiction"
    assert genres.document("imax").name == "IMAX"
    assert genres.document("comedie-noire").name == "Comedie Noire"
    assert genres.document("drama").id == "genre_drama"
    assert genres.document("Comédie  Noire").name == "Comédie Noire"
    assert genres.document("драма").name == "Драма"
    assert models.ids.kind_of(genres.document("ドラマ").id) == "genre"
