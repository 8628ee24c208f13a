"""The demo's files are refused with one line that names the file, the film and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolvers.catalog.imports import demo_files
from services.errors import StartupError

FILM = """
[[film]]
key = "faust-1926"
title = "Faust"
year = 1926
release_date = 1926-10-14
runtime_minutes = 107
languages = ["de"]
genres = ["fantasy", "drama"]
imdb_id = "tt0016847"
rights = "Public domain."
overview = "A wager."
directing = ["F. W. Murnau"]
cast = [["Emil Jannings", "Mephisto"], ["Gösta Ekman", ""]]
camera = [["Carl Hoffmann", "Director of Photography"]]
"""
SHOW = """
[[show]]
key = "serial-1915"
title = "Serial"
year = 1915
languages = []
genres = ["crime"]
rights = "Public domain."
overview = "Cliffs."
directing = ["Somebody"]

[[show.season]]
number = 1

[[show.season.episode]]
number = 1
name = "One"
"""
FEATURED = 'films = ["faust-1926"]'


def folder(path: Path, film: str = FILM, show: str = SHOW, featured: str = FEATURED) -> Path:
    (path / "films_silent.toml").write_text(film, "utf-8")
    (path / "serials.toml").write_text(show, "utf-8")
    (path / "featured.toml").write_text(featured, "utf-8")
    return path


def test_a_film_is_read_with_its_billing(tmp_path: Path) -> None:
    demo = demo_files.read(folder(tmp_path))

    film = demo.films[0]
    assert (film.of.key, film.release_date, film.runtime_seconds) == (
        "faust-1926",
        "1926-10-14",
        107 * 60,
    )
    assert [(part.name, part.department.value, part.role) for part in film.of.parts] == [
        ("F. W. Murnau", "DIRECTING", "Director"),
        ("Emil Jannings", "CAST", "Mephisto"),
        ("Gösta Ekman", "CAST", None),
        ("Carl Hoffmann", "CAMERA", "Director of Photography"),
    ]
    assert demo.featured == ["faust-1926"]
    assert demo.shows[0].seasons[0].episodes[0].name == "One"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('key = "faust-1926"', "", "film Faust: key is missing."),
        ("faust-1926", "Faust 1926", "film Faust 1926: key is 'Faust 1926', which does not look"),
        ('title = "Faust"', 'title = " "', "film faust-1926: title is empty or has spaces"),
        ("year = 1926", 'year = "1926"', "film faust-1926: year is '1926', not a whole number"),
        ("year = 1926", "year = true", "year is True, not a whole number from 1870 to 2100."),
        ("year = 1926", "year = 1066", "year is 1066, not a whole number from 1870 to 2100."),
        ("1926-10-14", '"1926-10-14"', "release_date is '1926-10-14', not a date such as"),
        ("= 107", "= 0", "runtime_minutes is 0, not a whole number from 1 to 1000."),
        ('["de"]', '["German"]', "'German' is not a language tag such as en or pt-BR."),
        ('["de"]', '["de", "de"]', "languages names something twice."),
        ('"fantasy"', '"phantasy"', "unknown genre 'phantasy'; known are action, adventure"),
        ('["fantasy", "drama"]', "[]", "genres is missing or empty."),
        ('["F. W. Murnau"]', "[]", "directing is missing or empty."),
        ('["F. W. Murnau"]', "[1]", "directing should hold texts only."),
        ("tt0016847", "0016847", "imdb_id is '0016847', which does not look like"),
        ('["Gösta Ekman", ""]', '["Gösta Ekman"]', "cast holds ['Gösta Ekman'], which is not"),
        ('["Gösta Ekman", ""]', '["Emil Jannings", "Mephisto"]', "the same credit stands there"),
        ('rights = "Public domain."', "", "rights is missing."),
        ("imdb_id", "imbd_id", "unknown key 'imbd_id'."),
        ("[[film]]", "[[movie]]", "films_silent.toml: unknown key 'movie'."),
        ("= 107", "=", "films_silent.toml cannot be read: "),
    ],
)
def test_a_broken_film_is_refused_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    # given
    assert old in FILM
    broken = folder(tmp_path, film=FILM.replace(old, new))

    # when
    with pytest.raises(StartupError) as caught:
        demo_files.read(broken)

    # then it is one line
    assert message in str(caught.value)
    assert str(caught.value).startswith("films_silent.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("number = 1\nname", "number = 1\nepisode_name", "season 1, episode 1: name is missing."),
        ("[[show.season]]\nnumber = 1", "[[show.season]]", "season None: number is missing."),
        ('key = "serial-1915"', 'key = "serial-1915"\nstatus = "OVER"', "status is 'OVER'"),
    ],
)
def test_a_broken_show_is_refused_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SHOW
    broken = folder(tmp_path, show=SHOW.replace(old, new))
    with pytest.raises(StartupError, match=r"serials\.toml, show serial-1915") as caught:
        demo_files.read(broken)
    assert message in str(caught.value)


def test_keys_and_outside_ids_name_one_title_each(tmp_path: Path) -> None:
    with pytest.raises(StartupError) as caught:
        demo_files.read(folder(tmp_path, film=FILM * 2))
    assert str(caught.value) == "demo: key faust-1926 stands twice, at 'Faust' and 'Faust'."

    other = FILM.replace("faust-1926", "other-1926").replace('"Faust"', '"Other"')
    with pytest.raises(StartupError) as caught:
        demo_files.read(folder(tmp_path, film=FILM + other))
    assert str(caught.value) == "demo: imdb_id tt0016847 stands twice, at 'Faust' and 'Other'."


def test_a_featured_film_has_to_be_one_of_them(tmp_path: Path) -> None:
    with pytest.raises(StartupError) as caught:
        demo_files.read(folder(tmp_path, featured='films = ["metropolis-1927"]'))
    assert str(caught.value) == "featured.toml: no film has the key 'metropolis-1927'."


def test_a_folder_without_films_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="No films_"):
        demo_files.read(tmp_path)
