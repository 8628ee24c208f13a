"""MovieLens folders, whole and broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import models
from models import Changes
from resolvers.catalog.imports import movielens
from resolvers.context import Runtime
from services.errors import StartupError

MOVIES = """movieId,title,genres
1,Toy Story (1995),Adventure|Animation|Children|Comedy|Fantasy
2,"Usual Suspects, The (1995)",Crime|Mystery|Thriller
3,"City of Lost Children, The (Cité des enfants perdus, La) (1995)",Adventure|Drama|Sci-Fi
4,"Says ""Hello"" (2001)",(no genres listed)
5,Babylon 5,Sci-Fi
"""
LINKS = """movieId,imdbId,tmdbId
1,0114709,862
2,0114814,629
3,112682,
4,,
"""
RATINGS = """userId,movieId,rating,timestamp
1,1,4.0,964982703
2,1,4.5,964982703
3,1,5,964982703
1,2,0.5,964982703
"""


def folder(
    path: Path,
    movies: str | bytes = MOVIES,
    links: str | None = LINKS,
    ratings: str | None = RATINGS,
) -> Path:
    (path / "movies.csv").write_bytes(movies if isinstance(movies, bytes) else movies.encode())
    for name, text in (("links.csv", links), ("ratings.csv", ratings)):
        if text is not None:
            (path / name).write_text(text, "utf-8")
    return path


async def film(number: int) -> models.MovieRecord:
    id_ = movielens.movie_id(number)
    return (await models.find_by_id(models.Movie, models.MovieRecord, [id_]))[id_]


async def test_a_whole_folder_is_imported(runtime: Runtime, tmp_path: Path) -> None:
    # when
    steps: list[tuple[str, int, int]] = []
    report = await movielens.load(runtime, folder(tmp_path), lambda *step: steps.append(step))

    # then
    assert report.changes == {"genres": Changes(inserted=10), "movies": Changes(inserted=5)}
    assert (report.broken.count, report.conflicts.count) == (0, 0)
    toy_story = await film(1)
    assert (toy_story.title, toy_story.year, toy_story.imdb_id, toy_story.tmdb_id) == (
        "Toy Story",
        1995,
        "tt0114709",
        862,
    )
    assert (toy_story.rating, toy_story.vote_count) == (9.0, 3)
    assert toy_story.genre_ids == [
        "genre_adventure",
        "genre_animation",
        "genre_family",
        "genre_comedy",
        "genre_fantasy",
    ]
    assert toy_story.similar_ids == [movielens.movie_id(3)]
    assert toy_story.poster_path == f"/art/posters/{toy_story.id}.svg"
    suspects = await film(2)
    assert (suspects.title, suspects.sort_title) == ("The Usual Suspects", "usual suspects")
    assert (suspects.rating, suspects.vote_count) == (1.0, 1)
    children = await film(3)
    assert (children.title, children.original_title) == (
        "The City of Lost Children",
        "La Cité des enfants perdus",
    )
    assert (children.imdb_id, children.tmdb_id, children.rating) == ("tt0112682", None, None)
    hello = await film(4)
    assert (hello.title, hello.genre_ids, hello.imdb_id) == ('Says "Hello"', [], None)
    babylon = await film(5)
    assert (babylon.title, babylon.year, babylon.genre_ids) == (
        "Babylon 5",
        None,
        ["genre_science-fiction"],
    )
    assert ("ratings.csv", len(RATINGS), len(RATINGS)) in steps
    assert steps[-1] == ("movies", 5, 5)


async def test_importing_it_again_changes_nothing(runtime: Runtime, tmp_path: Path) -> None:
    # given
    await movielens.load(runtime, folder(tmp_path))
    before = await film(1)

    # when
    report = await movielens.load(runtime, tmp_path)

    # then
    assert report.total == Changes(unchanged=15)
    assert await film(1) == before


async def test_new_ratings_change_the_films_they_rate(runtime: Runtime, tmp_path: Path) -> None:
    # given
    await movielens.load(runtime, folder(tmp_path))

    # when
    folder(tmp_path, ratings=RATINGS + "9,2,1.5,964982703\n")
    report = await movielens.load(runtime, tmp_path)

    # then
    assert report.changes["movies"] == Changes(updated=1, unchanged=4)
    suspects = await film(2)
    assert (suspects.rating, suspects.vote_count, suspects.version) == (2.0, 2, 2)


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("movies", "x,Film (1999),Drama", "movieId is 'x'"),
        ("movies", "-1,Film (1999),Drama", "movieId is '-1'"),
        ("movies", "1_0,Film (1999),Drama", "movieId is '1_0'"),
        ("movies", "99999999999999,Film (1999),Drama", "movieId is '99999999999999'"),
        ("movies", ",Film (1999),Drama", "movieId is ''"),
        ("movies", "1,Toy Story Again (1999),Drama", "movieId 1 stands there twice"),
        ("movies", "9,Film, The (1999),Drama", "4 columns instead of 3"),
        ("movies", "9,Film (1999)", "2 columns instead of 3"),
        ("movies", "9,  ,Drama", "the title is empty"),
        ("movies", f"9,{'x' * 501},Drama", "the title is too long"),
        ("movies", f"9,{'x' * 10_001},Drama", "longer than 10000 bytes"),
        ("movies", '9,"Film (1999),Drama', "not CSV (unexpected end of data)"),
        ("links", "99,0114709,862", "movieId 99 is not in movies.csv"),
        ("links", "5,tt0114709,77", "imdbId is 'tt0114709'"),
        ("links", "5,0114700,862.5", "tmdbId is '862.5'"),
        ("links", "5,-1,1e3", "imdbId is '-1', tmdbId is '1e3'"),
        ("links", "1,0114709,862", "movieId 1 stands there twice"),
        ("ratings", "1,1,5.5,964982703", "rating is '5.5'"),
        ("ratings", "1,1,0,964982703", "rating is '0'"),
        ("ratings", "1,1,nan,964982703", "rating is 'nan'"),
        ("ratings", "1,1,good,964982703", "rating is 'good'"),
        ("ratings", "1,1,5", "3 columns instead of 4"),
        ("ratings", "1,77,5,964982703", "movieId 77 is not in movies.csv"),
    ],
)
async def test_a_broken_row_costs_itself_only(
    runtime: Runtime, tmp_path: Path, name: str, line: str, reason: str
) -> None:
    # given the same files with one more row in the middle
    texts: dict[str, Any] = {"movies": MOVIES, "links": LINKS, "ratings": RATINGS}
    lines = texts[name].splitlines(keepends=True)
    texts[name] = "".join([*lines[:2], line + "\n", *lines[2:]])

    # when
    report = await movielens.load(runtime, folder(tmp_path, **texts))

    # then
    assert report.broken.count == 1
    assert report.broken.examples == [f"{name}.csv:3: {reason}"]
    assert report.changes["movies"] == Changes(inserted=5)
    assert ((await film(1)).rating, (await film(1)).vote_count) == (9.0, 3)


async def test_bytes_that_are_not_utf8_are_one_broken_row(runtime: Runtime, tmp_path: Path) -> None:
    movies = MOVIES.encode() + b"9,Caf\xe9 (1999),Drama\n\n"
    report = await movielens.load(runtime, folder(tmp_path, movies))
    assert report.broken.examples == ["movies.csv:7: not UTF-8"]
    assert report.changes["movies"] == Changes(inserted=5)


async def test_only_the_first_twenty_broken_rows_are_listed(
    runtime: Runtime, tmp_path: Path
) -> None:
    ratings = RATINGS + "1,1,9,0\n" * 50
    report = await movielens.load(runtime, folder(tmp_path, ratings=ratings))
    assert report.broken.count == 50
    assert len(report.broken.examples) == 20
    assert report.broken.examples[0] == "ratings.csv:6: rating is '9'"


async def test_a_byte_order_mark_and_carriage_returns_are_fine(
    runtime: Runtime, tmp_path: Path
) -> None:
    movies = b"\xef\xbb\xbf" + MOVIES.replace("\n", "\r\n").encode()
    report = await movielens.load(runtime, folder(tmp_path, movies))
    assert report.broken.count == 0
    assert (await film(1)).title == "Toy Story"


async def test_links_and_ratings_may_be_missing(runtime: Runtime, tmp_path: Path) -> None:
    report = await movielens.load(runtime, folder(tmp_path, links=None, ratings=None))
    assert report.total.inserted == 15
    assert ((await film(1)).imdb_id, (await film(1)).rating) == (None, None)


async def test_an_outside_id_of_another_film_is_left_out_and_listed(
    runtime: Runtime, tmp_path: Path
) -> None:
    # given a stored film with Toy Story's id of TMDb, and two rows that claim one id of IMDb
    stored = models.Movie(id="movie_stored", title="T", sort_title="t", tmdb_id=862)
    await models.upsert(models.Movie, [stored])
    links = LINKS.replace("112682", "0114814")

    # when
    report = await movielens.load(runtime, folder(tmp_path, links=links))

    # then the first to claim keeps it, now and the next time
    assert report.conflicts.examples == [
        f"movieId 3: imdb_id tt0114814 belongs to {movielens.movie_id(2)}",
        "movieId 1: tmdb_id 862 belongs to movie_stored",
    ]
    assert (await film(1)).tmdb_id is None
    assert (await film(2)).imdb_id == "tt0114814"
    assert (await film(3)).imdb_id is None
    again = await movielens.load(runtime, tmp_path)
    assert again.total == Changes(unchanged=15)
    assert again.conflicts.count == 2


async def test_a_folder_without_movies_is_one_clear_line(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(StartupError) as caught:
        await movielens.load(runtime, tmp_path)
    message = f"{tmp_path}/movies.csv is missing: name the folder of a MovieLens data set."
    assert str(caught.value) == message


async def test_a_file_of_another_layout_is_refused_and_nothing_changes(
    runtime: Runtime, tmp_path: Path
) -> None:
    with pytest.raises(StartupError) as caught:
        await movielens.load(runtime, folder(tmp_path, ratings="a,b\n1,2\n"))
    expected = "ratings.csv: the first line is not userId,movieId,rating,timestamp."
    assert str(caught.value).endswith(expected)
    assert await models.find(models.Movie, models.MovieRecord, {}) == []


async def test_thousands_of_films_are_imported_in_bulk(
    runtime: Runtime, tmp_path: Path, count_commands: Any
) -> None:
    # given 3,000 films with ids and 20,000 ratings
    rows = "".join(f'{n},"Film {n}, The (1999)",Drama|War\n' for n in range(1, 3001))
    links = "".join(f"{n},{n},{n}\n" for n in range(1, 3001))
    votes = "".join(f"1,{1 + n % 3000},4,0\n" for n in range(20_000))
    folder(
        tmp_path,
        "movieId,title,genres\n" + rows,
        "movieId,imdbId,tmdbId\n" + links,
        "userId,movieId,rating,timestamp\n" + votes,
    )
    await count_commands.reset()

    # when
    report = await movielens.load(runtime, tmp_path)

    # then each thousand costs two look-ups of ids, a read for the edits, one read and one write
    assert report.changes["movies"] == Changes(inserted=3000)
    assert count_commands.mongo.count("movies.find") == 3 * 4
    assert count_commands.mongo.count("imported_titles.find") == 3
    assert count_commands.mongo.count("imported_titles.update") == 3
    assert count_commands.mongo.count("movies.insert") == 3
    assert len((await film(7)).similar_ids) == 12


@pytest.mark.parametrize(
    ("imdb", "tmdb", "expected"),
    [
        ("0114709", "862.0", ("tt0114709", 862)),
        ("114709.00", "862", ("tt0114709", 862)),
        ("0", "862", (None, 862)),
        ("0114709", "0", ("tt0114709", None)),
        ("N/A", "862", (None, 862)),
        ("0114709", "\\N", ("tt0114709", None)),
        ("nan", " 862 ", (None, 862)),
        ("x", "862", (None, 862)),
        ("0114709", "-1", ("tt0114709", None)),
    ],
)
async def test_an_id_that_is_none_leaves_the_one_beside_it(
    runtime: Runtime, tmp_path: Path, imdb: str, tmdb: str, expected: tuple[str | None, int | None]
) -> None:
    await movielens.load(
        runtime, folder(tmp_path, links=f"movieId,imdbId,tmdbId\n1,{imdb},{tmdb}\n")
    )
    record = await film(1)
    assert (record.imdb_id, record.tmdb_id) == expected


async def test_genres_of_all_scripts_keep_their_names(runtime: Runtime, tmp_path: Path) -> None:
    # given
    movies = (
        "movieId,title,genres\n1,One (2001),Comédie|Драма|ドラマ\n2,Two (2002),N/A\n"
        "3,Three (2003),\\N|Sci-Fi|Comédie\n"
    )
    # when
    await movielens.load(runtime, folder(tmp_path, movies, links=None, ratings=None))
    # then
    genres = await models.find(models.Genre, models.GenreRecord, {})
    assert {one.name for one in genres} == {"Comédie", "Драма", "ドラマ", "Science Fiction"}
    assert all(models.ids.kind_of(one.id) == "genre" for one in genres)
    assert [len((await film(number)).genre_ids) for number in (1, 2, 3)] == [3, 0, 2]


async def test_other_names_are_stored(runtime: Runtime, tmp_path: Path) -> None:
    movies = "movieId,title,genres\n1,Seven (a.k.a. Se7en) (Sieben) (1995),Crime\n"
    await movielens.load(runtime, folder(tmp_path, movies, links=None, ratings=None))
    row = await models.Movie.get_pymongo_collection().find_one({})
    assert row is not None
    assert (row["title"], row["original_title"], row["also_known_as"]) == (
        "Seven", "Sieben", ["Se7en"],
    )  # fmt: skip


async def test_what_an_editor_wrote_stays_and_figures_go_on(
    runtime: Runtime, tmp_path: Path
) -> None:
    # given a film that an editor renamed, moved to another genre and gave a year
    await movielens.load(runtime, folder(tmp_path))
    edits = {"title": "Ours", "sort_title": "ours", "genre_ids": ["genre_drama"], "year": 1996}
    await models.edit_movie(movielens.movie_id(1), edits, None)
    # when the folder comes again, with one more vote
    await movielens.load(runtime, folder(tmp_path, ratings=RATINGS + "9,1,0.5,0\n"))
    # then
    record = await film(1)
    assert (record.title, record.sort_title, record.year) == ("Ours", "ours", 1996)
    assert (record.genre_ids, record.vote_count) == (["genre_drama"], 4)


async def test_a_film_of_an_earlier_release_keeps_its_edits_and_gets_new_figures(
    runtime: Runtime, tmp_path: Path
) -> None:
    # given a film imported before imports knew what they had written
    await movielens.load(runtime, folder(tmp_path))
    await models.ImportedTitle.get_pymongo_collection().delete_many({})
    await models.edit_movie(movielens.movie_id(1), {"title": "Ours"}, None)
    # when
    await movielens.load(runtime, folder(tmp_path, ratings=RATINGS + "9,1,0.5,0\n"))
    # then
    assert ((await film(1)).title, (await film(1)).vote_count) == ("Ours", 4)


async def test_what_another_source_filled_in_is_left_to_it(
    runtime: Runtime, tmp_path: Path
) -> None:
    # given a film without votes that another import completed
    await movielens.load(runtime, folder(tmp_path))
    theirs = {"rating": 7.5, "vote_count": 900, "poster_path": "https://image.test/p.jpg"}
    await models.edit_movie(movielens.movie_id(3), theirs, None)
    # when
    await movielens.load(runtime, tmp_path)
    # then
    record = await film(3)
    assert (record.rating, record.vote_count) == (7.5, 900)
    assert record.poster_path == "https://image.test/p.jpg"
